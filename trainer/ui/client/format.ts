/**
 * Numbers, times and states for people.
 */
import { h } from './dom.ts';

export const fixed = (value: number | undefined | null, digits = 4): string =>
  value === undefined || value === null || !Number.isFinite(value) ? '–' : value.toFixed(digits).replace('-', '−');

/** Three significant digits, whatever the size. */
export function short(value: number | undefined | null): string {
  if (value === undefined || value === null || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (value === 0) return '0';
  return (size >= 1e5 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4)))).replace('-', '−');
}

const units = [
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
] as const;

export function duration(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return '–';
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const i = Math.max(
    0,
    units.findIndex(([, size]) => seconds >= size),
  );
  const [unit, size] = units[i];
  const whole = Math.floor(seconds / size);
  const next = units[i + 1];
  const rest = next && whole < 10 ? Math.floor((seconds - whole * size) / next[1]) : 0;
  return rest > 0 ? `${whole} ${unit} ${rest} ${next[0]}` : `${whole} ${unit}`;
}

export const ago = (at: number): string => `${duration(Math.max(0, (Date.now() - at) / 1000))} ago`;

export const bytes = (count: number): string =>
  count < 1e6 ? `${(count / 1e3).toFixed(0)} kB` : count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(2)} GB`;

const signs: Readonly<Record<string, string>> = {
  running: '▶',
  waiting: '○',
  silent: '…',
  killed: '✕',
  paused: 'Ⅱ',
  stopped: '■',
  failed: '✕',
  partial: '◐',
  succeeded: '✓',
};

/** Not by colour alone. */
export const badge = (state: string): HTMLElement =>
  h('span', { class: `badge ${state}` }, h('span', { 'aria-hidden': 'true' }, `${signs[state] ?? '•'} `), state);
