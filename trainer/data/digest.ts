/**
 * What a data set is, as one number: two runs or files with the same digest saw the same bytes under the same ids.
 */
import { createHash } from 'node:crypto';

/** SHA-256 over ids and file digests, in the order given. */
export function dataDigest(cases: Iterable<{ readonly id: string; readonly digest: string }>): string {
  const hash = createHash('sha256');
  for (const { id, digest } of cases) hash.update(`${JSON.stringify(id)} ${digest}\n`);
  return hash.digest('hex');
}

/** Of one case: the digests of its files. */
export const caseDigest = (image: string, mask: string, fov?: string): string => [image, mask, ...(fov ? [fov] : [])].join(' ');
