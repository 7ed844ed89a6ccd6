/**
 * Every way in which segfleet ends other than well. A user reads one sentence: what, where, what was expected, what to try.
 * Scripts read the exit code and `code`; both are the same in text and in JSON.
 */

export const errorCodes = {
  bug: { exitCode: 1, meaning: 'a bug in segfleet', retryable: false },
  usage: { exitCode: 2, meaning: 'a command line, job file or option that is not valid', retryable: false },
  invalidData: { exitCode: 3, meaning: 'an image, mask or manifest that is not valid', retryable: false },
  notFound: { exitCode: 4, meaning: 'a file, run or library that is not there', retryable: false },
  notAllowed: { exitCode: 5, meaning: 'permission denied', retryable: false },
  unavailable: { exitCode: 6, meaning: 'a service or download that did not answer after retries', retryable: true },
  conflict: { exitCode: 7, meaning: 'something else holds or has changed what this command needs', retryable: false },
  diverged: { exitCode: 8, meaning: 'the loss or a gradient is no longer a finite number', retryable: false },
  partial: { exitCode: 9, meaning: 'some parts of the work failed', retryable: false },
  integrity: { exitCode: 10, meaning: 'bytes that do not match their checksum', retryable: false },
  resources: { exitCode: 11, meaning: 'out of disk space or memory', retryable: true },
  checkFailed: { exitCode: 12, meaning: 'a check found a violation', retryable: false },
  preempted: { exitCode: 75, meaning: 'stopped on request, checkpoint written: run again with --resume', retryable: true },
  interrupted: { exitCode: 130, meaning: 'interrupted by the user', retryable: true },
} as const;

export type ErrorCode = keyof typeof errorCodes;

export class SegfleetError extends Error {
  readonly code: ErrorCode;
  /** Values named in the sentence, for programs: file, field, step and the like. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, sentence: string, options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {}) {
    super(sentence, { cause: options.cause });
    this.name = 'SegfleetError';
    this.code = code;
    this.details = options.details ?? {};
  }

  get exitCode(): number {
    return errorCodes[this.code].exitCode;
  }
}

/** Turns a failed file operation into the sentence a user can act on; any other error is returned as it is. */
export function fromSystemError(error: unknown, doing: string): unknown {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new SegfleetError('resources', `${doing}: no space left on the disk; free some space or choose another --out folder`, {
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new SegfleetError('notAllowed', `${doing}: permission denied; choose a folder that you may write to`, { cause: error });
    case 'ENOENT':
      return new SegfleetError('notFound', `${doing}: no such file or folder`, { cause: error });
    case 'ENOTDIR':
    case 'EEXIST': // a folder was to be made
      return new SegfleetError('usage', `${doing}: a file stands where a folder is needed`, { cause: error });
    default:
      return error;
  }
}
