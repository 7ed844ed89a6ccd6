/**
 * A bucket, or what lies under a prefix of it, as a store. The SDK signs, retries and backs off; what it leaves open is done here:
 * deadlines, bodies that end early, conditional writes whose answer was lost, answers that say "fine" and are not.
 *
 * Credentials, region and server come from where the AWS tools look for them: the environment, and files that it names.
 */
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3';
import { loadConfig } from '@smithy/core/config';
import { SegfleetError } from '../errors.ts';
import { fromS3, problemOf, statusOf } from './s3Errors.ts';
import { tellRequests } from './s3Requests.ts';
import { checkKey, ifThere, type Store, type StoreOptions, type Versioned } from './store.ts';

export interface S3Options {
  /** URL of the server. @default AWS itself */
  readonly endpoint?: string;
  /** For a connection, for an answer to begin, and for silence in the middle of one. @default 30 s */
  readonly deadlineMs?: number;
  /** At what fails for a reason that may pass, the first one counted. @default 5 */
  readonly attempts?: number;
  /** Larger objects are sent in parts of this size. @default 64 MiB */
  readonly partBytes?: number;
}

type Condition = { readonly IfNoneMatch?: '*'; readonly IfMatch?: string };
interface Range {
  readonly offset: number;
  readonly length: number;
}

/** An upload slower than this is taken for one that hangs. */
const slowestBytesPerMs = 64;
/** Progress that makes a body that was cut again count as a first failure. */
const progressBytes = 2 ** 20;
/** Written once and left there, to learn whether the server heeds conditions. */
const probeKey = '.segfleet-conditions';

/**
 * The server that `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` names, or else `endpoint_url` in the profile of the config file. The SDK would find it too,
 * but ask for buckets as host names of it, which servers other than AWS seldom have.
 */
export const configuredEndpoint = (): Promise<string | undefined> =>
  loadConfig<string | undefined>({
    environmentVariableSelector: env => env.AWS_ENDPOINT_URL_S3 ?? env.AWS_ENDPOINT_URL,
    configFileSelector: profile => profile.endpoint_url,
    default: undefined,
  })();

export function s3Store(url: string, options: S3Options = {}): Store {
  const { bucket, root } = parse(url);
  const { endpoint, deadlineMs = 30_000, attempts = 5 } = options;
  const partBytes = options.partBytes ?? 64 * 2 ** 20;
  const timed = (requestTimeout: number) => {
    const client = new S3Client({
      ...(endpoint && { endpoint, forcePathStyle: true }),
      maxAttempts: attempts,
      requestHandler: { connectionTimeout: deadlineMs, requestTimeout, socketTimeout: deadlineMs, throwOnRequestTimeout: true },
    });
    tellRequests(client);
    return client;
  };
  const client = timed(deadlineMs);
  const uploadMs = (bytes: number) => deadlineMs + bytes / slowestBytesPerMs;
  const at = (key: string) => ({ Bucket: bucket, Key: `${root}${key}` });
  const nameOf = (key: string) => `s3://${bucket}/${root}${key}`;

  /** @param range the whole object where it is left out */
  async function read(key: string, range: Range | undefined, { signal }: StoreOptions): Promise<Versioned> {
    checkKey(key);
    const start = range?.offset ?? 0;
    const received: Buffer[] = [];
    let have = 0;
    let version: string | undefined;
    let length = range?.length;
    let failures = 0;
    let failedAt = 0;
    const startAgain = () => {
      received.length = have = failedAt = 0;
      version = undefined;
      length = range?.length;
    };
    /** Waits, or gives up. */
    const failed = async (error: unknown) => {
      if (have - failedAt >= progressBytes) failures = 0;
      failedAt = have;
      if (signal?.aborted || ++failures >= attempts) throw fromS3(error, `${nameOf(key)}: reading`, signal);
      await pause(failures, signal);
    };
    for (;;) {
      const resumed = have > 0;
      const wanted = range || resumed ? `bytes=${start + have}-${range ? start + range.length - 1 : ''}` : undefined;
      try {
        const answer = await client.send(new GetObjectCommand({ ...at(key), Range: wanted, IfMatch: version }), { abortSignal: signal });
        // An error in the place of an object has no version.
        if (!answer.ETag) throw new Error('the server says 200 and sends no object');
        version = answer.ETag;
        // A server that knows no ranges sends all.
        const total = answer.ContentRange ? Number(answer.ContentRange.split('/')[1]) : answer.ContentLength!;
        let skip = wanted && !answer.ContentRange ? start + have : 0;
        if (range && total < start + range.length) throw tooShort(key, range);
        length ??= total;
        for await (const chunk of answer.Body as Readable) {
          const rest = (chunk as Buffer).subarray(skip);
          skip -= chunk.length - rest.length;
          received.push(rest);
          have += rest.length;
        }
        if (have < length) throw new Error('the connection ended before the object did');
        return { bytes: Buffer.concat(received, length), version };
      } catch (error) {
        if (error instanceof SegfleetError) throw error;
        if (range && statusOf(error) === 416) throw tooShort(key, range);
        const status = statusOf(error);
        if (status === 412)
          startAgain(); // replaced while it was read
        else if (isFinal(error)) throw fromS3(error, `${nameOf(key)}: reading`, signal);
        else if (length !== undefined && have >= length) startAgain(); // all of it came, and its checksum is another
        await failed(error);
      }
    }
  }

  const tooShort = (key: string, { offset, length }: Range) =>
    new SegfleetError('integrity', `${nameOf(key)} ends before byte ${offset + length}; it was cut short`);

  /** One object in one request or in parts. @throws what the SDK throws; Error: a 200 that is none */
  async function send(key: string, bytes: Uint8Array, condition: Condition, signal: AbortSignal | undefined): Promise<void> {
    const input = { ...at(key), Body: bytes, ...condition };
    if (bytes.length <= partBytes) {
      const requestTimeout = uploadMs(bytes.length);
      const { ETag } = await client.send(new PutObjectCommand(input), { abortSignal: signal, requestTimeout });
      if (!ETag) throw new Error('the server says 200 and tells of no object');
      return;
    }
    const { Upload } = await import('@aws-sdk/lib-storage');
    // It takes no time-out of a request of its own.
    const patient = timed(uploadMs(partBytes));
    const upload = new Upload({ client: patient, params: input, partSize: partBytes, queueSize: 2 });
    const abort = () => void upload.abort();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      signal?.throwIfAborted();
      await upload.done();
    } finally {
      signal?.removeEventListener('abort', abort);
      patient.destroy();
    }
  }

  async function write(key: string, bytes: Uint8Array, condition: Condition, { signal }: StoreOptions): Promise<boolean> {
    checkKey(key);
    const isConditional = condition.IfNoneMatch !== undefined || condition.IfMatch !== undefined;
    if (isConditional) await checkConditions(signal);
    for (let failures = 0; ; ) {
      try {
        await send(key, bytes, condition, signal);
        return true;
      } catch (error) {
        const status = statusOf(error);
        // An earlier attempt may have done it although its answer was lost: then the object is ours.
        const isRepeated = failures > 0 || (problemOf(error).$metadata?.attempts ?? 1) > 1;
        if (isRepeated && status !== undefined && status < 500 && (await holds(key, bytes, signal))) return true;
        if (isConditional && (status === 412 || (status === 404 && problemOf(error).name !== 'NoSuchBucket'))) return false;
        const mayPass = status === undefined || status === 200 || status === 409;
        if (!mayPass || isExhausted(error) || signal?.aborted || ++failures >= attempts) {
          throw fromS3(error, `${nameOf(key)}: writing`, signal);
        }
        await pause(failures, signal);
      }
    }
  }

  /** The SDK has tried as often as it may. */
  const isExhausted = (error: unknown) => (problemOf(error).$metadata?.attempts ?? 0) >= attempts;

  async function holds(key: string, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<boolean> {
    const found = await ifThere(read(key, undefined, { signal }));
    return found !== undefined && Buffer.compare(found.bytes, bytes) === 0;
  }

  let conditionsChecked: Promise<void> | undefined;
  /** Once per store. @throws usage: where the server overwrites what it was told not to */
  function checkConditions(signal: AbortSignal | undefined): Promise<void> {
    conditionsChecked ??= probeConditions(signal);
    conditionsChecked.catch(() => {
      conditionsChecked = undefined;
    });
    return conditionsChecked;
  }

  async function probeConditions(signal: AbortSignal | undefined): Promise<void> {
    const isRefused = async (condition: Condition): Promise<boolean> => {
      try {
        await client.send(new PutObjectCommand({ ...at(probeKey), Body: Buffer.from('segfleet\n'), ...condition }), {
          abortSignal: signal,
        });
        return false;
      } catch (error) {
        if (statusOf(error) === 412) return true;
        if (statusOf(error) === 501) return false;
        throw fromS3(error, `${nameOf(probeKey)}: writing`, signal);
      }
    };
    const ifAbsent = { IfNoneMatch: '*' } as const;
    const isHeeded = (await isRefused(ifAbsent)) || (await isRefused(ifAbsent));
    if (isHeeded && (await isRefused({ IfMatch: '"00000000000000000000000000000000"' }))) return;
    throw new SegfleetError(
      'usage',
      `s3://${bucket}: the server ignores conditions on writes (If-None-Match, If-Match), so two writers could destroy each other's ` +
        'work; use a server that heeds them (AWS S3, MinIO, versitygw), or a file: URL',
    );
  }

  return {
    url: `s3://${bucket}${root && `/${root.slice(0, -1)}`}`,
    get: async (key, options = {}) => (await read(key, undefined, options)).bytes,
    getVersioned: (key, options = {}) => read(key, undefined, options),
    stat: async (key, { signal } = {}) => {
      checkKey(key);
      try {
        const { ETag, ContentLength } = await client.send(new HeadObjectCommand(at(key)), { abortSignal: signal });
        return { version: ETag!, length: ContentLength! };
      } catch (error) {
        throw fromS3(error, `${nameOf(key)}: reading`, signal);
      }
    },
    // A range of no bytes cannot be asked for.
    getRange: async (key, offset, length, options = {}) =>
      length === 0 ? Buffer.alloc(0) : (await read(key, { offset, length }, options)).bytes,
    put: async (key, bytes, options = {}) => void (await write(key, bytes, {}, options)),
    putIfAbsent: (key, bytes, options = {}) => write(key, bytes, { IfNoneMatch: '*' }, options),
    putIfMatch: (key, bytes, version, options = {}) => write(key, bytes, { IfMatch: version }, options),
    list: async (prefix = '', { signal } = {}) => {
      const keys: string[] = [];
      try {
        const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: `${root}${prefix}` }, { abortSignal: signal });
        for await (const { Contents = [] } of pages) keys.push(...Contents.map(({ Key }) => Key!.slice(root.length)));
      } catch (error) {
        throw fromS3(error, `s3://${bucket}/${root}${prefix}: listing`, signal);
      }
      return keys.filter(key => !/(^|\/)(\.|\/|$)/.test(key)).sort();
    },
    delete: async (key, { signal } = {}) => {
      checkKey(key);
      try {
        await client.send(new DeleteObjectCommand(at(key)), { abortSignal: signal });
      } catch (error) {
        if (statusOf(error) === 404 && problemOf(error).name !== 'NoSuchBucket') return;
        throw fromS3(error, `${nameOf(key)}: deleting`, signal);
      }
    },
  };
}

function parse(url: string): { bucket: string; root: string } {
  const [, bucket, path = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/i.exec(url) ?? [];
  const names = path.replace(/\/+$/, '');
  if (!bucket || names.split('/').some(name => name === '.' || name === '..')) {
    throw new SegfleetError('usage', `${url}: s3://<bucket> or s3://<bucket>/<prefix> is expected`);
  }
  return { bucket, root: names && `${names}/` };
}

/** What another attempt of ours would not mend: the server's refusals, and what the SDK has tried often enough. */
const isFinal = (error: unknown): boolean => {
  const { name, message, $metadata } = problemOf(error);
  const status = $metadata?.httpStatusCode;
  return (
    (status !== undefined && status !== 200 && status !== 206) ||
    ($metadata?.attempts ?? 1) > 1 ||
    name === 'CredentialsProviderError' ||
    message.startsWith('Region is missing')
  );
};

/** Longer after each failure, and never the same for two who failed together. */
const pause = (failures: number, signal: AbortSignal | undefined) =>
  wait(Math.random() * Math.min(5000, 100 * 2 ** failures), undefined, { signal }).catch(error => {
    throw signal?.aborted ? signal.reason : error;
  });
