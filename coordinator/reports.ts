/**
 * What a worker says of a round that it has applied, and of its share of a checkpoint: text within messages of the control socket.
 */
import type { Scores } from '../trainer/evaluate.ts';
import type { Position } from '../trainer/position.ts';
import type { Chunk } from '../trainer/storage/manifest.ts';
import type { StepEvent } from '../trainer/tracking/events.ts';

/** Scores of earlier epochs are left out: the coordinator has them, and they may be many. */
type Stand = Omit<Position, 'scores'>;

export type Report =
  | StepEvent
  /** In the middle of a validation. */
  | { readonly event: 'validating'; readonly images: number }
  /** The end of an epoch; the position before it. */
  | { readonly event: 'validated'; readonly position: Stand; readonly validation: Scores };

/** Of a checkpoint: what its manifest must know of what one rank has stored. */
export interface ShareReport {
  readonly position: Stand;
  readonly chunks: readonly Chunk[];
}

/** JSON, in which what is not a number stays that. */
export const write = (value: Report | ShareReport): string =>
  JSON.stringify(value, (_, inner) => (typeof inner === 'number' && !Number.isFinite(inner) ? { number: String(inner) } : inner));

const read = <T>(text: string): T =>
  JSON.parse(text, (_, inner) =>
    typeof inner?.number === 'string' && Object.keys(inner).length === 1 ? Number(inner.number) : inner,
  ) as T;

export const readReport = (text: string): Report => read<Report>(text);
export const readShare = (text: string): ShareReport => read<ShareReport>(text);
