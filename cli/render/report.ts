/**
 * What was written, and what could not be reported of.
 */
import type { WrittenReport } from '../../trainer/makeReport.ts';

export function renderReport({ report, bytes, runs, scored, arms, left, tables }: WrittenReport): string {
  return [
    `${report} (${(bytes / 1e6).toFixed(1)} MB): ${scored} of ${runs} runs, in ${arms.length} arms`,
    ...arms.map(arm => `  ${arm}`),
    ...left.map(({ run, why }) => `not in the results: ${run}: ${why}`),
    ...(tables.length > 0 ? [`${tables.length} files of tables beside it`] : []),
  ].join('\n');
}
