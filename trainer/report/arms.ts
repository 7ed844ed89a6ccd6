/**
 * Runs put in order: those whose scores may be held against each other (the same images, at the same size) are one study, and in it those that
 * differ in nothing but their seeds are one arm.
 */
import { basename, dirname } from 'node:path';
import { describeLoss } from '../losses/catalogue.ts';
import { trainingOf } from '../runRecord.ts';
import { inputSizeOf, type Job } from '../spec.ts';
import { isScored, type ReportedRun, type ScoredRun } from './reportedRun.ts';

export interface Arm {
  /** The loss, and what else tells it from other arms. */
  readonly name: string;
  /** Of its lines in charts. */
  readonly style: number;
  /** Those that were scored, by seed. */
  readonly runs: readonly ScoredRun[];
  /** By path, of the fields that are not the same in all arms. */
  readonly settings: ReadonlyMap<string, unknown>;
}

export interface Study {
  /** A word for file names and links. */
  readonly id: string;
  /** The data set and its size. */
  readonly title: string;
  readonly arms: readonly Arm[];
  /** Fields that are not the same in all arms, by path. */
  readonly varied: readonly string[];
}

const byText = new Intl.Collator('en', { numeric: true }).compare;

/** @param replicated further fields in which runs of one arm may differ */
export function studiesOf(runs: readonly ReportedRun[], replicated: readonly string[] = []): Study[] {
  const groups = Map.groupBy(runs.filter(isScored), run => JSON.stringify(whatIsScored(run)));
  const keys = [...groups.keys()];
  const titles = keys.map(key => titleOf(groups.get(key)![0]));
  return keys
    .map((key, i) => ({
      title: titles.indexOf(titles[i]) === titles.lastIndexOf(titles[i]) ? titles[i] : `${titles[i]}, set ${i + 1}`,
      key,
    }))
    .sort((a, b) => byText(a.title, b.title))
    .map(({ title, key }, i) => ({ id: `study-${i + 1}`, title, ...armsOf(groups.get(key)!, replicated) }));
}

function whatIsScored({ record, scored }: ScoredRun) {
  const { classes, exclusive, ignore } = record.job.spec.data;
  return [record.data.digest, scored.evaluation.convention, classes, exclusive, ignore];
}

function titleOf({ record: { job } }: ScoredRun): string {
  const { data } = job.spec;
  const name = basename(data.path) === 'manifest.csv' ? basename(dirname(data.path)) : basename(data.path).replace(/\.csv$/, '');
  const { height, width } = inputSizeOf(data);
  return `${name}, ${data.patches ? 'patches of ' : ''}${width} × ${height}`;
}

function armsOf(runs: readonly ScoredRun[], replicated: readonly string[]): Pick<Study, 'arms' | 'varied'> {
  const left = ['seed', 'data.path', 'data.split.seed', ...replicated];
  const settingsOf = ({ record: { job } }: ScoredRun) => new Map([...flattened(trainingOf(job))].filter(([path]) => !left.includes(path)));
  const groups = [...Map.groupBy(runs, run => JSON.stringify([...settingsOf(run)])).values()];
  const all = groups.map(([run]) => settingsOf(run));
  const paths = [...new Set(all.flatMap(settings => [...settings.keys()]))];
  const varied = paths.filter(path => new Set(all.map(settings => JSON.stringify(settings.get(path)))).size > 1);
  const names = namesOfArms(
    groups.map(([run]) => run.record.job),
    all,
    varied,
  );
  const arms = groups.map((group, i) => ({
    name: names[i],
    runs: group.toSorted((a, b) => a.record.job.spec.seed - b.record.job.spec.seed || byText(a.name, b.name)),
    settings: new Map(varied.flatMap(path => (all[i].has(path) ? [[path, all[i].get(path)] as const] : []))),
  }));
  return { arms: arms.sort((a, b) => byText(a.name, b.name)).map((arm, style) => ({ ...arm, style })), varied };
}

/** Values by path, objects opened; lists stay whole. */
export function flattened(value: unknown, path = ''): Map<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return new Map([[path, value]]);
  return new Map(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .flatMap(([key, inner]) => [...flattened(inner, path === '' ? key : `${path}.${key}`)]),
  );
}

/** Network (where there are several) and loss; where that is not enough, what differs among those of the same name, as `path=value`. */
function namesOfArms(jobs: readonly Job[], settings: readonly Map<string, unknown>[], varied: readonly string[]): string[] {
  const names = jobs.map(({ spec }) => [...(varied.includes('model.name') ? [spec.model.name] : []), describeLoss(spec.loss)].join(' '));
  return names.map((name, i) => {
    const alike = settings.filter((_, k) => names[k] === name);
    const differing = varied.filter(path => new Set(alike.map(other => JSON.stringify(other.get(path)))).size > 1);
    // Another name of an optimiser, say, brings other fields along.
    const told = differing.filter(path => path.endsWith('.name') || !differing.includes(path.replace(/[^.]*$/, 'name')));
    // What all have needs no telling.
    const isShared = told.length > 0 && alike.length === names.length;
    return [...(isShared ? [] : [name]), ...told.map(path => `${shortName(path)}=${textOf(settings[i].get(path))}`)].join(' ');
  });
}

export const shortName = (path: string): string => path.replace(/\.name$/, '').replace(/^(loss|training)\./, '');

export const textOf = (value: unknown): string =>
  value === undefined ? 'none' : typeof value === 'string' ? value : JSON.stringify(value);

/** What is left of paths without the folders that all share. */
export function namesOf(paths: readonly string[]): string[] {
  const parts = paths.map(path => path.split('/').filter(part => part !== '' && part !== '.'));
  const shortest = Math.min(...parts.map(({ length }) => length)) - 1;
  let shared = 0;
  while (shared < shortest && parts.every(part => part[shared] === parts[0][shared])) shared++;
  return parts.map(part => part.slice(shared).join('/'));
}
