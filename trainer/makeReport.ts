/**
 * `segfleet report`: all that can be said of runs, or of the runs of a sweep, as one page. Runs that were not evaluated yet are evaluated first.
 */
import { join } from 'node:path';
import { SegfleetError } from './errors.ts';
import type { PartOfRun } from './evaluateRun.ts';
import { imageMetricNames } from './measure.ts';
import type { MetricKey } from './metrics/catalogue.ts';
import { metricNames } from './metrics/counts.ts';
import { type Study, studiesOf } from './report/arms.ts';
import { type Inputs, readInputs } from './report/inputs.ts';
import { formatsOf, type Report, renderPage } from './report/page.ts';
import type { ReportedRun } from './report/reportedRun.ts';
import { listed, plural } from './report/section.ts';
import { comparison } from './report/sections/comparison.ts';
import { conventions } from './report/sections/conventions.ts';
import { convergence } from './report/sections/convergence.ts';
import { cost } from './report/sections/cost.ts';
import { failures } from './report/sections/failures.ts';
import { grid } from './report/sections/grid.ts';
import { images } from './report/sections/images.ts';
import { overlays } from './report/sections/overlays.ts';
import { paper, readPaperTables } from './report/sections/paper.ts';
import { records } from './report/sections/records.ts';
import { results } from './report/sections/results.ts';
import { roc } from './report/sections/roc.ts';
import { sweep } from './report/sections/sweep.ts';
import type { Table } from './report/table.ts';
import { writeAtomically } from './storage/files.ts';

export interface ReportOptions extends PartOfRun {
  /** The page. */
  readonly out: string;
  /** A folder for each table as CSV, Markdown and LaTeX. */
  readonly tables?: string;
  /** That arms are compared by; the first also orders images. */
  readonly metrics: readonly string[];
  /** How near its best a curve must come to count as converged. */
  readonly delta: number;
  readonly title?: string;
}

export interface WrittenReport {
  readonly report: string;
  readonly bytes: number;
  readonly runs: number;
  /** Runs that are in the results. */
  readonly scored: number;
  readonly arms: readonly string[];
  /** Runs that are not in the results, and why. */
  readonly left: readonly { readonly run: string; readonly why: string }[];
  readonly tables: readonly string[];
}

/** @throws usage, notFound where there is nothing to report of */
export async function makeReport(paths: readonly string[], options: ReportOptions): Promise<WrittenReport> {
  const { out, tables, delta, title } = options;
  if (!(delta > 0 && delta < 1)) throw new SegfleetError('usage', `--delta must be a number above 0 and below 1, such as 0.02`);
  const metrics = options.metrics.map(knownMetric);
  const inputs = await readInputs(paths, options);
  const { runs, missing, sweeps } = inputs;
  const studies = studiesOf(
    runs,
    sweeps.flatMap(({ spec }) => spec.replicates.vary),
  );
  const axes = sweeps.find(({ spec }) => spec.table)?.spec.table;
  const shown: Report['studies'][number][] = [];
  for (const study of studies) {
    const sections = [
      results(study),
      grid(study, axes),
      convergence(study, delta),
      roc(study),
      comparison(study, metrics),
      await overlays(study, options),
      images(study, metrics),
    ];
    shown.push({ id: study.id, title: study.title, sections: sections.filter(section => section !== undefined) });
  }
  const ofPaper = paper(readPaperTables(paths));
  const report: Report = {
    title: title ?? (paths.length === 1 && sweeps.length === 1 ? sweeps[0].name : titleOf(studies, runs)),
    lead: leadOf(inputs, studies),
    front: [...(ofPaper ? [ofPaper] : []), ...sweeps.map(sweep)],
    studies: shown,
    general: [failures(inputs), cost(runs), records(runs, studies), ...(studies.length > 0 ? [conventions(studies)] : [])],
  };
  const page = renderPage(report);
  await writeAtomically(out, page);
  return {
    report: out,
    bytes: Buffer.byteLength(page),
    runs: runs.length + missing.length,
    scored: runs.filter(({ scored }) => scored).length,
    arms: studies.flatMap(({ arms }) => arms.map(({ name }) => name)),
    left: [
      ...runs
        .filter(({ scored }) => !scored)
        .map(({ path, record, trouble }) => ({ run: path, why: trouble ?? record.exit?.message ?? record.status })),
      ...missing.map(({ name, why }) => ({ run: name, why })),
    ],
    tables: tables === undefined ? [] : await writeTables(report, tables),
  };
}

/** Metrics that each image has by itself. */
const perImage: readonly string[] = [...metricNames, ...imageMetricNames];

function knownMetric(metric: string): MetricKey {
  if (perImage.includes(metric)) return metric as MetricKey;
  throw new SegfleetError('usage', `--metric ${metric}: there is no such score of an image; known are ${perImage.join(', ')}`);
}

function titleOf(studies: readonly Study[], runs: readonly ReportedRun[]): string {
  if (studies.length === 0) return plural(runs.length, 'run');
  if (studies.length > 1) return `${plural(studies.length, 'data set')} compared`;
  const [{ arms, title }] = studies;
  return `${arms.length > 4 ? `${arms.length} losses and settings` : listed(arms.map(({ name }) => name))} on ${title}`;
}

function leadOf({ runs, missing }: Inputs, studies: readonly Study[]): string {
  const numArms = studies.reduce((sum, { arms }) => sum + arms.length, 0);
  const numScored = runs.filter(({ scored }) => scored).length;
  const left = runs.length + missing.length - numScored;
  return `${plural(numScored, 'run')} in ${plural(numArms, 'arm')} (an arm: the same job with other seeds)${left > 0 ? `; ${left} more did not come so far` : ''}.`;
}

async function writeTables(report: Report, folder: string): Promise<string[]> {
  const sections = [...report.front, ...report.studies.flatMap(({ sections }) => sections), ...report.general];
  const tables = sections.flatMap(({ parts }) =>
    parts.flatMap((part): Table[] =>
      part.kind === 'table' || part.kind === 'heat' ? [part.table] : part.kind === 'chart' ? [part.data] : [],
    ),
  );
  const files: string[] = [];
  for (const table of tables) {
    for (const { ending, text } of formatsOf(table)) {
      const file = join(folder, `${table.id}.${ending}`);
      await writeAtomically(file, text);
      files.push(file);
    }
  }
  return files;
}
