/**
 * Checkpoints of a store as a table.
 */
import type { Listed } from '../../trainer/storage/inspectCheckpoints.ts';
import { number, table } from './text.ts';

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export const bytesOf = ({ manifest }: Listed): number => (manifest?.chunks ?? []).reduce((sum, { bytes }) => sum + bytes, 0);

/** The same in JSON, without the chunks. */
export function summaryOf(listed: Listed) {
  const { key, manifest, problems } = listed;
  if (!manifest) return { key, problems };
  const { run, term, step, score, written, chunks } = manifest;
  return { key, run, term, step, score, written, chunks: chunks.length, bytes: bytesOf(listed), problems };
}

export function checkpointTable(checkpoints: readonly Listed[]): string {
  const rows = checkpoints.map(listed => {
    const { key, manifest, problems } = listed;
    if (!manifest) return [key, '-', '-', '-', '-', problems[0]];
    const size = megabytes(bytesOf(listed));
    return [key, String(manifest.step), number(manifest.score), manifest.written, size, problems.join('\n')];
  });
  const hasProblems = checkpoints.some(({ problems }) => problems.length > 0);
  const shown = (row: readonly string[]) => (hasProblems ? row : row.slice(0, -1));
  return table(shown(['checkpoint', 'step', 'score', 'written', 'size', 'problem']), rows.map(shown));
}
