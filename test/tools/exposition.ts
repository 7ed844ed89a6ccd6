/**
 * The text that Prometheus scrapes, read strictly: what it would refuse, or take for something else, throws. `promtool` reads it too, where it is.
 */
import { spawnSync } from 'node:child_process';
import { prometheus } from './tools.ts';

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly series: readonly Series[];
}

const escaped: Readonly<Record<string, string>> = { '\\\\': '\\', '\\n': '\n', '\\"': '"' };
const plain = (text: string) => text.replace(/\\[\\n"]/g, two => escaped[two]);

/** Families by name. @throws Error naming the line */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const families = new Map<string, Family & { series: Series[] }>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | undefined;
  let family: (Family & { series: Series[] }) | undefined;
  for (const line of text.split('\n')) {
    const refuse = (why: string): never => {
      throw new Error(`${why}: ${line}`);
    };
    if (line === '') continue;
    if (line.startsWith('# HELP ')) {
      const [, name, said] = /^# HELP ([a-z_:][a-z0-9_:]*) (.+)$/.exec(line) ?? refuse('no help');
      help = { name, text: plain(said) };
      continue;
    }
    if (line.startsWith('# TYPE ')) {
      const [, name, type] = /^# TYPE ([a-z_:][a-z0-9_:]*) (counter|gauge|histogram)$/.exec(line) ?? refuse('no type');
      if (help?.name !== name) refuse('a type without help');
      if (families.has(name)) refuse('a second family of that name');
      family = { name, type, help: help!.text, series: [] };
      families.set(name, family);
      continue;
    }
    // NaN as prom-client writes it; Prometheus takes any case.
    const [, name, labels = '', number] =
      /^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (Nan|[-+]Inf|-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)$/s.exec(line) ?? refuse('no sample');
    const suffixes = family?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    if (!suffixes.some(suffix => name === family?.name + suffix)) refuse(`a sample of another family than ${family?.name}`);
    const pairs = [...labels.matchAll(/([a-z_][a-z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/g)];
    if (pairs.map(([all]) => all).join('') !== labels) refuse('labels that do not parse');
    const series = {
      name,
      labels: Object.fromEntries(pairs.map(([, key, value]) => [key, plain(value)])),
      value: number.endsWith('Inf') ? Number(`${number}inity`) : Number(number),
    };
    if (Object.keys(series.labels).length !== pairs.length) refuse('a label twice');
    const key = `${name}${JSON.stringify(Object.entries(series.labels).sort())}`;
    if (seen.has(key)) refuse('the same series twice');
    seen.add(key);
    family!.series.push(series);
  }
  return families;
}

/** The value of one series, undefined where there is none. */
export function readSeries(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  const found = (family?.series ?? []).filter(
    one => one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value),
  );
  if (found.length > 1) throw new Error(`${name} ${JSON.stringify(labels)} are ${found.length} series`);
  return found[0]?.value;
}

/** What `promtool check metrics` finds, nothing where all is well. */
export function promtoolFindings(text: string): string {
  const { stdout, stderr, status } = spawnSync(prometheus('promtool'), ['check', 'metrics'], { input: text, encoding: 'utf8' });
  return `${status === 0 ? '' : `exit code ${status}\n`}${stdout}${stderr}`;
}
