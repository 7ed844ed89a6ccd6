/**
 * What the coordinator's main thread and its socket thread say to each other.
 */
import type { KeyPair } from './exchange/keys.ts';
import type { Malformed } from './messages.ts';
import type { Command, Effect, RoundOptions } from './round.ts';

export interface ServerThreadOptions {
  readonly run: string;
  readonly listen: string;
  readonly round: RoundOptions;
  readonly keys?: { readonly coordinator: KeyPair; readonly worker: KeyPair };
}

export interface WorkerStatus {
  readonly id: string;
  /** Undefined for a spare, and how many lanes it computes. */
  readonly rank?: number;
  readonly lanes?: number;
  readonly state: 'spare' | 'fetching' | 'opening' | 'computing' | 'waiting' | 'leaving';
  /** Milliseconds since it was heard last. */
  readonly silentMs: number;
  /** Its own computing time in the last step that it prepared. */
  readonly seconds?: number;
  /** Milliseconds that its part of a sum came to the others after the first one: the median over them. */
  readonly lateMs?: number;
}

export interface Status {
  readonly phase: 'boundary' | 'opening' | 'computing' | 'ended';
  readonly generation: number;
  readonly step?: number;
  readonly workers: readonly WorkerStatus[];
  /** Frames that were dropped, by why. */
  readonly dropped: Readonly<Partial<Record<Malformed, number>>>;
  /** Connections that did not get in, by why. */
  readonly refused: Readonly<Record<'auth' | 'protocol' | 'other', number>>;
}

export type CoordinatorEvent = Exclude<Effect, { do: 'send' }> | { readonly do: 'status'; readonly status: Status };

export type ToServer = Command | 'close';

export type FromServer =
  | { readonly type: 'listening'; readonly endpoint: string }
  /** It cannot listen. Said, not thrown: a thread that ends by an error while sockets are being closed ends the process. */
  | { readonly type: 'deaf'; readonly error: { readonly code?: string; readonly message: string } }
  | { readonly type: 'event'; readonly event: CoordinatorEvent };
