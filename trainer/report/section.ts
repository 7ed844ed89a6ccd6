/**
 * What a report is made of, as plain data: sections of text, tables, charts and pictures. page.ts makes markup of it, files.ts files.
 */
import type { Chart } from './chart.ts';
import type { Html } from './html.ts';
import type { Table } from './table.ts';

export type Part =
  | { readonly kind: 'text'; readonly text: Html }
  /** @property folded not shown until it is asked for */
  | { readonly kind: 'table'; readonly table: Table; readonly note?: string; readonly isFolded?: boolean }
  /** With the numbers that it is drawn from. */
  | { readonly kind: 'chart'; readonly chart: Chart; readonly data: Table; readonly note?: string }
  /** Two parameters; the shade of a cell follows its value. */
  | { readonly kind: 'heat'; readonly table: Table; readonly better: 'higher' | 'lower'; readonly note?: string }
  | { readonly kind: 'pictures'; readonly title: string; readonly rows: readonly PictureRow[]; readonly note?: string }
  | { readonly kind: 'folded'; readonly title: string; readonly text: string };

export interface PictureRow {
  readonly title: string;
  readonly pictures: readonly Picture[];
}

export interface Picture {
  readonly caption: string;
  readonly detail: string;
  readonly description: string;
  /** WebP. */
  readonly bytes: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export interface Section {
  readonly id: string;
  readonly title: string;
  readonly parts: readonly Part[];
}

export const plural = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

/** "a, b and c" */
export const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
