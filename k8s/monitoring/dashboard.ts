/**
 * What a dashboard is, as data: grafana.ts makes of it what Grafana reads, tests run its queries, and a picture is drawn of it.
 */
import type { MetricName } from './queries.ts';

/** series: lines; stacked: areas on one another; bars, stat and table: the values of now; states: one of some states over time. */
export type PanelKind = 'series' | 'stacked' | 'bars' | 'stat' | 'table' | 'states';

/** As Grafana names them. */
export type Unit = 'short' | 'none' | 'percentunit' | 's' | 'bytes' | 'ops';

export interface Query {
  readonly expression: string;
  /** `{{label}}` stands for its value. */
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  readonly about: string;
  readonly kind: PanelKind;
  /** @default short */
  readonly unit?: Unit;
  /** Of 24 columns. @default 8 */
  readonly width?: number;
  readonly isLog?: boolean;
  /** Values may be below 0. */
  readonly isSigned?: boolean;
  /** Of the axis. */
  readonly max?: number;
  readonly queries: readonly Query[];
  /** What the numbers of a panel of states mean, from 0. */
  readonly states?: readonly string[];
  /** Names of columns, one a query, where it is a table. */
  readonly columns?: readonly string[];
  /** What has to be there, besides segfleet, for it to show something. */
  readonly needs?: string;
}

export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** What can be chosen at the top: all values of a label, or some that are written here. */
export type Choice =
  | {
      readonly name: string;
      readonly label: string;
      /** Of which metric, and which of its labels. */
      readonly of: readonly [metric: MetricName, label: string];
      readonly among?: Readonly<Record<string, string>>;
    }
  | { readonly name: string; readonly label: string; readonly values: readonly string[]; readonly first: string };

export interface Dashboard {
  /** Of its file, and in its address. */
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly choices: readonly Choice[];
  readonly rows: readonly Row[];
}
