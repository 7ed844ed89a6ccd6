/**
 * What an API server refuses, as an error that a user can act on and a controller can tell apart.
 */
import { type ErrorCode, SegfleetError } from '../trainer/errors.ts';

export class ApiError extends SegfleetError {
  /** HTTP status; 0 where no answer came. */
  readonly status: number;
  /** One word of the server: NotFound, AlreadyExists, Conflict, Expired, Forbidden, Invalid and so on. */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(sentence: string, options: { status: number; reason: string; retryAfterMs?: number; cause?: unknown }) {
    super(codeOf(options.status), sentence, { cause: options.cause, details: { status: options.status, reason: options.reason } });
    this.status = options.status;
    this.reason = options.reason;
    this.retryAfterMs = options.retryAfterMs;
  }
}

export const isStatus = (error: unknown, status: number): error is ApiError => error instanceof ApiError && error.status === status;

function codeOf(status: number): ErrorCode {
  switch (status) {
    case 400:
    case 405:
    case 413:
    case 415:
    case 422:
      return 'usage';
    case 401:
    case 403:
      return 'notAllowed';
    case 404:
      return 'notFound';
    case 409:
    case 410:
      return 'conflict';
    default:
      return 'unavailable';
  }
}

/** The body of a refusal. */
export interface ServerStatus {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: { readonly retryAfterSeconds?: number; readonly causes?: readonly Cause[] };
}

/** Of an object that is not valid: one for each field that is wrong. */
interface Cause {
  readonly field?: string;
  readonly message?: string;
}

/** @param doing what was tried, such as "trainingjobs x in namespace y" */
export function refusal(doing: string, status: number, said: ServerStatus, retryAfter: string | null): ApiError {
  const { message = '', reason = '', details } = said;
  const seconds = Number(retryAfter ?? details?.retryAfterSeconds);
  const options = { status, reason, ...(seconds > 0 && { retryAfterMs: seconds * 1000 }) };
  switch (status) {
    case 401:
      return new ApiError(
        `${doing}: the API server does not know these credentials; log in again, or name another context with --context`,
        options,
      );
    case 403:
      return new ApiError(
        `${doing}: ${message || 'not allowed'}; ask whoever runs the cluster for that right, or see \`cluster check\``,
        options,
      );
    case 404:
      // A kind that is not there is another matter than an object that is not there.
      if (!reason || message.includes('could not find the requested resource')) {
        const sentence = `${doing}: this cluster has no such kind; install segfleet there (helm install segfleet charts/segfleet)`;
        return new ApiError(sentence, { ...options, reason: 'NoSuchKind' });
      }
      return new ApiError(`${doing}: ${message || 'is not there'}`, options);
    case 422: {
      const wrong = (details?.causes ?? []).flatMap(cause => sentenceOf(cause) ?? []);
      return new ApiError(`${doing}: ${[...new Set(wrong)].join('; ') || message}`, options);
    }
    default:
      return new ApiError(`${doing}: ${message || `the API server answered ${status}`}`, options);
  }
}

/** In the words of trainer/spec.ts, which our rules have, and with the names that a user gives to fields: without `spec`. */
function sentenceOf({ field = '', message = '' }: Cause): string | undefined {
  // That more could be wrong.
  if (field === '<nil>') return undefined;
  const name = field.replace(/^\.?(spec\.)?/, '');
  const said = message.replace(/^(Invalid|Unsupported|Required) value: |^Forbidden: /, '').replace(`${field} in body `, '');
  return /^(is|has|must|cannot|needs|may) /.test(said) ? `${name} ${said}` : `${name}: ${said}`;
}
