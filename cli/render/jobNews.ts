/**
 * How a job on a cluster looks while somebody looks on: one JSON line a piece of news; on a terminal lines of what happened above a block that moves;
 * elsewhere lines alone, of progress one an epoch or a minute.
 */
import { createLogUpdate } from 'log-update';
import type { JobNews, ProgressNews } from '../../k8s/followJob.ts';
import { eventLine } from './events.ts';
import { harmless, progressBar } from './text.ts';

export interface JobViewOptions {
  readonly json: boolean;
  readonly stdout?: NodeJS.WriteStream;
  readonly stderr?: NodeJS.WriteStream;
  readonly now?: () => number;
}

const heartbeatMs = 60_000;

export class JobView {
  readonly #json: boolean;
  readonly #stdout: NodeJS.WriteStream;
  readonly #stderr: NodeJS.WriteStream;
  readonly #live: ReturnType<typeof createLogUpdate> | undefined;
  readonly #now: () => number;
  #last: { readonly epoch?: number; readonly workers?: number; readonly at: number } | undefined;
  #progress: ProgressNews | undefined;

  constructor({ json, stdout = process.stdout, stderr = process.stderr, now = Date.now }: JobViewOptions) {
    this.#json = json;
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#now = now;
    const isLive = !json && stdout.isTTY && stdout.columns > 0 && process.env.TERM !== 'dumb';
    this.#live = isLive ? createLogUpdate(stdout) : undefined;
  }

  show(news: JobNews): void {
    if (this.#json) {
      this.#stdout.write(`${JSON.stringify({ time: new Date(this.#now()).toISOString(), ...forPrograms(news) })}\n`);
      return;
    }
    switch (news.event) {
      case 'phase':
        return this.#print(`phase ${news.phase}`);
      case 'condition':
        return this.#print(`${news.type} is ${news.status} (${news.reason})${news.message ? `: ${news.message}` : ''}`);
      case 'event':
        return this.#print(eventLine(news));
      case 'progress':
        this.#progress = news;
        return this.#move(news);
      case 'lost':
        return this.#remark(`${news.message}; still following`);
      case 'back':
        return this.#remark('the API server is back');
      case 'note':
        return this.#remark(news.message);
      case 'ended':
        return this.#end(news);
      default:
        news satisfies never;
    }
  }

  /** Leaves the cursor below what was written. */
  close(): void {
    this.#live?.done();
  }

  #move(news: ProgressNews): void {
    if (this.#live) return this.#live(block(news));
    const { epoch, workers } = news;
    const at = this.#now();
    const last = this.#last;
    if (last && last.epoch === epoch && last.workers === workers && at - last.at < heartbeatMs) return;
    this.#last = { epoch, workers, at };
    this.#stdout.write(`${line(news)}\n`);
  }

  #end({ job }: Extract<JobNews, { event: 'ended' }>): void {
    const { phase, weightsDigest, metric } = job.status ?? {};
    if (phase !== 'Succeeded') return;
    const best = metric === undefined ? '' : `, best validation Jaccard ${metric}`;
    this.#print(`${job.metadata.name} has succeeded${best}${weightsDigest ? `, weights digest ${weightsDigest}` : ''}`);
  }

  /** A line that stays, above what moves. */
  #print(text: string): void {
    this.#live?.clear();
    this.#stdout.write(`${harmless(text)}\n`);
    if (this.#progress && this.#live) this.#live(block(this.#progress));
  }

  #remark(text: string): void {
    this.#live?.clear();
    this.#stderr.write(`${harmless(text)}\n`);
  }
}

/** The whole job would be said again with the last line. */
function forPrograms(news: JobNews): object {
  if (news.event !== 'ended') return news;
  const { metadata, status = {} } = news.job;
  return { event: 'ended', name: metadata.name, namespace: metadata.namespace, ...status };
}

const parts = ({ workers = 0, wanted, loss, lossName, metric, eta, checkpointStep }: ProgressNews): string[] => [
  `${workers} of ${wanted} workers`,
  ...(loss === undefined ? [] : [`loss${lossName ? ` (${lossName})` : ''} ${loss}`]),
  ...(metric === undefined ? [] : [`best validation Jaccard ${metric}`]),
  ...(checkpointStep === undefined ? [] : [`checkpoint of step ${checkpointStep}`]),
  ...(eta === undefined ? [] : [`${eta} left`]),
];

const place = ({ epoch, epochs, step, steps }: ProgressNews): string =>
  step === undefined ? '' : `epoch ${epoch ?? 0}/${epochs ?? '?'}, step ${step}/${steps ?? '?'}`;

const line = (news: ProgressNews): string => harmless([place(news), ...parts(news)].filter(Boolean).join(', '));

function block(news: ProgressNews): string {
  const { step, steps } = news;
  const bar = step !== undefined && steps ? [`${progressBar(step / steps, 30)} ${place(news)}`] : [];
  return harmless([...bar, parts(news).join(', ')].join('\n'));
}
