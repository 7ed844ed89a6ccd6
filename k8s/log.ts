/**
 * What the operator says while it runs: one JSON object a line, for whatever collects the logs of pods.
 */
import { SegfleetError } from '../trainer/errors.ts';
import type { Clock } from './clock.ts';

export type Level = 'info' | 'warn' | 'error';
export type Log = (level: Level, message: string, fields?: Readonly<Record<string, unknown>>) => void;

export const jsonLog =
  (write: (line: string) => void, clock: Pick<Clock, 'date'>): Log =>
  (level, message, fields) =>
    write(`${JSON.stringify({ time: clock.date().toISOString(), level, message, ...fields })}\n`);

/** An error as fields of a line: the sentence where it is one of ours, and the stack where it is a bug. */
export function errorFields(error: unknown): Record<string, unknown> {
  if (error instanceof SegfleetError && error.code !== 'bug') return { code: error.code, error: error.message, ...error.details };
  return {
    code: 'bug',
    error: error instanceof Error ? error.message : String(error),
    stack: error instanceof Error ? error.stack : undefined,
  };
}
