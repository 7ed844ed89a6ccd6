/**
 * The thread of the exchange: its sockets, and the sums between them, so that neither waits for the main thread nor holds it up.
 * It ends by closing its sockets and returning.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { Pull, Push } from 'zeromq';
import { bytesPerNumber } from '../../trainer/wire.ts';
import { bind } from './address.ts';
import { arenaOf } from './arena.ts';
import { decodeFrame, type Expected, encodeHeader, type Header, headerBytes, runTag } from './frame.ts';
import { behindGate, type Gate, openGate } from './gate.ts';
import { loadKernels } from './kernels.ts';
import { Counters, type FromThread, handshakeFailures, sharesMemory, type ThreadOptions, type ToThread } from './messages.ts';
import { defaultChunkLength, planOf } from './plan.ts';
import { type Outgoing, Reducer } from './reduce.ts';
import type { Segment } from './segment.ts';
import { numberThread } from './socketThread.ts';

const options = workerData as ThreadOptions;
const { generation, keys, memory, rank } = options;
const port = parentPort!;
numberThread(workerData);
const plan = planOf(options);
const run = runTag(options.run);
const counters = new Counters(plan.workers, options.counters);
/** `shm:` shares the numbers in memory, and sends headers through an `ipc:` socket. */
const sharing = sharesMemory(options.listen);
const expected: Expected = { plan, run, generation, inline: !sharing };
const segmentModule = sharing ? await import('./segment.ts') : undefined;
const listen = options.listen.replace(/^shm:/, 'ipc:');
const pathOf = (endpoint: string) => endpoint.slice('ipc://'.length);
const tell = (message: FromThread) => port.postMessage(message);

/** Frames that wait between a socket and its reader. Each side of a connection holds that many at most. */
const highWaterMark = 8;
/** A peer that connects and says nothing is dropped. */
const handshakeMs = 5000;
/** A connection on which nothing that was sent is acknowledged for so long is broken. */
const unacknowledgedMs = 10_000;

/**
 * Where nothing is under way, probes are, and the same time holds for them: a worker that waits for a lost frame of another one, which
 * has all that it needs itself, would wait for ever. The kernel answers them, however busy the process is.
 */
const keepalive = { tcpKeepalive: 1, tcpKeepaliveIdle: 5, tcpKeepaliveInterval: 1 } as const; // seconds

const common = { linger: 0, handshakeInterval: handshakeMs, tcpMaxRetransmitTimeout: unacknowledgedMs, ...keepalive } as const;
const chunkBytes = (options.chunkLength ?? defaultChunkLength) * bytesPerNumber.float32;

let closing = false;
let own: Segment | undefined;
const peers: (Peer | undefined)[] = [];

/** One connection to send on. A socket takes one frame at a time, so they queue here; the numbers stay where they are. */
class Peer {
  readonly #socket: Push;
  readonly #queue: Outgoing[] = [];
  #sending = false;
  /** What it shares. */
  readonly segment: Segment | undefined;

  constructor(to: number, endpoint: string, connected: () => void) {
    // Before the socket: when all have connected, the file of the segment goes.
    this.segment = segmentModule?.openSegment(pathOf(endpoint), plan, to);
    const curve = keys && { curveServerKey: keys.publicKey, curvePublicKey: keys.publicKey, curveSecretKey: keys.secretKey };
    this.#socket = new Push({ ...common, ...curve, sendHighWaterMark: highWaterMark, immediate: true, reconnectInterval: 50 });
    let up = false;
    this.#socket.events.on('handshake', () => {
      up = true;
      connected();
    });
    this.#socket.events.on('disconnect', () => {
      // Before the handshake the peer may not be ready yet, and ZeroMQ tries again; after it something that was sent may be lost.
      if (up && !closing) tell({ type: 'broken', rank: to, why: 'left' });
    });
    this.#socket.events.on('handshake:error:auth', () => tell({ type: 'broken', rank: to, why: 'refused' }));
    this.#socket.connect(endpoint.replace(/^shm:/, 'ipc:'));
  }

  send(frame: Outgoing): void {
    this.#queue.push(frame);
    if (!this.#sending) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#sending = true;
    try {
      for (let frame = this.#queue.shift(); frame && !closing; frame = this.#queue.shift()) {
        const { kind, wire, step, bucket, node, slice, chunk, checksum, address, bytes } = frame;
        const header = encodeHeader({ kind, wire, run, generation, step, bucket, from: rank, slice, node, ...chunk, checksum });
        await this.#socket.send(own ? [header] : [header, new Uint8Array(memory.buffer, address, bytes)]);
        counters.add('bytesSent', bytes);
      }
    } catch (error) {
      if (!closing) fail(error);
    } finally {
      this.#sending = false;
    }
  }

  close(): void {
    this.#socket.close();
  }
}

function send(frame: Outgoing): void {
  if (own) {
    const place = segmentModule!.placeOf({ ...frame, ...frame.chunk, run, generation, from: rank }, plan);
    own.bytes.set(new Uint8Array(memory.buffer, frame.address, frame.bytes), place);
  }
  for (const to of frame.to) peers[to]!.send(frame);
}

/** The numbers of a frame, where they are. */
function numbersOf(header: Header, parts: readonly Buffer[]): Uint8Array {
  if (!sharing) return parts[1];
  const place = segmentModule!.placeOf(header, plan);
  return peers[header.from]!.segment!.bytes.subarray(place, place + header.length * bytesPerNumber[header.wire]);
}

const reducer = new Reducer({
  plan,
  memory,
  arena: arenaOf(plan, !sharing),
  kernels: loadKernels(memory),
  firstStep: options.firstStep,
  inline: !sharing,
  now: () => performance.now(),
  send,
  complete: (step, bucket) => tell({ type: 'complete', step, bucket }),
});

/** Until this worker knows the others it reads nothing of what they send. */
const ready = Promise.withResolvers<void>();

function connect(endpoints: readonly string[]): void {
  for (const [to, endpoint] of endpoints.entries()) {
    if (to === rank) continue;
    peers[to] = new Peer(to, endpoint, () => tell({ type: 'connected', rank: to }));
  }
  ready.resolve();
}

function receive(parts: readonly Buffer[]): void {
  const header = decodeFrame(parts, expected);
  if (typeof header === 'string') return counters.add(`frame:${header}`);
  const numbers = numbersOf(header, parts);
  const refusal = reducer.receive(header, numbers);
  if (refusal === 'damaged') return tell({ type: 'broken', rank: header.from, why: 'damaged' });
  if (refusal) return counters.add(`frame:${refusal}`);
  counters.add('framesReceived');
  counters.add('bytesReceived', numbers.byteLength);
  publish();
}

function publish(): void {
  for (let r = 0; r < plan.workers; r++) {
    counters.set(r, 'contributionMs', reducer.lateness.contribution[r]);
    counters.set(r, 'sumMs', reducer.lateness.sum[r]);
    counters.set(r, 'framesMissing', Math.max(0, reducer.missing[r]));
  }
}

/** What the last step showed joins the totals. */
function addUp(): void {
  for (let r = 0; r < plan.workers; r++) {
    const { contributionTotalMs, sumTotalMs } = counters.ofRank(r);
    counters.set(r, 'contributionTotalMs', contributionTotalMs + reducer.lateness.contribution[r]);
    counters.set(r, 'sumTotalMs', sumTotalMs + reducer.lateness.sum[r]);
  }
}

const curve = keys && { curveServer: true, curveSecretKey: keys.secretKey, ...behindGate };
/** The limit holds for the messages of a handshake with keys too, which are some 300 bytes, and encryption adds 33 bytes (RFC 26). */
const maxMessageSize = (sharing ? headerBytes : chunkBytes) + 1024;
const pull = new Pull({ ...common, ...curve, receiveHighWaterMark: highWaterMark, maxMessageSize, backlog: 64 });
let strangers = plan.workers - 1;
pull.events.on('handshake', () => {
  // All others have mapped the segment: from now on it is gone when the processes are.
  if (--strangers === 0) segmentModule?.removeSegment(pathOf(listen));
});
for (const failure of handshakeFailures) pull.events.on(`handshake:error:${failure}`, () => counters.add(`handshake:${failure}`));

function close(): void {
  if (closing) return;
  closing = true;
  ready.resolve();
  for (const peer of peers) peer?.close();
  pull.close();
}

function handle(message: ToThread): void {
  if (closing) return;
  switch (message.type) {
    case 'connect':
      return connect(message.endpoints);
    case 'begin':
      addUp();
      reducer.begin(message.step);
      return publish();
    case 'lane':
      reducer.addLane(message.bucket);
      return publish();
    case 'close':
      return close();
    default:
      message satisfies never;
  }
}

/** An error that ends a thread while its sockets are open ends the process: it is told, and everything closed. */
function fail(error: unknown): void {
  tell({ type: 'failed', error, code: (error as { code?: string }).code });
  close();
}

/** @returns nothing where a connection ended in the middle of a frame, or the socket was closed */
async function nextFrame(): Promise<Buffer[] | undefined> {
  try {
    return await pull.receive();
  } catch (error) {
    if (!closing && (error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    return undefined;
  }
}

let gate: Gate | undefined;
try {
  gate = keys && (await openGate([keys.publicKey]));
  await bind(pull, listen);
  own = segmentModule?.createSegment(pathOf(listen), plan);
  port.on('message', message => {
    try {
      handle(message);
    } catch (error) {
      fail(error);
    }
  });
  tell({ type: 'bound', endpoint: pull.lastEndpoint!.replace(/^ipc:/, sharing ? 'shm:' : 'ipc:') });
  await ready.promise;
  while (!closing) {
    const parts = await nextFrame();
    if (parts) receive(parts);
    // One turn of the loop for each frame: messages of the main thread and sockets that can take more are not kept waiting.
    await turn();
  }
} catch (error) {
  fail(error);
}
await gate?.close();
for (const segment of [own, ...peers.map(peer => peer?.segment)]) segment?.close();
// Where the others have not all come, its file is there still.
if (own) segmentModule!.removeSegment(pathOf(listen));
port.close();
