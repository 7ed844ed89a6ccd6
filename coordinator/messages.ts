/**
 * What coordinator and workers say to each other on the control socket: one JSON frame a message, small, versioned, checked whole at
 * the door. What is too large, malformed, of another version or of another run is an error value that the reader counts and drops;
 * reading never throws.
 */
import { z } from 'zod';
import { type ErrorCode, errorCodes } from '../trainer/errors.ts';

export const protocolVersion = 1;
/** Bytes of the largest message. Checked before sending too: a receiver that gets more drops the connection without a word. */
export const maxMessageBytes = 256 * 1024;
export const maxWorkers = 256;
export const maxLanes = 4096;
/** In one message. */
export const maxReports = 256;

const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const text = (length: number) => z.string().max(length);
const name = z.string().regex(/^[\w.-]{1,63}$/);
const digest = text(128);
const address = text(256);
const report = text(20_000);
const errorCode = z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]]);

/** One stay of a worker in a run: a process, and how often it has joined. A worker that was taken for dead joins anew. */
const session = z.strictObject({ process: z.uuid(), attempt: count });

/** What must be the same on all workers for their weights to be the same, as digests. */
const digests = z.strictObject({ job: digest, code: digest, data: digest, library: digest });

/** The state after `step` steps, the place in the epoch's order at which the next step begins, and whether there is no next one. */
const holding = z.strictObject({ step: count, digest, epoch: count, next: count, finished: z.boolean() });

/** A contiguous part of the order of an epoch that has `of` samples. */
const samples = z.strictObject({ epoch: count, first: count, count, of: count });

const committed = z.strictObject({ generation: count, step: count, digest, checkpoint: z.boolean() });

const fromWorkerBody = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('join'),
    /** How often this worker was started, as far as its starter knows: a higher number takes the place of a lower one. */
    incarnation: count,
    /** The highest term of a coordinator that this worker has seen. */
    term: count,
    digests,
    /** The most lanes that fit here. */
    capacity: z.int().min(1).max(maxLanes),
    holds: holding.optional(),
  }),
  z.strictObject({
    type: z.literal('heartbeat'),
    generation: count,
    /** The last step that was applied. */
    step: count,
    /** The step that is computed or prepared in this generation, and the one that is prepared; 0 if none. */
    started: count,
    prepared: count,
    /** Milliseconds since the main thread last gave a sign of life. */
    stalledMs: count,
  }),
  z.strictObject({ type: z.literal('listening'), generation: count, address }),
  z.strictObject({
    type: z.literal('prepared'),
    generation: count,
    step: count,
    /** Of what would be applied. */
    digest,
    /** Those of this worker's lanes; none in a round that is no training step. */
    samples: samples.optional(),
    /** What comes after this step: the next one, a checkpoint and the next one, or a checkpoint and the end of the run. */
    after: z.enum(['next', 'checkpoint', 'finish']),
    /** Of computing, without waiting for others. */
    seconds: z.number().min(0),
    /** By rank: milliseconds that its part of a sum came here after the first one, at most. */
    lateMs: z.array(z.number().min(0)).max(maxWorkers).readonly(),
  }),
  /** The task's report of a step that this worker has applied. */
  z.strictObject({ type: z.literal('applied'), step: count, report }),
  /** Those from a step on that the coordinator has asked for, in order, as many as fit; it holds the state after step `until`. */
  z.strictObject({
    type: z.literal('reports'),
    from: count,
    until: count,
    reports: z
      .array(z.strictObject({ step: count, report }))
      .max(maxReports)
      .readonly(),
  }),
  z.strictObject({ type: z.literal('offering'), step: count, address }),
  z.strictObject({ type: z.literal('holding'), holds: holding }),
  /** The state could not be had there; it is tried again when asked for. */
  z.strictObject({ type: z.literal('unfetched'), address }),
  /** The share of this rank, of so many, is stored; `share` says what the manifest must know of it. */
  z.strictObject({ type: z.literal('saved'), generation: count, step: count, rank: count, size: count, share: text(200_000) }),
  z.strictObject({
    type: z.literal('failed'),
    generation: count,
    step: count,
    code: errorCode,
    sentence: text(4000),
    images: z.array(text(255)).max(256),
  }),
  /** The exchange cannot reach the worker of this rank. */
  z.strictObject({ type: z.literal('unreachable'), generation: count, rank: count }),
  z.strictObject({ type: z.literal('leave') }),
  /** The last word of a process that ends. */
  z.strictObject({ type: z.literal('gone') }),
]);

const fromCoordinatorBody = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('welcome') }),
  z.strictObject({ type: z.literal('alive') }),
  z.strictObject({
    type: z.literal('refuse'),
    /** `unknown`: join (again). `duplicate`: another process of that name is in; it may be gone soon. The others are final. */
    reason: z.enum(['unknown', 'duplicate', 'digest', 'full']),
    sentence: text(1000),
  }),
  z.strictObject({
    type: z.literal('assign'),
    generation: count,
    rank: count,
    /** The lanes of every rank. */
    ranges: z
      .array(z.strictObject({ start: count, end: count }))
      .min(1)
      .max(maxWorkers),
    committed,
  }),
  z.strictObject({ type: z.literal('start'), generation: count, step: count, peers: z.array(address).max(maxWorkers) }),
  z.strictObject({ type: z.literal('commit'), committed }),
  z.strictObject({ type: z.literal('abort'), generation: count, committed }),
  /** Say what was reported of the steps from this one on. */
  z.strictObject({ type: z.literal('report'), from: count }),
  z.strictObject({ type: z.literal('offerState'), step: count }),
  z.strictObject({ type: z.literal('fetchState'), step: count, address }),
  z.strictObject({ type: z.literal('end'), code: z.union([errorCode, z.enum(['ok', 'left'])]), sentence: text(8000) }),
]);

const fromWorker = z.strictObject({
  version: z.literal(protocolVersion),
  run: name,
  id: name,
  session,
  body: fromWorkerBody,
});

const fromCoordinator = z.strictObject({
  version: z.literal(protocolVersion),
  run: name,
  /** Counts the coordinators of a run: a worker that has heard a higher one no longer heeds a lower one. */
  term: count,
  /** Whom it is for. */
  session,
  body: fromCoordinatorBody,
});

export type Session = z.infer<typeof session>;
export type Digests = z.infer<typeof digests>;
export type Holding = z.infer<typeof holding>;
export type Samples = z.infer<typeof samples>;
export type Committed = z.infer<typeof committed>;
export type FromWorker = z.infer<typeof fromWorker>;
export type FromWorkerBody = z.infer<typeof fromWorkerBody>;
export type FromCoordinator = z.infer<typeof fromCoordinator>;
export type FromCoordinatorBody = z.infer<typeof fromCoordinatorBody>;
export type Prepared = Extract<FromWorkerBody, { type: 'prepared' }>;
export type EndCode = Extract<FromCoordinatorBody, { type: 'end' }>['code'];

export const sameSession = (a: Session, b: Session): boolean => a.process === b.process && a.attempt === b.attempt;

/** Why a frame was dropped; counted under these names. */
export type Malformed = 'size' | 'parts' | 'json' | 'version' | 'run' | 'shape';
export type Read<T> = { readonly message: T } | { readonly malformed: Malformed };

/**
 * As a string, which ZeroMQ copies. A longer buffer it would only borrow, and give back to a thread that may have ended meanwhile: seen
 * with zeromq 6.8 as a corrupted heap in 2 of 30 processes that closed a thread right after a send, and in none of 70 with strings.
 *
 * @throws Error if it is too large for the other side, which would drop the connection without a word
 */
export function writeMessage(message: FromWorker | FromCoordinator): string {
  const text = JSON.stringify(message);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxMessageBytes) throw new Error(`a ${message.body.type} message of ${bytes} bytes is over the limit of ${maxMessageBytes}`);
  return text;
}

export const readFromWorker = (frames: readonly Uint8Array[], run: string): Read<FromWorker> => read(fromWorker, frames, run);
export const readFromCoordinator = (frames: readonly Uint8Array[], run: string): Read<FromCoordinator> =>
  read(fromCoordinator, frames, run);

function read<T>(schema: z.ZodType<T>, frames: readonly Uint8Array[], run: string): Read<T> {
  if (frames.length !== 1) return { malformed: 'parts' };
  const [bytes] = frames;
  if (bytes.length > maxMessageBytes) return { malformed: 'size' };
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch {
    return { malformed: 'json' };
  }
  const { version, run: theirs } = (value ?? {}) as { version?: unknown; run?: unknown };
  if (version !== protocolVersion) return { malformed: 'version' };
  if (theirs !== run) return { malformed: 'run' };
  const parsed = schema.safeParse(value);
  return parsed.success ? { message: parsed.data } : { malformed: 'shape' };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });
