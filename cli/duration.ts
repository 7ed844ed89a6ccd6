/**
 * Times as users write them on a command line: 30s, 10m, 1h30m.
 */
import { SegfleetError } from '../trainer/errors.ts';

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** What a timer of JavaScript can hold. */
const longestMs = 2 ** 31 - 1;

/** @throws usage */
export function millisecondsOf(flag: string, text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g)];
  const isWhole = parts.length > 0 && parts.map(([part]) => part).join('') === text;
  const sum = parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit as keyof typeof units], 0);
  if (!isWhole || sum > longestMs) {
    throw new SegfleetError('usage', `${flag} ${text.slice(0, 100)}: this is not a time of at most 24 days; write it as 30s, 10m or 1h30m`);
  }
  return sum;
}
