import { Flags } from '@oclif/core';
import { type Goal, goals } from '../../k8s/goals.ts';
import { BaseCommand } from '../base.ts';
import { clusterFlags, jobName, openJob, tell, untilStopped } from '../cluster.ts';
import { millisecondsOf } from '../duration.ts';

export default class Wait extends BaseCommand {
  static override summary = 'Wait until a job is complete, running, suspended, failed or deleted.';
  static override description =
    'Exit code 0 when it is; that of the run when it failed instead; 6 when the time is over; 7 when it has ended otherwise.';
  static override examples = [
    '<%= config.bin %> wait skin && <%= config.bin %> status skin',
    '<%= config.bin %> wait skin --for running --timeout 10m',
  ];
  static override args = { name: jobName };
  static override flags = {
    ...clusterFlags,
    for: Flags.option({ options: goals, default: 'complete' as Goal, description: 'What is waited for.' })(),
    timeout: Flags.string({ helpValue: '10m', description: 'How long: 30s, 10m, 1h30m. [default: as long as it takes]' }),
  };

  async run() {
    const { args, flags } = await this.parse(Wait);
    const timeoutMs = flags.timeout === undefined ? undefined : millisecondsOf('--timeout', flags.timeout);
    const { api, job: name } = await openJob(args, flags);
    const { waitForJob } = await import('../../k8s/waiting.ts');
    const job = await waitForJob(api, name, { goal: flags.for, timeoutMs, signal: untilStopped(), say: tell });
    this.log(`${name.name} is ${flags.for}`);
    return { ...name, is: flags.for, ...(job?.status && { status: job.status }) };
  }
}
