/**
 * What a checkpoint in a store is, and which of several are kept: pure functions. A checkpoint is a manifest that names chunks; a chunk
 * is a safetensors file named by its SHA-256, so that two checkpoints share what did not change between them.
 *
 *     latest.json                          who writes here, and the newest manifest
 *     manifests/<term>-<step>.json
 *     chunks/<sha256>.safetensors
 */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { SegfleetError } from '../errors.ts';
import type { Tensors } from './safetensors.ts';

const family = 'segfleet/checkpoint-manifest/';
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const chunk = z.strictObject({ sha256, bytes: z.int().nonnegative(), tensors: z.array(z.string()).min(1) });
const contents = z.strictObject({
  schema: z.literal(`${family}1`),
  /** Of one run are the checkpoints of one store. */
  run: z.string(),
  /** Rises with each writer that takes the store over. */
  term: z.int().positive(),
  /** Steps done. */
  step: z.int().nonnegative(),
  /** Validation score, higher is better; absent before the first validation. */
  score: z.number().optional(),
  /** Where the run stands, in the words of whoever wrote it. */
  position: z.json(),
  written: z.iso.datetime(),
  chunks: z.array(chunk).min(1),
});
const manifest = contents.extend({ sha256 });
const pointer = z.strictObject({
  schema: z.literal('segfleet/checkpoint-pointer/1'),
  run: z.string(),
  term: z.int().positive(),
  /** Key of the newest manifest; null before the first. */
  manifest: z.string().nullable(),
});

export type Chunk = Readonly<z.infer<typeof chunk>>;
export type ManifestContents = Readonly<Omit<z.infer<typeof contents>, 'schema'>>;
export type Manifest = Readonly<z.infer<typeof manifest>>;
export type Pointer = Readonly<z.infer<typeof pointer>>;

export const pointerKey = 'latest.json';
export const manifestPrefix = 'manifests/';
export const chunkPrefix = 'chunks/';
export const chunkKey = (sha256: string): string => `${chunkPrefix}${sha256}.safetensors`;
/** Sorted by name, manifests are in the order in which they came to be. */
export const manifestKey = ({ term, step }: { readonly term: number; readonly step: number }): string =>
  `${manifestPrefix}${String(term).padStart(6, '0')}-${String(step).padStart(12, '0')}.json`;
export const termOf = (key: string): number => Number(/^manifests\/(\d+)-\d+\.json$/.exec(key)?.[1] ?? 0);

export const digestOf = (bytes: Uint8Array | string): string => hash('sha256', bytes);

/** The manifest carries the SHA-256 of the rest of it. */
export function encodeManifest(described: ManifestContents): Buffer {
  const text = { schema: `${family}1`, ...described };
  return Buffer.from(`${JSON.stringify({ ...text, sha256: digestOf(JSON.stringify(text)) }, null, 2)}\n`);
}

/** @throws integrity: damaged; usage: of a later version of segfleet */
export function decodeManifest(bytes: Uint8Array, source: string): Manifest {
  const damaged = (why: string, cause?: unknown) => new SegfleetError('integrity', `${source} is damaged: ${why}`, { cause });
  const read = parseJson(bytes, damaged);
  const { sha256, ...rest } = read;
  if (sha256 !== digestOf(JSON.stringify(rest))) throw damaged('its checksum is not that of what it says');
  const { schema } = read;
  if (typeof schema === 'string' && schema.startsWith(family) && schema !== `${family}1`) {
    throw new SegfleetError('usage', `${source} was written by a later version of segfleet (${schema}); use that version`);
  }
  const { success, data, error } = manifest.safeParse(read);
  if (!success) throw damaged(`its checksum fits, its form does not (${z.prettifyError(error).split('\n')[0]})`, error);
  const names = data.chunks.flatMap(({ tensors }) => tensors);
  if (new Set(names).size !== names.length) throw damaged('it names a tensor twice');
  return data;
}

export const encodePointer = (described: Omit<Pointer, 'schema'>): Buffer =>
  Buffer.from(`${JSON.stringify({ schema: 'segfleet/checkpoint-pointer/1', ...described })}\n`);

/** @throws integrity */
export function decodePointer(bytes: Uint8Array, source: string): Pointer {
  const damaged = (why: string, cause?: unknown) => new SegfleetError('integrity', `${source} is damaged: ${why}`, { cause });
  const { success, data, error } = pointer.safeParse(parseJson(bytes, damaged));
  if (!success) throw damaged(z.prettifyError(error).split('\n')[0], error);
  return data;
}

function parseJson(bytes: Uint8Array, damaged: (why: string, cause?: unknown) => Error): Record<string, unknown> {
  let read: unknown;
  try {
    read = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw damaged('it is not JSON', cause);
  }
  if (typeof read !== 'object' || read === null || Array.isArray(read)) throw damaged('it is not a JSON object');
  return read as Record<string, unknown>;
}

/**
 * Which tensors go into one chunk: by name, as many as fit into `chunkBytes`, a larger one alone. A function of names and sizes only,
 * so every rank and every checkpoint of a run cuts alike.
 */
export function planChunks(tensors: Tensors, chunkBytes: number): string[][] {
  const plan: string[][] = [];
  let room = 0;
  for (const name of [...tensors.keys()].sort()) {
    const { byteLength } = tensors.get(name)!.data;
    if (plan.length === 0 || byteLength > room) {
      plan.push([]);
      room = chunkBytes;
    }
    plan.at(-1)!.push(name);
    room -= byteLength;
  }
  return plan;
}

/** The chunks of the plan that one of `ranks` workers writes: every `ranks`-th. */
export const shareOf = <T>(plan: readonly T[], rank: number, ranks: number): T[] => plan.filter((_, i) => i % ranks === rank);

export interface Retention {
  /** Newest ones that are kept, at least 1. */
  readonly last: number;
  /** Of those with a score, the highest ones that are kept. */
  readonly best: number;
}

/** Of manifests in any order: which stay and which go. Of equal scores the later one counts as better. */
export function planRetention<M extends Pick<Manifest, 'term' | 'step' | 'score'>>(
  manifests: readonly M[],
  { last, best }: Retention,
): { keep: M[]; drop: M[] } {
  const newest = manifests.toSorted((a, b) => b.term - a.term || b.step - a.step);
  const scored = newest.filter(({ score }) => score !== undefined).sort((a, b) => b.score! - a.score!);
  const keep = new Set([...newest.slice(0, Math.max(last, 1)), ...scored.slice(0, best)]);
  return { keep: newest.filter(one => keep.has(one)), drop: newest.filter(one => !keep.has(one)) };
}
