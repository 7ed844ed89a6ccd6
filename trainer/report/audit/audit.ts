/**
 * `segfleet audit`: whether tables of results can be true, the paper's own or any others, and what has to be known to read them.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { auditBaselines, auditMargins, auditSelection, auditSpread, selectionsIn } from './chance.ts';
import { type Claim, findingOf, noiseOf, notStated, paperClaims, paperRuns } from './paperClaims.ts';
import { type Entry, type ReadOptions, readResults } from './results.ts';
import { auditEntry, auditForeground, type Finding } from './rules.ts';

export interface AuditOptions extends ReadOptions {
  /** Share of foreground pixels of a data set, as its tables name it. */
  readonly foreground?: ReadonlyMap<string, number>;
}

export interface Audit {
  readonly files: readonly string[];
  /** Rows times data sets. */
  readonly entries: number;
  readonly violations: number;
  readonly remarks: number;
  /** Violations first. */
  readonly findings: readonly Finding[];
}

export interface PaperAudit extends Audit {
  readonly claims: readonly Claim[];
  readonly notStated: readonly string[];
  readonly runs: typeof paperRuns & { readonly total: number };
}

/** The paper's numbers as they are printed, one file a table. */
export const referenceFolder = fileURLToPath(
  new URL(import.meta.url.endsWith('.js') ? '../../../../examples/paper/reference' : '../../../examples/paper/reference', import.meta.url),
);

/** @throws invalidData, notFound: a file that is no table of results */
export function auditFiles(files: readonly string[], options: AuditOptions = {}): Audit {
  const entries = files.flatMap(file => readResults(file, options));
  return toAudit(files, entries, findingsIn(entries, options));
}

/** Of the lesions of ISIC 2018, mean over images: Abraham and Khan 2018, and the images themselves. */
const paperForeground: ReadonlyMap<string, number> = new Map([['isic 2018', 0.214]]);

export function auditPaper(): PaperAudit {
  const files = ['1', '2', '3', '4'].map(table => join(referenceFolder, `table${table}.csv`));
  const [table1, table2, table3, table4] = files.map(file => readResults(file));
  const entries = [...table1, ...table2, ...table3, ...table4];
  const claims = paperClaims({ table1, table2, table3 });
  const found = [
    ...findingsIn(entries, { foreground: paperForeground, noise: noiseOf(selectionsIn(table1)[0]) }),
    ...claims.flatMap(findingOf),
  ];
  const total = Object.values(paperRuns).reduce((sum, runs) => sum + runs, 0);
  return { ...toAudit(files, entries, found), claims, notStated, runs: { ...paperRuns, total } };
}

function findingsIn(
  entries: readonly Entry[],
  { foreground = new Map(), noise }: { foreground?: ReadonlyMap<string, number>; noise?: { readonly sd: number; readonly from: string } },
): Finding[] {
  return [
    ...entries.flatMap(auditEntry),
    ...auditForeground(entries, foreground),
    ...auditBaselines(entries),
    ...auditSpread(entries),
    ...auditMargins(entries, noise),
    ...selectionsIn(entries).map(auditSelection),
  ];
}

function toAudit(files: readonly string[], entries: readonly Entry[], found: readonly Finding[]): Audit {
  const findings = [...found.filter(({ severity }) => severity === 'violation'), ...found.filter(({ severity }) => severity === 'remark')];
  const violations = found.filter(({ severity }) => severity === 'violation').length;
  return { files, entries: entries.length, violations, remarks: found.length - violations, findings };
}
