/**
 * The shards that Python's webdataset has read once, see test/bench/webdataset.ts.
 */
import { fileURLToPath } from 'node:url';

export const examplePack = fileURLToPath(new URL('../../examples/nuclei', import.meta.url));
/** Two shards. */
export const shardBytes = 500_000;
