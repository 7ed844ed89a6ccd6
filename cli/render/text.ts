/**
 * Small pieces of text for terminals.
 */
import Table from 'cli-table3';

/** Three digits that matter; "-" for what is not a number. */
export function number(value: number | undefined, digits = 4): string {
  return value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(digits);
}

export const percent = (share: number | undefined, digits = 1): string =>
  share === undefined ? '-' : `${(100 * share).toFixed(digits)} %`;

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-';
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
}

/** Roughly: in the largest unit of which there is one. */
export function age(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-';
  const units = [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
  ] as const;
  const [unit, size] = units.find(([, size]) => seconds >= size) ?? ['s', 1];
  return `${Math.floor(Math.max(seconds, 0) / size)} ${unit}`;
}

/** From elsewhere, and on its way to a terminal: what could move the cursor or change colours is shown as a mark. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what it is about
export const harmless = (text: string): string => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');

/** The last values as bars, lowest to highest. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  const bars = '▁▂▃▄▅▆▇█';
  return shown.map(value => bars[high > low ? Math.round(((value - low) / (high - low)) * (bars.length - 1)) : 0]).join('');
}

export function progressBar(share: number, width: number): string {
  const filled = Math.round(Math.min(Math.max(share, 0), 1) * width);
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}

/** @param numLeft columns that begin at the left: names */
export function table(head: readonly string[], rows: readonly (readonly string[])[], numLeft = 1): string {
  const drawn = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    colAligns: head.map((_, i) => (i < numLeft ? 'left' : 'right')),
  });
  drawn.push(...rows.map(row => [...row]));
  return drawn.toString();
}
