/**
 * What an S3 server or the way to it answers, as errors of segfleet: by status first, because servers agree on these more than on names.
 */
import { SegfleetError } from '../errors.ts';

/** What the SDK throws, as far as it is looked at. */
export interface S3Problem {
  readonly name: string;
  readonly message: string;
  /** Of the system, where no server answered. */
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number };
}

export const problemOf = (error: unknown): S3Problem => (error instanceof Error ? error : new Error(String(error)));
export const statusOf = (error: unknown): number | undefined => problemOf(error).$metadata?.httpStatusCode;

/**
 * @param doing the object or bucket, and what was to be done with it, such as "s3://bucket/key: reading"
 * @param signal of the call: where it was aborted, its reason is the error
 */
export function fromS3(error: unknown, doing: string, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason;
  if (error instanceof SegfleetError) return error;
  const problem = problemOf(error);
  const status = statusOf(error);
  const said = `${problem.name}${problem.message && problem.message !== problem.name ? `: ${problem.message}` : ''}`;
  const failed = (code: ConstructorParameters<typeof SegfleetError>[0], sentence: string) =>
    new SegfleetError(code, `${doing} ${sentence}`, { cause: error, details: { status, name: problem.name } });

  if (/^Region is missing/.test(problem.message)) {
    return failed('usage', 'needs a region; set AWS_REGION (any, such as us-east-1, where the server has none)');
  }
  if (problem.name === 'CredentialsProviderError') {
    return failed(
      'notAllowed',
      'needs credentials, and none were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or fill ~/.aws/credentials',
    );
  }
  if (problem.name === 'NoSuchBucket') return failed('notFound', 'failed: there is no such bucket; make it, or mend the URL');
  if (/QuotaExceeded|StorageFull|EntityTooLarge/.test(problem.name)) {
    return failed('resources', `failed (${said}); free some space, or write to another store`);
  }
  if (/^Checksum mismatch/.test(problem.message)) return failed('integrity', `failed: ${problem.message}`);
  if (status === 404) return failed('notFound', 'failed: there is no such object');
  if (status === 401 || status === 403 || /ExpiredToken|InvalidToken/.test(problem.name)) {
    return failed('notAllowed', `is not allowed (${said}); check the credentials and the policy of the bucket`);
  }
  if (status === 301 || status === 307)
    return failed('usage', `failed: the bucket is in another region (${said}); set AWS_REGION to that one`);
  if (status === undefined || status >= 500 || status === 429 || status === 408 || problem.name === 'TimeoutError') {
    const attempts = problem.$metadata?.attempts;
    const how = attempts && attempts > 1 ? ` after ${attempts} attempts` : '';
    return failed(
      'unavailable',
      `failed${how} (${problem.code && status === undefined ? problem.code : said}); try again when the server answers`,
    );
  }
  if (status === 409) return failed('conflict', `failed: another writer was at it (${said})`);
  return failed('usage', `was refused (${said}); check the URL and whether the server speaks S3`);
}
