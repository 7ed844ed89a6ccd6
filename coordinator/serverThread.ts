/**
 * The thread of the coordinator that owns its socket: what comes in goes through the door (size, version, run, shape), then all at once
 * into round.ts, and what that says goes out. It does nothing else, so that no heartbeat waits for anything.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Router } from 'zeromq';
import { bind } from './exchange/address.ts';
import { behindGate, openGate } from './exchange/gate.ts';
import { numberThread } from './exchange/socketThread.ts';
import { type Malformed, maxMessageBytes, type Prepared, readFromWorker, type Session, writeMessage } from './messages.ts';
import { advance, createRound, type RoundEvent } from './round.ts';
import type { FromServer, ServerThreadOptions, Status, ToServer, WorkerStatus } from './serverMessages.ts';

numberThread(workerData);
const { run, listen, round: roundOptions, keys } = workerData as ServerThreadOptions;
const port = parentPort!;
const tell = (message: FromServer) => port.postMessage(message);
const tickMs = 100;
const statusMs = 500;
const { deadAfterMs } = roundOptions.timing;

let round = createRound(roundOptions);
let pending: RoundEvent[] = [];
let isScheduled = false;
let endedAt: number | undefined;
/** By session, the way back to the worker: the last one that it was heard on. Old sessions go first where there are too many. */
const routes = new Map<string, Buffer>();
const maxRoutes = 1024;
const dropped: Partial<Record<Malformed, number>> = {};
const refused = { auth: 0, protocol: 0, other: 0 };
/** What workers said of their last step. */
const timings = new Map<string, Pick<Prepared, 'seconds' | 'lateMs'>>();

const gate = keys && (await openGate([keys.worker.publicKey]));
const router = new Router({
  linger: 500,
  handshakeInterval: 2000,
  tcpMaxRetransmitTimeout: 4000,
  maxMessageSize: maxMessageBytes,
  sendHighWaterMark: 256,
  receiveHighWaterMark: 256,
  backlog: 256,
  ...(keys && { curveServer: true, curveSecretKey: keys.coordinator.secretKey, ...behindGate }),
});
for (const why of ['auth', 'protocol', 'other'] as const) router.events.on(`handshake:error:${why}`, () => refused[why]++);

const sessionKey = ({ process, attempt }: Session) => `${process}/${attempt}`;

function take(event: RoundEvent): void {
  pending.push(event);
  if (isScheduled) return;
  isScheduled = true;
  // What lies in the socket already belongs to the same moment.
  setImmediate(flush);
}

function flush(): void {
  isScheduled = false;
  const events = pending;
  pending = [];
  const now = performance.now();
  const next = advance(round, events, now);
  round = next.round;
  for (const effect of next.effects) {
    if (effect.do === 'send')
      post(effect.session, { version: 1, run, term: roundOptions.term, session: effect.session, body: effect.body });
    else tell({ type: 'event', event: effect });
    // With a checkpoint goes who has made it: a short run may end before the next status is due.
    if (effect.do === 'checkpointed') tellStatus();
  }
  if (round.end) {
    endedAt ??= now;
    // Until all have heard of the end, or cannot be expected to. A run that was over before this process began has workers, if any, that
    // have yet to come.
    if ((round.workers.size === 0 && !roundOptions.isOver) || now - endedAt > 2 * deadAfterMs) close();
  }
}

/** One send at a time; a ROUTER never waits: what a worker has no room for is dropped, and said again when it is heard. */
let sending = Promise.resolve();
function post(session: Session, message: Parameters<typeof writeMessage>[0]): void {
  const route = routes.get(sessionKey(session));
  if (!route) return;
  const frame = writeMessage(message);
  sending = sending.then(() => router.send([route, frame])).catch(() => {});
}

function status(): Status {
  const now = performance.now();
  const { phase, generation, committed, members, workers, transfer } = round;
  const stateOf = (id: string): WorkerStatus['state'] => {
    if (workers.get(id)!.leaving) return 'leaving';
    if (!members.includes(id)) return transfer && workers.get(id)!.holds?.step !== committed?.step ? 'fetching' : 'spare';
    if (phase === 'opening' && !round.addresses.has(id)) return 'opening';
    return phase === 'computing' && !round.prepared.has(id) ? 'computing' : 'waiting';
  };
  const lateOf = (rank: number) => members.map(id => timings.get(id)?.lateMs[rank]).filter(late => late !== undefined);
  const placeOf = (rank: number) => ({ rank, lateMs: median(lateOf(rank)), lanes: round.ranges[rank].end - round.ranges[rank].start });
  for (const id of timings.keys()) if (!workers.has(id)) timings.delete(id);
  return {
    phase,
    generation,
    step: committed?.step,
    workers: [...workers.values()].map(({ id, heardAt }) => ({
      id,
      ...(members.includes(id) && placeOf(members.indexOf(id))),
      state: stateOf(id),
      silentMs: Math.round(now - heardAt),
      seconds: timings.get(id)?.seconds,
    })),
    dropped: { ...dropped },
    refused: { ...refused },
  };
}

const tellStatus = (): void => tell({ type: 'event', event: { do: 'status', status: status() } });

/** The lower one of two. */
const median = (values: number[]): number | undefined => values.sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)];

async function receive(): Promise<void> {
  for await (const [route, ...frames] of router) {
    const read = readFromWorker(frames, run);
    if ('malformed' in read) {
      dropped[read.malformed] = (dropped[read.malformed] ?? 0) + 1;
      continue;
    }
    const { message } = read;
    const key = sessionKey(message.session);
    routes.delete(key);
    routes.set(key, route);
    if (routes.size > maxRoutes) routes.delete(routes.keys().next().value!);
    if (message.body.type === 'prepared') timings.set(message.id, message.body);
    take(message);
  }
}

let isClosing = false;
function close(): void {
  if (isClosing) return;
  isClosing = true;
  clearInterval(ticking);
  clearInterval(reporting);
  tellStatus();
  void sending.then(() => router.close());
}

const ticking = setInterval(() => take({ tick: true }), tickMs);
const reporting = setInterval(tellStatus, statusMs);
port.on('message', (message: ToServer) => {
  if (message === 'close') close();
  else take(message);
});

try {
  const deaf = await bind(router, listen).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => ({ code: error.code, message: error.message }),
  );
  if (deaf) tell({ type: 'deaf', error: deaf });
  else {
    tell({ type: 'listening', endpoint: router.lastEndpoint! });
    await receive();
  }
} finally {
  clearInterval(ticking);
  clearInterval(reporting);
  if (!router.closed) router.close();
  await gate?.close();
  port.close();
}
