/**
 * Dashboards and alerts as they lie in the chart: what their expressions name is in the catalogue, and Grafana can lay the panels out.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { alertsFile, dashboards, fileOf } from '../../../k8s/monitoring/files.ts';
import { targetLabels } from '../../../k8s/monitoring/queries.ts';
import { catalogue } from '../../../trainer/tracking/catalogue.ts';

const root = join(import.meta.dirname, '..', '..', '..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}
interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: Place;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly legendFormat: string }[];
}
interface Json {
  readonly uid: string;
  readonly schemaVersion: number;
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly query: string | { query: string } }[];
  };
  readonly panels: readonly Panel[];
}

const made = dashboards.map(dashboard => ({ name: dashboard.name, dashboard, json: JSON.parse(read(fileOf(dashboard))) as Json }));
const rules = (parse(read(alertsFile)) as { groups: { rules: { alert: string; expr: string }[] }[] }).groups.flatMap(({ rules }) => rules);

const entries = new Map(catalogue.flatMap(({ metrics }) => metrics).map(entry => [entry.name, entry]));
const allLabels = new Set([...targetLabels, 'le', ...[...entries.values()].flatMap(({ labels }) => Object.keys(labels))]);

/** What is in an expression, or in the query of a variable, and not in the catalogue. */
function unknownIn(expression: string): string[] {
  const unknown: string[] = [];
  for (const [, name, matchers = ''] of expression.matchAll(/\b(segfleet_\w+)(?:\{([^}]*)\})?/g)) {
    const entry = entries.get(name) ?? entries.get(name.replace(/_(bucket|sum|count)$/, ''));
    const isWhole = entry?.name === name;
    if (!entry || isWhole === (entry.type === 'histogram')) {
      unknown.push(name);
      continue;
    }
    for (const [, label, , wanted] of matchers.matchAll(/(\w+)(=~|!~|=)"([^"]*)"/g)) {
      const values = entry.labels[label];
      if (!values && !(targetLabels as readonly string[]).includes(label)) unknown.push(`${name}{${label}}`);
      if (!Array.isArray(values) || wanted.startsWith('$')) continue;
      unknown.push(
        ...wanted
          .split('|')
          .filter(value => !values.includes(value))
          .map(value => `${name}{${label}="${value}"}`),
      );
    }
  }
  for (const [, labels] of expression.matchAll(/\b(?:by|on|group_left) \(([^)]*)\)/g))
    unknown.push(...labels.split(', ').filter(label => label !== '' && !allLabels.has(label)));
  return unknown;
}

test('the search for unknown names finds them', () => {
  expect(
    [
      'segfleet_los_value',
      'segfleet_step_duration_seconds',
      'segfleet_epoch_sum',
      'segfleet_loss_value{splt="batch"}',
      'segfleet_run_state{state=~"training|asleep"}',
      'sum by (run, los) (segfleet_epoch)',
    ].map(unknownIn),
  ).toEqual([
    ['segfleet_los_value'],
    ['segfleet_step_duration_seconds'],
    ['segfleet_epoch_sum'],
    ['segfleet_loss_value{splt}'],
    ['segfleet_run_state{state="asleep"}'],
    ['los'],
  ]);
});

describe.each(made)('the dashboard $name', ({ dashboard, json }) => {
  const panels = json.panels.filter(({ type }) => type !== 'row');

  test('asks for what is in the catalogue', () => {
    const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    const variables = json.templating.list.map(({ query }) => (typeof query === 'string' ? query : query.query));
    expect(queries.length).toBeGreaterThan(15);
    for (const query of [...queries, ...variables]) expect([query, unknownIn(query)]).toEqual([query, []]);
  });

  test('names in each legend labels that the query leaves', () => {
    for (const { title, targets = [] } of panels)
      for (const { expr, legendFormat } of targets)
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          expect([title, label, [...expr.matchAll(/by \(([^)]*)\)/g)].some(([, labels]) => labels.split(', ').includes(label))]).toEqual([
            title,
            label,
            true,
          ]);
  });

  test('uses the variables that it has, and all of them', () => {
    const used = new Set([...JSON.stringify(json).matchAll(/\$\{?([a-z_]+)/g)].map(([, name]) => name));
    expect(json.templating.list.map(({ name }) => name).filter(name => !used.has(name))).toEqual([]);
    const known = [...json.templating.list.map(({ name }) => name), '__rate_interval', '__range', '__all'];
    expect([...used].filter(name => !known.includes(name))).toEqual([]);
  });

  test('has panels with a title, a description and a query, in the data source that was chosen', () => {
    expect(panels.length).toBe(dashboard.rows.flatMap(({ panels }) => panels).length);
    for (const { title, description, targets = [], datasource } of panels) {
      expect([title.length > 0, description!.length > 10, targets.length > 0]).toEqual([true, true, true]);
      expect(datasource).toEqual({ type: 'prometheus', uid: '$' + '{datasource}' });
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
    }
  });

  test('has ids and places of their own, within the 24 columns', () => {
    expect(new Set(json.panels.map(({ id }) => id)).size).toBe(json.panels.length);
    const overlap = (a: Place, b: Place) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
    json.panels.forEach((panel, i) => {
      const { x, y, w, h } = panel.gridPos;
      expect([panel.title, x >= 0 && x + w <= 24 && y >= 0 && w > 0 && h > 0]).toEqual([panel.title, true]);
      const others = json.panels.slice(i + 1).filter(other => overlap(panel.gridPos, other.gridPos));
      expect([panel.title, others.map(({ title }) => title)]).toEqual([panel.title, []]);
    });
  });
});

test('dashboards have addresses of their own, which Grafana can take', () => {
  const addresses = made.map(({ json }) => json.uid);
  expect(new Set(addresses).size).toBe(made.length);
  for (const address of addresses) expect(address).toMatch(/^[a-z-]{8,40}$/);
});

test.each(rules)('the alert $alert asks for what is in the catalogue', ({ expr }) => expect(unknownIn(expr)).toEqual([]));

test('what makes dashboards is for development alone', () => {
  const sources = ['cli', 'coordinator', 'k8s', 'trainer'].flatMap(folder =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .map(name => join(folder, name)),
  );
  const thatImport = (what: RegExp) => sources.filter(file => what.test(read(file)));
  expect(thatImport(/from '@grafana\//)).toEqual(['k8s/monitoring/grafana.ts']);
  expect(thatImport(/from '.*\/monitoring\//)).toEqual(['k8s/crd/generate.ts']);
  expect(thatImport(/from '.*\/generate\.ts'/)).toEqual([]);
  expect(JSON.parse(read('tsconfig.build.json')).exclude).toEqual(expect.arrayContaining(['k8s/crd/generate.ts', 'k8s/monitoring']));
});
