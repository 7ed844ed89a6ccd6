import { Flags } from '@oclif/core';
import type { LogLine } from '../../k8s/logs.ts';
import { SegfleetError } from '../../trainer/errors.ts';
import { BaseCommand, program } from '../base.ts';
import { clusterFlags, followFlag, jobName, namespaceHint, openJob, tell, untilStopped } from '../cluster.ts';

export default class Logs extends BaseCommand {
  static override summary = 'Show the logs of all pods of a job as one, in the order of time.';
  static override description =
    'Each line begins with the component it is from, as in `worker-1 | ...`. Of a job that has failed the pod that failed first comes first.';
  static override examples = ['<%= config.bin %> logs skin --tail 20', '<%= config.bin %> logs skin --follow'];
  static override args = { name: jobName };
  static override flags = {
    ...clusterFlags,
    follow: followFlag('Goes on with each line as it comes, also of new pods, until the job has ended.'),
    tail: Flags.integer({ min: 0, helpValue: 'N', description: 'The newest N lines of each pod. [default: all]' }),
  };

  async run() {
    const { args, flags } = await this.parse(Logs);
    const cluster = await openJob(args, flags);
    const { followLogs, readLogs } = await import('../../k8s/logs.ts');
    const { logLine } = await import('../render/logs.ts');
    const json = this.jsonEnabled();
    const signal = untilStopped();
    const options = { tail: flags.tail, signal, say: tell };
    const lines: LogLine[] = [];
    for await (const line of (flags.follow ? followLogs : readLogs)(cluster.api, cluster.job, options)) {
      if (json && !flags.follow) lines.push(line);
      else if (json) process.stdout.write(`${JSON.stringify({ event: 'line', ...line })}\n`);
      else process.stdout.write(`${logLine(line)}\n`);
    }
    if (signal.aborted) {
      const again = `${program} logs ${args.name} --follow${namespaceHint(cluster, flags)}`;
      throw new SegfleetError('interrupted', `no longer following; ${args.name} goes on. See more with \`${again}\``);
    }
    return flags.follow ? undefined : { name: args.name, namespace: cluster.namespace, lines };
  }
}
