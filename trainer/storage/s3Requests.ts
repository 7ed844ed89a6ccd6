/**
 * What this process asks of object storage, told on a channel of Node's `diagnostics_channel` to whoever counts it: every attempt of every request.
 */
import { channel } from 'node:diagnostics_channel';
import type { S3Client } from '@aws-sdk/client-s3';

export const s3Channel = 'segfleet:s3';

export interface S3Request {
  readonly operation: 'get' | 'put' | 'list' | 'delete' | 'multipart' | 'other';
  readonly outcome: 'ok' | 'notFound' | 'condition' | 'refused' | 'throttled' | 'server' | 'network';
  /** Until the answer began, or did not. */
  readonly seconds: number;
}

const operations: Readonly<Record<string, S3Request['operation']>> = {
  GetObjectCommand: 'get',
  HeadObjectCommand: 'get',
  PutObjectCommand: 'put',
  ListObjectsV2Command: 'list',
  DeleteObjectCommand: 'delete',
  CreateMultipartUploadCommand: 'multipart',
  UploadPartCommand: 'multipart',
  CompleteMultipartUploadCommand: 'multipart',
  AbortMultipartUploadCommand: 'multipart',
};

const requests = channel(s3Channel);

/** Tells of the requests of this client from now on. */
export function tellRequests(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName = '' }) =>
      async input => {
        if (!requests.hasSubscribers) return next(input);
        const began = performance.now();
        const tell = (outcome: S3Request['outcome']) => {
          const seconds = (performance.now() - began) / 1000;
          requests.publish({ operation: operations[commandName] ?? 'other', outcome, seconds } satisfies S3Request);
        };
        try {
          const answer = await next(input);
          tell('ok');
          return answer;
        } catch (error) {
          tell(outcomeOf((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode));
          throw error;
        }
      },
    // Below the retries, above what makes an error of an answer.
    { step: 'deserialize', priority: 'high', name: 'tellRequests' },
  );
}

function outcomeOf(status: number | undefined): S3Request['outcome'] {
  if (status === undefined) return 'network';
  if (status === 404) return 'notFound';
  if (status === 412 || status === 409) return 'condition';
  if (status === 429 || status === 503) return 'throttled';
  return status >= 500 ? 'server' : 'refused';
}
