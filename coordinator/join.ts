/**
 * One worker of a run, from a job file to its end: opens the data, takes up the newest checkpoint and follows the coordinator.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Course } from '../trainer/course.ts';
import { SegfleetError } from '../trainer/errors.ts';
import { checkpointUrl } from '../trainer/runWriter.ts';
import type { LoadedJob } from '../trainer/spec.ts';
import { openStore } from '../trainer/storage/openStore.ts';
import { Control } from './control.ts';
import { digestsOf, libraryOf } from './digests.ts';
import type { RunKeys } from './exchange/keys.ts';
import { defaultMemberTiming } from './member.ts';
import type { EndCode } from './messages.ts';
import { TrainTask } from './trainTask.ts';
import { runWorker } from './worker.ts';

export interface JoinOptions extends Pick<LoadedJob, 'job'> {
  /** Folder that paths in the job are relative to. */
  readonly base: string;
  /** The run folder: checkpoints lie there where the job does not say otherwise. */
  readonly out: string;
  /** Where the coordinator listens. */
  readonly coordinator: string;
  readonly keys?: RunKeys;
  /** Unlike that of any other worker of the run. */
  readonly id: string;
  /** How often this worker was started before. */
  readonly incarnation?: number;
  /** Address of this machine at which the other workers reach it. By default that of the way to the coordinator. */
  readonly host?: string;
  /** Aborted: leaves at the next boundary. */
  readonly signal?: AbortSignal;
}

export const defaultId = (): string => `${hostname().replace(/[^\w.-]/g, '-')}-${process.pid}`.slice(-63);

/** @returns how the run ended; `left`: this worker went before. @throws what went wrong here alone */
export async function join(options: JoinOptions): Promise<{ code: EndCode; sentence: string }> {
  const { signal } = options;
  try {
    return await follow(options);
  } catch (error) {
    // It was not in yet, and the run knows nothing of it.
    if (signal?.aborted && error === signal.reason) return { code: 'left', sentence: 'left before the run let it in' };
    throw error;
  }
}

async function follow(options: JoinOptions): Promise<{ code: EndCode; sentence: string }> {
  const { job, base, out, coordinator, keys, id, incarnation, signal } = options;
  const run = job.metadata.name;
  const at = await addressesOf(options);
  const course = await Course.open(job, base);
  const digests = await digestsOf(course, signal);
  const store = await openStore(checkpointUrl(job, base, out));
  const task = await TrainTask.create({ run, course, store, mesh: generation => ({ listen: at.mesh(generation), keys: keys?.worker }) });
  const library = libraryOf(course, task.arithmetic);
  const control = new Control({
    run,
    id,
    coordinator,
    keys,
    incarnation,
    digests: { ...digests, library },
    capacity: job.spec.training.lanes,
  });
  const leave = () => control.leave();
  signal?.addEventListener('abort', leave);
  if (signal?.aborted) leave();
  try {
    return await runWorker({ control, task, link: { run, keys }, offerAt: at.state });
  } finally {
    signal?.removeEventListener('abort', leave);
  }
}

/** Where this worker listens for the others. @throws usage */
async function addressesOf({ coordinator, id, host, keys, signal }: JoinOptions) {
  if (coordinator.startsWith('ipc://')) {
    const folder = dirname(coordinator.slice('ipc://'.length));
    const own = `${folder}/${id}.${process.pid}`;
    // Memory that is shared lies in memory.
    const scheme = folder.startsWith('/dev/shm/') ? 'shm' : 'ipc';
    return {
      mesh: (generation: number) => `${scheme}://${own}.${generation}`,
      state: (count: number) => `ipc://${own}.state.${count}`,
    };
  }
  if (!/^tcp:\/\/([^:/]+|\[[^\]]+\]):\d+$/.test(coordinator)) {
    throw new SegfleetError('usage', `--join ${coordinator}: tcp://host:port or ipc:///folder/name is expected`);
  }
  if (!keys) throw new SegfleetError('usage', `${coordinator} needs the key file of the run; name it with --keys`);
  const own = host ?? (await ownAddress(new URL(coordinator), signal));
  const anyPort = `tcp://${own.includes(':') ? `[${own}]` : own}:*`;
  return { mesh: () => anyPort, state: () => anyPort };
}

const lookAgainMs = 1000;

/** The address of this machine on the way to another, whose name may not be there yet: it is waited for as long as for an answer. */
async function ownAddress({ hostname: host, port }: URL, signal: AbortSignal | undefined): Promise<string> {
  for (const end = performance.now() + defaultMemberTiming.silenceMs; ; ) {
    signal?.throwIfAborted();
    try {
      return await addressTowards(host, Number(port));
    } catch (cause) {
      if (performance.now() > end) {
        throw new SegfleetError('unavailable', `${host} cannot be found; check the name, or give this machine's own address with --host`, {
          cause,
        });
      }
    }
    await wait(lookAgainMs, undefined, { signal }).catch(() => {});
  }
}

/** Nothing is sent. */
async function addressTowards(host: string, port: number): Promise<string> {
  const socket = createSocket(host.startsWith('[') ? 'udp6' : 'udp4');
  try {
    socket.connect(port, host.replace(/^\[|\]$/g, ''));
    await once(socket, 'connect');
    return socket.address().address;
  } finally {
    socket.close();
  }
}
