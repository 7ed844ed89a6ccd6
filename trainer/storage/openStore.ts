/**
 * URL -> store. What a kind of storage needs is loaded when a URL asks for it.
 */
import { fileURLToPath } from 'node:url';
import { SegfleetError } from '../errors.ts';
import type { Store } from './store.ts';

/**
 * @param url `file:` with an absolute or relative path, a plain path, or `s3://bucket` with or without a prefix
 * @throws usage: another scheme, or an S3 URL without a bucket
 */
export async function openStore(url: string): Promise<Store> {
  const scheme = schemeOf(url);
  switch (scheme) {
    case undefined:
    case 'file': {
      const { fileStore } = await import('./fileStore.ts');
      return fileStore(scheme === undefined ? url : url.startsWith('file:///') ? fileURLToPath(url) : url.slice('file:'.length));
    }
    case 's3': {
      const { configuredEndpoint, s3Store } = await import('./s3Store.ts');
      return s3Store(url, { endpoint: await configuredEndpoint() });
    }
    default:
      throw new SegfleetError('usage', `${url}: there is no storage ${scheme}:; give file:<folder> or s3://<bucket>/<prefix>`);
  }
}

/** In lower case; undefined for a plain path. */
export const schemeOf = (url: string): string | undefined => /^([a-z][a-z0-9+.-]+):/i.exec(url)?.[1].toLowerCase();
