/**
 * What of a run folder must be the same for two runs that are one training: all that is no time.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Result {
  readonly digest: string;
  readonly bestDigest: string;
  readonly data: string;
  readonly best: unknown;
  readonly results: string;
  readonly steps: readonly unknown[];
}

const linesOf = (file: string) => readFileSync(file, 'utf8').trim().split('\n');

export function resultOf(run: string): Result {
  const record = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'));
  const rows = linesOf(join(run, 'results.csv')).map(row => row.split(','));
  const timed = ['seconds', 'images_per_second', 'wait_share'].map(name => rows[0].indexOf(name));
  const steps = linesOf(join(run, 'metrics.ndjson'))
    .map(line => JSON.parse(line))
    .filter(({ event }) => event === 'step');
  return {
    digest: record.weights.digest,
    bestDigest: record.weights.bestDigest,
    data: record.data.digest,
    best: record.best,
    results: rows.map(row => row.filter((_, i) => !timed.includes(i)).join(',')).join('\n'),
    steps: steps.map(({ time, seconds, waitSeconds, phases, ...rest }) => rest),
  };
}
