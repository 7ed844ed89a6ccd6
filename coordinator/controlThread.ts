/**
 * The thread of a worker that talks to the coordinator: heartbeats go on while the main thread builds a session or hangs, and carry how
 * long ago the main thread gave its last sign of life.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Dealer } from 'zeromq';
import type { KeyPair } from './exchange/keys.ts';
import { numberThread } from './exchange/socketThread.ts';
import { advanceMember, createMember, type Done, type MemberEvent, type MemberOptions, type MemberOutcome, type Order } from './member.ts';
import { type FromWorker, maxMessageBytes, readFromCoordinator, writeMessage } from './messages.ts';

export interface ControlThreadOptions {
  readonly run: string;
  readonly coordinator: string;
  readonly keys?: { readonly own: KeyPair; readonly coordinator: string };
  readonly member: MemberOptions;
  /** One 64-bit integer: when the main thread gave its last sign, in milliseconds of `process.hrtime`. */
  readonly stamp: BigInt64Array;
}

export type ToControl = { readonly done: Done } | { readonly leave: true } | { readonly close: true };
export type FromControl = Order;

/** Milliseconds of a clock that all threads share and that never goes back. */
export const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);

/** A coordinator that was not heard for so long is connected to anew. */
const redialMs = 5000;

// The main thread imports this file for its types and the clock.
if (parentPort && (workerData as ControlThreadOptions | undefined)?.member) {
  numberThread(workerData);
  await serve(workerData as ControlThreadOptions, parentPort);
}

async function serve({ run, coordinator, keys, member: options, stamp }: ControlThreadOptions, port: NonNullable<typeof parentPort>) {
  const dealer = new Dealer({
    linger: 500,
    // What cannot be sent now is old before it could be: the next heartbeat says it anew.
    immediate: true,
    sendTimeout: 0,
    sendHighWaterMark: 64,
    receiveHighWaterMark: 256,
    maxMessageSize: maxMessageBytes,
    handshakeInterval: 2000,
    // After a cut the kernel would try again ever more rarely, for as long as the cut lasted: a new connection is there sooner.
    tcpMaxRetransmitTimeout: 4000,
    connectTimeout: 2000,
    reconnectInterval: 100,
    reconnectMaxInterval: 1000,
    ...(keys && { curveServerKey: keys.coordinator, curvePublicKey: keys.own.publicKey, curveSecretKey: keys.own.secretKey }),
  });
  let { member, orders } = createMember(options, monotonicMs());
  for (const order of orders) port.postMessage(order);

  let sending = Promise.resolve();
  const advance = (event: MemberEvent) => carryOut(advanceMember(member, event, monotonicMs()));
  const carryOut = (outcome: MemberOutcome) => {
    member = outcome.member;
    for (const { session, body } of outcome.send) {
      const message: FromWorker = { version: 1, run, id: options.id, session, body };
      const frame = writeMessage(message);
      sending = sending.then(() => dealer.send(frame)).catch(() => {});
    }
    for (const order of outcome.orders) port.postMessage(order);
    if (outcome.orders.some(({ order }) => order === 'end')) close();
  };

  let dialledAt = monotonicMs();
  const ticking = setInterval(() => {
    // ZeroMQ looks the name up again whenever it connects. A coordinator that stands still, or is cut off, keeps its connection: its successor
    // may have another address.
    if (monotonicMs() - Math.max(member.heardAt, dialledAt) > redialMs) {
      dealer.disconnect(coordinator);
      dealer.connect(coordinator);
      dialledAt = monotonicMs();
    }
    advance({ tick: true, stalledMs: Math.max(0, monotonicMs() - Number(Atomics.load(stamp, 0))) });
  }, options.timing.heartbeatMs);
  const close = () => {
    clearInterval(ticking);
    void sending.then(() => dealer.close());
  };
  port.on('message', (message: ToControl) => {
    if ('close' in message) close();
    else if (!dealer.closed) advance(message);
  });

  dealer.connect(coordinator);
  try {
    for await (const frames of dealer) {
      const read = readFromCoordinator(frames, run);
      if ('message' in read) advance({ heard: read.message });
    }
  } finally {
    close();
    port.close();
  }
}
