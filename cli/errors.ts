/**
 * How errors look to a user and to a script.
 */
import { type ErrorCode, errorCodes, SegfleetError } from '../trainer/errors.ts';
import { leaveLastWord } from './termination.ts';

export interface ErrorReport {
  readonly code: ErrorCode;
  readonly exitCode: number;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export function describeError(error: unknown): ErrorReport {
  if (error instanceof SegfleetError) {
    const { code, exitCode, message, details } = error;
    return { code, exitCode, message, ...(Object.keys(details).length > 0 && { details }) };
  }
  // oclif's own errors are about the command line: what it could not parse. Of several lines the notes are for its own screen.
  if (error instanceof Error && 'oclif' in error) {
    const lines = error.message.split('\n').map(line => line.trim());
    const kept = lines.filter(line => line !== '' && !/^(Note:|Alternatively)/.test(line));
    const message = kept.join('; ').replaceAll(':;', ':').replace('See more help with --help', 'see --help');
    return { code: 'usage', exitCode: errorCodes.usage.exitCode, message };
  }
  return { code: 'bug', exitCode: errorCodes.bug.exitCode, message: error instanceof Error ? error.message : String(error) };
}

/** Prints it, sets the exit code, and lets the process end by itself. */
export function reportError(error: unknown, json: boolean): void {
  const report = describeError(error);
  process.exitCode = report.exitCode;
  leaveLastWord({ error: report });
  if (json) process.stdout.write(`${JSON.stringify({ error: report })}\n`);
  else {
    process.stderr.write(`error: ${report.message}\n`);
    // That of a job on a cluster is told with the job.
    if (report.code === 'bug' && report.details?.job === undefined) {
      process.stderr.write('This is a bug in segfleet. Please report it with the trace (set SEGFLEET_DEBUG=1 to see it).\n');
    }
  }
  if (process.env.SEGFLEET_DEBUG) process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
}
