/**
 * The program of trial processes that trains: `segfleet train`, in parts.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { SegfleetError } from '../errors.ts';
import { keepFork } from '../forks.ts';
import { checkpointUrl } from '../runWriter.ts';
import { manifestKeys } from '../storage/checkpoints.ts';
import { openStore } from '../storage/openStore.ts';
import { RunFolder } from '../storage/runFolder.ts';
import type { Store } from '../storage/store.ts';
import { Trackers } from '../tracking/trackers.ts';
import { train } from '../train.ts';
import { removeCheckpoints } from './checkpoints.ts';
import type { EpochReport } from './journal.ts';
import { Objective } from './objective.ts';
import { readReports, readRunRecord, reportOf } from './runFiles.ts';
import type { Host, Order, Outcome } from './trialProgram.ts';

export default async function trainTrial(order: Order, host: Host): Promise<Outcome> {
  const folder = new RunFolder(order.out);
  const objective = new Objective(order.objective);
  try {
    await lastOwnerIsGone(folder, host.signal);
    const store = await openStore(checkpointUrl(order.job.job, order.base, order.out));
    if (readRunRecord(folder)?.status !== 'succeeded') {
      const { status } = await trainPart(order, host, folder, store, objective);
      if (status === 'paused') return { status };
    } else await host.reached(readReports(folder, objective)); // killed before it could say so
    await removeCheckpoints(store);
    return { status: 'succeeded' };
  } catch (error) {
    if (!(error instanceof SegfleetError)) throw error;
    const { code, message } = error;
    if (code === 'interrupted' || code === 'preempted') return { status: 'interrupted' };
    return { status: 'failed', error: { code, message }, ...(isDiskFull(error) && { diskIsFull: true }) };
  }
}

async function trainPart(order: Order, host: Host, folder: RunFolder, store: Store, objective: Objective) {
  const resume = folder.isRun && (await manifestKeys(store)).length > 0;
  if (!resume) {
    // Ended before its first checkpoint: nothing is lost.
    await rm(folder.path, { recursive: true, force: true });
    await removeCheckpoints(store);
  }
  const options = { ...order.job, base: order.base, out: order.out, untilEpoch: order.untilEpoch };
  const trackers = order.tell && (await trackersOf(order, order.tell, host));
  const training = train({ ...options, resume, signal: host.signal, fork: order.fork });
  const events = trackers ? trackers.watch(training, host.signal) : training;
  let report: EpochReport | undefined;
  let epoch = 0;
  let next = await events.next();
  for (; !next.done; next = await events.next()) {
    const event = next.value;
    if (event.event === 'start' && resume) await host.reached(readReports(folder, objective));
    if (event.event === 'epoch') report = reportOf(event, objective);
    if (event.event === 'checkpoint') epoch = event.epoch;
    if (event.event === 'checkpoint' && report) {
      await host.reached([report]);
      report = undefined;
    }
  }
  const { status } = next.value;
  if (order.keep !== undefined) await keepFork(store, folder, `${order.keep}-${epoch || readReports(folder, objective).at(-1)!.epoch}`);
  return { status };
}

/** The next trial waits for what takes a server that is away, and it can be told later. */
const patienceMs = 2000;

function trackersOf({ job }: Order, { laterWith, ...options }: NonNullable<Order['tell']>, { warn }: Host): Promise<Trackers> {
  return Trackers.open(job.job, { ...options, patienceMs, laterWith: (_, url) => `${laterWith} --mlflow ${url}`, onProblem: warn });
}

/** Whoever ran this trial last may not have noticed yet that the driver which it worked for is gone. */
async function lastOwnerIsGone(folder: RunFolder, signal: AbortSignal): Promise<void> {
  if (!existsSync(folder.path)) return;
  for (const end = performance.now() + ownerPatienceMs; ; ) {
    try {
      const release = await folder.lock();
      return await release();
    } catch (error) {
      if (!(error instanceof SegfleetError) || error.code !== 'conflict' || performance.now() > end) throw error;
    }
    await wait(50);
    if (signal.aborted) throw new SegfleetError('interrupted', 'interrupted before it began');
  }
}

const ownerPatienceMs = 60_000;

const isDiskFull = ({ cause }: SegfleetError): boolean =>
  ['ENOSPC', 'EDQUOT'].includes((cause as NodeJS.ErrnoException | undefined)?.code ?? '');
