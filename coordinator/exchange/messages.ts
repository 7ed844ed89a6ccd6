/**
 * What the main thread and the thread of the exchange say to each other, and the numbers that they share.
 */
import { type Refusal, refusals } from './frame.ts';
import type { KeyPair } from './keys.ts';
import type { PlanOptions } from './plan.ts';

export interface ThreadOptions extends PlanOptions {
  readonly run: string;
  readonly generation: number;
  readonly firstStep: number;
  readonly listen: string;
  readonly keys: KeyPair | undefined;
  readonly memory: WebAssembly.Memory;
  readonly counters: SharedArrayBuffer;
}

export const sharesMemory = (listen: string): boolean => listen.startsWith('shm://');

export type ToThread =
  | { readonly type: 'connect'; readonly endpoints: readonly string[] }
  | { readonly type: 'begin'; readonly step: number }
  | { readonly type: 'lane'; readonly bucket: number }
  | { readonly type: 'close' };

export type FromThread =
  | { readonly type: 'bound'; readonly endpoint: string }
  /** With that rank. */
  | { readonly type: 'connected'; readonly rank: number }
  | { readonly type: 'complete'; readonly step: number; readonly bucket: number }
  /** Of the thread itself: it closes everything by itself. The code is segfleet's or the system's; an error alone loses it on its way. */
  | { readonly type: 'failed'; readonly error: unknown; readonly code: string | undefined }
  /** Nothing can be summed any more: a peer's connection broke, or what it sent was damaged. */
  | { readonly type: 'broken'; readonly rank: number; readonly why: 'left' | 'damaged' | 'refused' };

/** Why a connection was not let in: a key that is not known, something that does not speak the protocol or not with keys, anything else. */
export const handshakeFailures = ['auth', 'protocol', 'other'] as const;

const scalars = ['bytesSent', 'bytesReceived', 'framesReceived'] as const;
const perRank = ['contributionMs', 'sumMs', 'contributionTotalMs', 'sumTotalMs', 'framesMissing'] as const;
const names = [...scalars, ...refusals.map(name => `frame:${name}`), ...handshakeFailures.map(name => `handshake:${name}`)];

/** One 64-bit float each, written by the thread and read by anyone at any time. */
export class Counters {
  readonly buffer: SharedArrayBuffer;
  readonly #values: Float64Array;

  constructor(workers: number, buffer = new SharedArrayBuffer(8 * (names.length + perRank.length * workers))) {
    this.buffer = buffer;
    this.#values = new Float64Array(buffer);
  }

  add(name: (typeof scalars)[number] | `frame:${Refusal}` | `handshake:${(typeof handshakeFailures)[number]}`, by = 1): void {
    this.#values[names.indexOf(name)] += by;
  }

  set(rank: number, name: (typeof perRank)[number], value: number): void {
    this.#values[names.length + rank * perRank.length + perRank.indexOf(name)] = value;
  }

  ofRank(rank: number): Record<(typeof perRank)[number], number> {
    return Object.fromEntries(perRank.map((name, index) => [name, this.#values[names.length + rank * perRank.length + index]])) as never;
  }

  get(name: string): number {
    return this.#values[names.indexOf(name)];
  }
}
