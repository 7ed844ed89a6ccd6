/**
 * The last word of a process for whoever runs it: a small file (on Kubernetes /dev/termination-log, which ends up in the status of the
 * pod), named by SEGFLEET_TERMINATION_LOG. It says what `--json` would.
 */
import { writeFileSync } from 'node:fs';
import type { ToldReports } from '../coordinator/objectiveReports.ts';
import type { ErrorReport } from './errors.ts';

/** What Kubernetes keeps of it. */
const maxBytes = 4096;

export interface RunResult {
  readonly steps: number;
  readonly bestEpoch: number;
  /** Pooled, of the best epoch. */
  readonly jaccard: number;
  readonly weightsDigest: string;
  /** Where it was asked for. */
  readonly objective?: ToldReports;
}

export type LastWord = { readonly error: ErrorReport } | { readonly result: RunResult };

/** Where it cannot be written, the exit code still says how it ended. */
export function leaveLastWord(word: LastWord, file = process.env.SEGFLEET_TERMINATION_LOG): void {
  if (!file) return;
  try {
    writeFileSync(file, shortened(word));
  } catch {}
}

/** As JSON of at most 4096 bytes: of a long error the details go first, then the end of its sentence. */
export function shortened(word: LastWord): string {
  const text = JSON.stringify(word);
  if (Buffer.byteLength(text) <= maxBytes || !('error' in word)) return text;
  const { code, exitCode, message } = word.error;
  const cut = (length: number) => {
    const kept = [...message].slice(0, length).join('');
    return JSON.stringify({ error: { code, exitCode, message: kept.length < message.length ? `${kept}...` : kept } });
  };
  let [low, high] = [0, message.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (Buffer.byteLength(cut(middle)) <= maxBytes) low = middle;
    else high = middle - 1;
  }
  return cut(low);
}
