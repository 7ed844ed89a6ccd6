import type { KubeEvent } from '../../k8s/objects.ts';
import { SegfleetError } from '../../trainer/errors.ts';
import { BaseCommand, program } from '../base.ts';
import { clusterFlags, followFlag, jobName, namespaceHint, openJob, tell, untilStopped } from '../cluster.ts';

export default class Events extends BaseCommand {
  static override summary = 'Show what happened to a job, its Jobs and its pods, the oldest first.';
  static override description = 'Kubernetes keeps events for an hour, also those of a job that is gone.';
  static override examples = ['<%= config.bin %> events skin', '<%= config.bin %> events skin --follow'];
  static override args = { name: jobName };
  static override flags = { ...clusterFlags, follow: followFlag('Goes on with each event as it comes.') };

  async run() {
    const { args, flags } = await this.parse(Events);
    const cluster = await openJob(args, flags);
    const { eventsOf, followEvents } = await import('../../k8s/events.ts');
    const { getJob } = await import('../../k8s/jobs.ts');
    const { eventLine } = await import('../render/events.ts');
    const { eventNews } = await import('../../k8s/followJob.ts');
    const json = this.jsonEnabled();
    const { api, job } = cluster;
    if (!flags.follow) {
      const events = await eventsOf(api, job);
      for (const event of events) this.log(eventLine(eventNews(event)));
      if (events.length === 0) this.logToStderr(`nothing is known to have happened to ${job.name} in the last hour`);
      return { ...job, events: events.map(eventNews) };
    }
    const { uid, creationTimestamp: since } = (await getJob(api, job)).metadata;
    const signal = untilStopped();
    const print = (event: KubeEvent) => {
      const news = eventNews(event);
      process.stdout.write(`${json ? JSON.stringify(news) : eventLine(news)}\n`);
    };
    for await (const one of followEvents(api, { ...job, uid, since }, signal)) {
      if (one.type === 'lost') tell(`${one.why.message}; still following`);
      else if (one.type === 'back') tell('the API server is back');
      else print(one);
    }
    const again = `${program} events ${args.name} --follow${namespaceHint(cluster, flags)}`;
    throw new SegfleetError('interrupted', `no longer following; ${args.name} goes on. See more with \`${again}\``);
  }
}
