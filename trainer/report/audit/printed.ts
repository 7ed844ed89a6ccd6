/**
 * Numbers as they are printed: all that a number may have been before it was rounded. What follows from tables is told from these intervals, so that
 * rounding is never taken for a contradiction.
 */

/** A share between 0 and 1, or what is derived from shares. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface Printed extends Interval {
  /** As it stands in the file. */
  readonly text: string;
  readonly value: number;
}

const pattern = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;

/** Beyond these digits a number was not rounded for print but is what a computer computed; its last bits are not held against it. */
const leastHalfUnit = 1e-9;

/**
 * Half a unit of the last digit to either side: 78.62 is anything from 78.615 to 78.625.
 *
 * @returns undefined for what is no number
 */
export function readPrinted(text: string): Printed | undefined {
  const match = pattern.exec(text);
  if (!match) return undefined;
  const [, , , decimals = '', exponent = '0'] = match;
  const value = Number(text);
  const half = Math.max(leastHalfUnit, 0.5 * 10 ** (Number(exponent) - decimals.length));
  return { text, value, low: value - half, high: value + half };
}

/** The same number in another unit: percent / 100 is a share. */
export const scaled = ({ text, value, low, high }: Printed, factor: number): Printed => ({
  text,
  value: value * factor,
  low: low * factor,
  high: high * factor,
});

/** A function that never falls, of an interval. */
export const rising = ({ low, high }: Interval, f: (x: number) => number): Interval => ({ low: f(low), high: f(high) });

export const meets = (a: Interval, b: Interval): boolean => a.low <= b.high && b.low <= a.high;

export const widened = ({ low, high }: Interval, by: number): Interval => ({ low: low - by, high: high + by });
