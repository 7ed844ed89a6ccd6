/**
 * What travels between workers: a header of 48 bytes, then the numbers of one chunk. A frame is believed only when every field of its
 * header is what the plan of this generation expects; anything else is dropped, and counted by the reason.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Node } from '../../trainer/tree.ts';
import { bytesPerNumber, type Wire, wires } from '../../trainer/wire.ts';
import type { Plan } from './plan.ts';

/** A worker's value of one of its nodes, for the owner of the slice; or the owner's sum over all lanes, for everybody. */
export const kinds = ['contribution', 'sum'] as const;

export interface Header {
  readonly kind: (typeof kinds)[number];
  readonly wire: Wire;
  /** `runTag` of the run. */
  readonly run: bigint;
  readonly generation: number;
  readonly step: number;
  readonly bucket: number;
  /** Rank of the sender. */
  readonly from: number;
  /** Rank that owns the slice. */
  readonly slice: number;
  readonly node: Node;
  /** Of the chunk in its bucket, in numbers. */
  readonly offset: number;
  readonly length: number;
  /** Of the numbers. */
  readonly checksum: number;
}

/** Why a frame was dropped, in the order in which it is looked at. */
export const refusals = [
  'parts', // not a header and its numbers
  'headerSize',
  'magic',
  'version',
  'headerChecksum',
  'fields', // a kind or format that does not exist
  'numbersSize', // not what the header says, or too many
  'otherRun',
  'otherGeneration',
  'notPlanned', // a chunk, node, sender or format that this generation does not have
  'otherStep',
  'duplicate',
] as const;
export type Refusal = (typeof refusals)[number];

export const headerBytes = 48;
const magic = 0x58464753; // "SGFX"
const version = 1;

/** The first eight bytes of the SHA-256 of a run's name. */
export const runTag = (run: string): bigint => createHash('sha256').update(run).digest().readBigUInt64LE(0);

export function encodeHeader(header: Header): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt8(version, 4);
  bytes.writeUInt8(kinds.indexOf(header.kind), 5);
  bytes.writeUInt8(wires.indexOf(header.wire), 6);
  bytes.writeBigUInt64LE(header.run, 8);
  bytes.writeUInt32LE(header.generation, 16);
  bytes.writeUInt32LE(header.step, 20);
  bytes.writeUInt16LE(header.bucket, 24);
  bytes.writeUInt16LE(header.from, 26);
  bytes.writeUInt16LE(header.node.start, 28);
  bytes.writeUInt16LE(header.node.end, 30);
  bytes.writeUInt32LE(header.offset, 32);
  bytes.writeUInt32LE(header.length, 36);
  bytes.writeUInt32LE(header.checksum, 40);
  bytes.writeUInt16LE(header.slice, 44);
  // Sixteen bits of a CRC are enough to tell a damaged header from a whole one; the plan looks at every field besides.
  bytes.writeUInt16LE(crc32(bytes.subarray(0, 46)) & 0xffff, 46);
  return bytes;
}

/** What a receiver holds frames against. */
export interface Expected {
  readonly plan: Plan;
  readonly run: bigint;
  readonly generation: number;
  /** Whether the numbers come with the frame; otherwise they lie in memory that both workers see, and nothing follows the header. */
  readonly inline: boolean;
}

/** @returns the header, or the reason why this is no frame of this generation. Never throws, whatever the bytes. Step and checksum of the numbers are left to the receiver. */
export function decodeFrame(parts: readonly Uint8Array[], expected: Expected): Header | Refusal {
  const { plan, inline } = expected;
  if (parts.length !== (inline ? 2 : 1)) return 'parts';
  const [first, numbers] = parts;
  if (first.byteLength !== headerBytes) return 'headerSize';
  const bytes = Buffer.from(first.buffer, first.byteOffset, headerBytes);
  if (bytes.readUInt32LE(0) !== magic) return 'magic';
  if (bytes.readUInt8(4) !== version) return 'version';
  if (bytes.readUInt16LE(46) !== (crc32(bytes.subarray(0, 46)) & 0xffff)) return 'headerChecksum';
  const header: Header = {
    kind: kinds[bytes.readUInt8(5)],
    wire: wires[bytes.readUInt8(6)],
    run: bytes.readBigUInt64LE(8),
    generation: bytes.readUInt32LE(16),
    step: bytes.readUInt32LE(20),
    bucket: bytes.readUInt16LE(24),
    from: bytes.readUInt16LE(26),
    node: { start: bytes.readUInt16LE(28), end: bytes.readUInt16LE(30) },
    offset: bytes.readUInt32LE(32),
    length: bytes.readUInt32LE(36),
    checksum: bytes.readUInt32LE(40),
    slice: bytes.readUInt16LE(44),
  };
  if (!header.kind || !header.wire || bytes.readUInt8(7) !== 0) return 'fields';
  if (inline && numbers.byteLength !== header.length * bytesPerNumber[header.wire]) return 'numbersSize';
  if (header.run !== expected.run) return 'otherRun';
  if (header.generation !== expected.generation) return 'otherGeneration';
  if (!isPlanned(header, plan)) return 'notPlanned';
  return header;
}

function isPlanned({ kind, wire, from, slice, node, bucket, offset, length }: Header, plan: Plan): boolean {
  if (from >= plan.workers || from === plan.rank || slice !== (kind === 'contribution' ? plan.rank : from)) return false;
  const same = (other: Node) => other.start === node.start && other.end === node.end;
  if (!(kind === 'contribution' ? plan.nodes[from].some(same) : same(plan.root))) return false;
  const planned = plan.buckets[bucket];
  return planned?.wire === wire && planned.chunks[slice].some(chunk => chunk.offset === offset && chunk.length === length);
}
