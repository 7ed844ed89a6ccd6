/**
 * Looks on while a job runs, and ends as the run ends.
 */
import type { Api } from '../k8s/api.ts';
import { followJob } from '../k8s/followJob.ts';
import type { JobName } from '../k8s/jobs.ts';
import { failureOf } from '../k8s/outcome.ts';
import { SegfleetError } from '../trainer/errors.ts';
import { program } from './base.ts';
import { untilStopped } from './cluster.ts';
import { JobView } from './render/jobNews.ts';

/** @throws the error of the run where it failed; interrupted */
export async function showJob(api: Api, name: JobName, { json, hint }: { readonly json: boolean; readonly hint: string }): Promise<void> {
  const signal = untilStopped();
  const view = new JobView({ json });
  try {
    for await (const news of followJob(api, name, signal)) {
      view.show(news);
      if (news.event !== 'ended') continue;
      if (news.job.status?.phase === 'Failed') throw failureOf(news.job);
      return;
    }
  } finally {
    view.close();
  }
  throw new SegfleetError(
    'interrupted',
    `no longer following; ${name.name} goes on. See it with \`${program} status ${name.name}${hint}\`, stop it with \`${program} suspend ${name.name}${hint}\` or \`${program} cancel ${name.name}${hint}\``,
  );
}
