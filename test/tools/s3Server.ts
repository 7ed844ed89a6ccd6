/**
 * An S3 server in memory that fails as told: before or after it has done what was asked, in the middle of a body, or by ignoring
 * conditions and ranges. It checks no signatures; the conformance suite holds it to what a real server does.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface Seen {
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

export type Fault =
  /** Answers with this error, and does nothing or, with `done`, does what was asked first. */
  | { readonly status: number; readonly code: string; readonly done?: boolean }
  /** Never answers. */
  | 'silence'
  /** Closes the connection instead of answering. */
  | 'reset'
  /** Sends half of the body and closes, or says nothing more. */
  | 'cutBody'
  | 'stalledBody'
  /** Flips a bit in the body. */
  | 'flippedBit'
  /** 200 with an error as the body. */
  | 'errorBody'
  | 'ignoredConditions'
  | 'ignoredRange';

export interface S3Server extends AsyncDisposable {
  readonly url: string;
  /** `bucket/key` -> bytes */
  readonly objects: Map<string, Buffer>;
  readonly requests: Seen[];
  /** What shall go wrong with a request; asked once for each. */
  fault: (request: Seen) => Fault | undefined;
}

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer;
}

export async function startS3Server(): Promise<S3Server> {
  const objects = new Map<string, Buffer>();
  const uploads = new Map<string, Map<number, Buffer>>();
  const requests: Seen[] = [];
  const server = createServer((request, response) => {
    void answer(request, response).catch(error => response.destroy(error));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams: query } = new URL(request.url!, 'http://server');
    const [, bucket, ...names] = decodeURIComponent(pathname).split('/');
    const seen = { method: request.method!, bucket, key: names.join('/'), query, headers: request.headers };
    requests.push(seen);
    const fault = s3.fault(seen);
    const body = await buffer(request);
    if (fault === 'silence') return;
    if (fault === 'reset') return void request.socket.destroy();
    if (fault === 'errorBody') return send(response, request, { status: 200, body: errorXml('InternalError') });
    const done = typeof fault === 'object' && !fault.done ? undefined : perform(seen, body, fault);
    if (typeof fault === 'object') return send(response, request, failure(fault.status, fault.code));
    return send(response, request, done!, fault);
  }

  function perform({ method, bucket, key, query, headers }: Seen, body: Buffer, fault: Fault | undefined): Answer {
    const path = `${bucket}/${key}`;
    const there = objects.get(path);
    const wanted = fault === 'ignoredConditions' ? {} : { ifMatch: headers['if-match'], ifNoneMatch: headers['if-none-match'] };
    const isRefused = (wanted.ifNoneMatch === '*' && there) || (wanted.ifMatch && there && wanted.ifMatch !== etagOf(there));
    const uploadId = query.get('uploadId');
    if (bucket === 'absent') return failure(404, 'NoSuchBucket');
    if (method === 'POST' && query.has('uploads')) {
      const id = String(uploads.size + 1);
      uploads.set(id, new Map());
      return {
        status: 200,
        body: xml('InitiateMultipartUploadResult', `<Bucket>${bucket}</Bucket><Key>${escaped(key)}</Key><UploadId>${id}</UploadId>`),
      };
    }
    if (uploadId !== null) {
      const parts = uploads.get(uploadId);
      if (!parts) return failure(404, 'NoSuchUpload');
      if (method === 'PUT') {
        parts.set(Number(query.get('partNumber')), body);
        return { status: 200, headers: { etag: etagOf(body) } };
      }
      if (method === 'POST' && isRefused) return failure(412, 'PreconditionFailed');
      uploads.delete(uploadId);
      if (method === 'DELETE') return { status: 204 };
      const whole = Buffer.concat([...parts].sort(([a], [b]) => a - b).map(([, bytes]) => bytes));
      objects.set(path, whole);
      return { status: 200, body: xml('CompleteMultipartUploadResult', `<ETag>${escaped(etagOf(whole))}</ETag>`) };
    }
    switch (method) {
      case 'PUT':
        if (isRefused) return failure(412, 'PreconditionFailed');
        if (wanted.ifMatch && !there) return failure(404, 'NoSuchKey');
        objects.set(path, body);
        return { status: 200, headers: { etag: etagOf(body) } };
      case 'DELETE':
        objects.delete(path);
        return { status: 204 };
      case 'HEAD':
      case 'GET':
        if (key === '') return list(bucket, query);
        if (!there) return failure(404, 'NoSuchKey');
        if (isRefused) return failure(412, 'PreconditionFailed');
        return get(there, fault === 'ignoredRange' ? undefined : headers.range);
      default:
        return failure(501, 'NotImplemented');
    }
  }

  /** Two keys a page, so that a reader has to ask again. */
  function list(bucket: string, query: URLSearchParams): Answer {
    const prefix = `${bucket}/${query.get('prefix') ?? ''}`;
    const after = query.get('continuation-token') ?? '';
    const keys = [...objects.keys()].filter(path => path.startsWith(prefix) && path > after).sort();
    const shown = keys.slice(0, 2).map(path => `<Contents><Key>${escaped(path.slice(bucket.length + 1))}</Key></Contents>`);
    const next = keys.length > 2 ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${escaped(keys[1])}</NextContinuationToken>` : '';
    return { status: 200, body: xml('ListBucketResult', shown.join('') + next) };
  }

  const s3: S3Server = {
    url: await new Promise(resolve => {
      server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
    }),
    objects,
    requests,
    fault: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
  return s3;
}

function get(bytes: Buffer, range: string | undefined): Answer {
  const headers = { etag: etagOf(bytes), 'x-amz-checksum-sha256': createHash('sha256').update(bytes).digest('base64') };
  if (range === undefined) return { status: 200, headers, body: bytes };
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range)!.map(Number);
  if (from >= bytes.length) return failure(416, 'InvalidRange');
  const body = bytes.subarray(from, range.endsWith('-') ? undefined : to + 1);
  const place = `bytes ${from}-${from + body.length - 1}/${bytes.length}`;
  return { status: 206, headers: { etag: headers.etag, 'content-range': place }, body };
}

function send(
  response: ServerResponse,
  request: IncomingMessage,
  { status, headers, body = Buffer.alloc(0) }: Answer,
  fault?: Fault,
): void {
  response.writeHead(status, { ...headers, 'content-length': String(body.length) });
  const half = body.subarray(0, body.length >> 1);
  if (fault === 'cutBody') response.write(half, () => request.socket.destroy());
  else if (fault === 'stalledBody') response.write(half);
  else if (fault === 'flippedBit') response.end(Buffer.from(body.map((byte, i) => (i === body.length >> 1 ? byte ^ 1 : byte))));
  else response.end(body);
}

const etagOf = (bytes: Buffer) => `"${createHash('md5').update(bytes).digest('hex')}"`;
const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
const xml = (element: string, inner: string) => Buffer.from(`<?xml version="1.0" encoding="UTF-8"?><${element}>${inner}</${element}>`);
const errorXml = (code: string) => xml('Error', `<Code>${code}</Code><Message>as told</Message>`);
const failure = (status: number, code: string): Answer => ({ status, body: errorXml(code) });
