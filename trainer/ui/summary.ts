/**
 * What the overview says of a run, from the small files of its folder: the log of its steps is not read for it.
 */
import { basename } from 'node:path';
import { SegfleetError } from '../errors.ts';
import { describeLoss } from '../losses/catalogue.ts';
import type { RunRecord } from '../runRecord.ts';
import type { RunState, RunSummary } from './api.ts';

/** Of an epoch, what curves are drawn of. */
export interface EpochRow {
  readonly epoch: number;
  readonly step: number;
  readonly loss: number;
  readonly validationLoss: number;
  readonly jaccard: number;
}

/** @throws integrity: what is there is not the record of a run */
export function recordOf(bytes: Buffer, file: string): RunRecord {
  const refuse = (what: string, cause?: unknown) =>
    new SegfleetError('integrity', `${file} ${what}; restore it, or train again`, { cause });
  let record: RunRecord;
  try {
    record = JSON.parse(bytes.toString());
  } catch (cause) {
    throw refuse('is not JSON', cause);
  }
  const spec = record?.job?.spec;
  if (typeof record?.status !== 'string' || !spec?.loss || !spec.model || !spec.data || !spec.training) {
    throw refuse('is not the record of a run');
  }
  return record;
}

/** The columns of `results.csv` that are needed; lines that cannot be read are left out. */
export function epochsOf(csv: string): EpochRow[] {
  const [head, ...lines] = csv.split('\n');
  const columns = head.split(',');
  const at = (name: string) => columns.indexOf(name);
  const [epoch, step, loss] = [at('epoch'), at('step'), at('loss')];
  const [validationLoss, jaccard] = [at('validation_loss'), at('validation_jaccard_pooled')];
  if ([epoch, step, loss, validationLoss, jaccard].includes(-1)) return [];
  const rows: EpochRow[] = [];
  for (const line of lines) {
    const cells = line.split(',');
    if (cells.length !== columns.length) continue;
    const number = (i: number) => Number(cells[i]);
    rows.push({
      epoch: number(epoch),
      step: number(step),
      loss: number(loss),
      validationLoss: number(validationLoss),
      jaccard: number(jaccard),
    });
  }
  return rows.filter(row => Number.isInteger(row.epoch));
}

/** The last whole step in the end of a log. */
export function lastStepIn(end: string): number {
  const found = end.matchAll(/"event":"step","step":(\d+)/g);
  let step = 0;
  for (const [, number] of found) step = Number(number);
  return step;
}

/** A run that says that it runs, and nothing for so long, is shown as silent. */
const silentAfterMs = 5 * 60_000;
/** Between its last word and the end of its process there may be so long. */
const goneAfterMs = 20_000;

export interface Observed {
  readonly id: string;
  readonly path: string;
  readonly record: RunRecord;
  readonly rows: readonly EpochRow[];
  readonly step: number;
  readonly heardAt: number;
  readonly isForsaken: boolean | undefined;
  readonly sweep?: string;
}

export function summaryOf({ id, path, record, rows, step, heardAt, isForsaken, sweep }: Observed, now: number): RunSummary {
  const { spec } = record.job;
  const best = rows.reduce<EpochRow | undefined>((a, b) => (!a || b.jaccard > a.jaccard ? b : a), undefined);
  const last = rows.at(-1);
  return {
    id,
    name: record.name ?? record.job.metadata?.name ?? id,
    path,
    state: stateOf(record.status, { isForsaken, silence: now - heardAt }),
    loss: safeLoss(record),
    model: String(spec.model.name),
    dataset: basename(String(spec.data.path)) || String(spec.data.path),
    ...(sweep !== undefined && { sweep }),
    epoch: last?.epoch ?? 0,
    epochs: Number(spec.training.epochs) || 0,
    step: Math.max(step, last?.step ?? 0, record.steps ?? 0),
    ...(best && Number.isFinite(best.jaccard) && { best: best.jaccard, bestEpoch: best.epoch }),
    ...(last && Number.isFinite(last.loss) && { trainingLoss: last.loss }),
    restarts: record.resumed?.length ?? 0,
    startedAt: Date.parse(record.startedAt) || 0,
    heardAt,
    ...(record.endedAt !== undefined && { endedAt: Date.parse(record.endedAt) || 0 }),
    ...(record.exit?.message !== undefined && { why: String(record.exit.message) }),
  };
}

/** A record that another version wrote may have a loss that this one does not know. */
function safeLoss({ job }: RunRecord): string {
  try {
    return describeLoss(job.spec.loss);
  } catch {
    return String(job.spec.loss.name);
  }
}

function stateOf(status: RunRecord['status'], { isForsaken, silence }: { isForsaken: boolean | undefined; silence: number }): RunState {
  if (status !== 'running') return status;
  if (isForsaken && silence > goneAfterMs) return 'killed';
  return silence > silentAfterMs ? 'silent' : 'running';
}
