/**
 * The sums of one worker: takes its lanes and the frames of the others in whatever order they come, and says what to send and which
 * buckets are complete. No sockets and no clocks of its own: the thread of the exchange and the tests drive it.
 *
 * A chunk is added when the values of all its nodes are here, in the order of the tree. Nothing of a sent buffer is written again
 * before its receiver has proved that it came: lanes are free again when the step is complete (every owner's sum came, and it
 * depends on them); a sum is, when the contributions of the next step come, for only those send them who have all sums. For the same
 * reason contributions may come while this worker still waits for others' sums, but never before it has added its own slice.
 */

import { fold, type Node } from '../../trainer/tree.ts';
import { bytesPerNumber, type Wire } from '../../trainer/wire.ts';
import type { Arena } from './arena.ts';
import { blockLength } from './arena.ts';
import type { Header, Refusal } from './frame.ts';
import type { Kernels } from './kernels.ts';
import { type Chunk, type Plan, sliceBytes } from './plan.ts';

/** Numbers to send: they lie in the memory of the exchange, and stay as they are until they have arrived. */
export interface Outgoing {
  /** Ranks. */
  readonly to: readonly number[];
  readonly kind: Header['kind'];
  readonly wire: Wire;
  readonly step: number;
  readonly bucket: number;
  readonly node: Node;
  readonly slice: number;
  readonly chunk: Chunk;
  readonly address: number;
  readonly bytes: number;
  readonly checksum: number;
}

export interface ReducerOptions {
  readonly plan: Plan;
  readonly arena: Arena;
  readonly memory: WebAssembly.Memory;
  readonly kernels: Kernels;
  readonly firstStep: number;
  /** Whether numbers come with their frames, and can be damaged on the way; otherwise they lie in the memory of the sender until the step is complete. */
  readonly inline: boolean;
  /** Milliseconds of any clock that never goes back. */
  readonly now: () => number;
  readonly send: (frame: Outgoing) => void;
  /** All numbers of the bucket's total are in place. */
  readonly complete: (step: number, bucket: number) => void;
}

/** How long others waited for a rank in one step, in milliseconds. */
export interface Lateness {
  /** By rank: from the first contribution to a bucket, whoever sent it, to this rank's last one. The largest of the step's buckets. */
  readonly contribution: Float64Array;
  /** By rank: from when all contributions to a bucket were here until this rank's sum of its slice came. Zero where it came first. */
  readonly sum: Float64Array;
}

interface PlacedNode {
  readonly node: Node;
  readonly rank: number;
  /** Among the rank's own nodes for this worker's, among those of all others for theirs. */
  readonly place: number;
}

interface BucketState {
  lanesMissing: number;
  /** By chunk of the own slice: which nodes are here, and their numbers where they lie in the sender's memory. */
  readonly here: readonly Map<number, Uint8Array | undefined>[];
  readonly sums: Set<string>;
  contributionsMissing: number;
  chunksMissing: number;
  firstArrival: number;
  lastArrival: number;
}

interface Round {
  readonly step: number;
  readonly parity: 0 | 1;
  /** By rank: frames that are still to come for the buckets that this worker has added; below zero, those that came before. */
  readonly missing: Float64Array;
  readonly buckets: readonly BucketState[];
  readonly lateness: Lateness;
}

export class Reducer {
  readonly #options: ReducerOptions;
  readonly #bytes: Uint8Array;
  /** In the order of lanes: the nodes that workers add alone, and whose they are. */
  readonly #nodes: readonly PlacedNode[];
  /** Their places in that list, by first lane. */
  readonly #indexByStart: ReadonlyMap<number, number>;
  /** By bucket: bytes of own slices in the buckets before, as they travel. */
  readonly #inboxStart: readonly number[];
  #current: Round;
  /** Others may be one step ahead, no more: its contributions can come before this worker begins it. */
  #next: Round;

  constructor(options: ReducerOptions) {
    this.#options = options;
    const { plan, memory } = options;
    this.#bytes = new Uint8Array(memory.buffer);
    const places = plan.ranges.map(() => 0);
    let foreign = 0;
    this.#nodes = plan.nodes.flatMap((nodes, rank) =>
      nodes.map(node => ({ node, rank, place: rank === plan.rank ? places[rank]++ : foreign++ })),
    );
    this.#indexByStart = new Map(this.#nodes.map(({ node }, index) => [node.start, index]));
    let bytes = 0;
    this.#inboxStart = plan.buckets.map(bucket => {
      const start = bytes;
      bytes += sliceBytes(bucket, plan.rank);
      return start;
    });
    this.#current = this.#round(options.firstStep - 1);
    this.#next = this.#round(options.firstStep);
  }

  get step(): number {
    return this.#current.step;
  }

  /** By rank: frames that have not come yet for the buckets of the step under way that this worker has added. */
  get missing(): Float64Array {
    return this.#current.missing;
  }

  get lateness(): Lateness {
    return this.#current.lateness;
  }

  begin(step: number): void {
    this.#current = this.#next;
    this.#next = this.#round(step + 1);
  }

  /** The values of a lane are in its place. The last one sets the bucket moving. */
  addLane(bucket: number): void {
    const { plan, kernels, arena } = this.#options;
    const round = this.#current;
    const state = round.buckets[bucket];
    if (--state.lanesMissing > 0) return;
    const { wire, chunks, start, wireStart, paddedLength } = plan.buckets[bucket];
    for (const [rank, nodes] of plan.nodes.entries()) {
      if (rank !== plan.rank) round.missing[rank] += nodes.length * chunks[plan.rank].length + chunks[rank].length;
    }
    const own = this.#nodes.filter(({ rank }) => rank === plan.rank);
    for (const { node } of own) this.#foldLanes(node, bucket);
    if (wire === 'bfloat16' && plan.workers > 1) {
      for (const { node, place } of own) {
        const packed = arena.packed[place] + wireStart;
        kernels.pack(packed, this.#laneAddress(node.start, start), packed + paddedLength * 2);
      }
    }
    this.#sendContributions(bucket, own);
    for (const [index, chunk] of chunks[plan.rank].entries()) {
      for (const { node } of own) this.#arrived(round, bucket, index, chunk, node, plan.rank, undefined);
    }
  }

  /** @param numbers of the frame's chunk @returns why the frame was dropped, or 'damaged' where the numbers do not match the checksum */
  receive(header: Header, numbers: Uint8Array): Refusal | 'damaged' | undefined {
    const { plan, arena, inline } = this.#options;
    const round = [this.#current, this.#next].find(({ step }) => step === header.step);
    if (!round || (header.kind === 'sum' && round !== this.#current)) return 'otherStep';
    const { bucket, offset, length, from } = header;
    const state = round.buckets[bucket];
    const { wire, start, chunks } = plan.buckets[bucket];
    const chunk = { offset, length };
    const index = chunks[header.slice].findIndex(other => other.offset === offset);
    const size = bytesPerNumber[wire];
    if (header.kind === 'contribution') {
      const known = this.#indexByStart.get(header.node.start)!;
      if (state.here[index].has(known)) return 'duplicate';
      const place = this.#inboxAddress(this.#nodes[known], bucket, offset);
      if (inline && !this.#put(numbers, place, header.checksum)) return 'damaged';
      round.missing[from]--;
      this.#arrived(round, bucket, index, chunk, header.node, from, inline ? undefined : numbers);
      return undefined;
    }
    const name = `${from}/${index}`;
    if (state.sums.has(name)) return 'duplicate';
    const total = arena.totals[round.parity] + (start + offset) * 4;
    // Numbers of two bytes come to lie in the upper half of their place, and are spread over the whole of it from the front.
    const place = total + length * (4 - size);
    if (!this.#put(numbers, place, header.checksum)) return 'damaged';
    if (wire === 'bfloat16') this.#options.kernels.unpack(total, place, total + length * 4);
    state.sums.add(name);
    round.missing[from]--;
    const known = state.contributionsMissing === 0 && Number.isFinite(state.lastArrival);
    if (known) round.lateness.sum[from] = Math.max(round.lateness.sum[from], this.#options.now() - state.lastArrival);
    this.#chunkDone(round, bucket);
    return undefined;
  }

  #round(step: number): Round {
    const { plan } = this.#options;
    const { start, end } = plan.ranges[plan.rank];
    const buckets = plan.buckets.map(
      ({ chunks }): BucketState => ({
        lanesMissing: end - start,
        here: chunks[plan.rank].map(() => new Map()),
        sums: new Set(),
        contributionsMissing: chunks[plan.rank].length * this.#nodes.length,
        chunksMissing: chunks.reduce((sum, { length }) => sum + length, 0),
        firstArrival: Number.POSITIVE_INFINITY,
        lastArrival: Number.NEGATIVE_INFINITY,
      }),
    );
    const lateness = { contribution: new Float64Array(plan.workers), sum: new Float64Array(plan.workers) };
    return { step, parity: (step & 1) as 0 | 1, missing: new Float64Array(plan.workers), buckets, lateness };
  }

  /** Adds the lanes of a node in place: its first lane takes the sum. */
  #foldLanes(node: Node, bucket: number): void {
    const { plan, kernels } = this.#options;
    const { wire, start, paddedLength } = plan.buckets[bucket];
    const bytes = paddedLength * 4;
    const add = wire === 'bfloat16' ? kernels.addRounded : kernels.add;
    if (wire === 'bfloat16') {
      for (let lane = node.start; lane < node.end; lane++) {
        const place = this.#laneAddress(lane, start);
        kernels.round(place, place, place + bytes);
      }
    }
    fold<number>(
      node,
      ({ start: lane, end }) => (end - lane === 1 ? this.#laneAddress(lane, start) : undefined),
      (left, right) => {
        add(left, left, right, left + bytes);
        return left;
      },
    );
  }

  #sendContributions(bucket: number, own: readonly PlacedNode[]): void {
    const { plan, arena } = this.#options;
    const { wire, start, wireStart, chunks } = plan.buckets[bucket];
    const longest = Math.max(...chunks.map(({ length }) => length));
    for (let index = 0; index < longest; index++) {
      for (let turn = 1; turn < plan.workers; turn++) {
        const to = (plan.rank + turn) % plan.workers; // not all at the same one first
        const chunk = chunks[to][index];
        if (!chunk) continue;
        for (const { node, place } of own) {
          const numbers = wire === 'bfloat16' ? arena.packed[place] + wireStart : this.#laneAddress(node.start, start);
          const address = numbers + chunk.offset * bytesPerNumber[wire];
          this.#send([to], { kind: 'contribution', bucket, node, slice: to, chunk, address });
        }
      }
    }
  }

  #arrived(round: Round, bucket: number, index: number, chunk: Chunk, node: Node, from: number, numbers: Uint8Array | undefined): void {
    const { plan, now } = this.#options;
    const state = round.buckets[bucket];
    const time = now();
    state.firstArrival = Math.min(state.firstArrival, time);
    state.lastArrival = time;
    state.contributionsMissing--;
    const late = round.lateness.contribution;
    late[from] = Math.max(late[from], time - state.firstArrival);
    const here = state.here[index].set(this.#indexByStart.get(node.start)!, numbers);
    if (here.size < this.#nodes.length) return;
    // All nodes are here, this worker's among them, so this is the step under way.
    this.#foldChunk(round, bucket, chunk, here);
    const others = Array.from({ length: plan.workers - 1 }, (_, turn) => (plan.rank + turn + 1) % plan.workers);
    this.#send(others, {
      kind: 'sum',
      bucket,
      node: plan.root,
      slice: plan.rank,
      chunk,
      address: this.#sumAddress(round, bucket, chunk.offset),
    });
    this.#chunkDone(round, bucket);
  }

  /** Where the sum is sent from. */
  #sumAddress(round: Round, bucket: number, offset: number): number {
    const { plan, arena } = this.#options;
    const { wire, start, wireStart } = plan.buckets[bucket];
    if (wire === 'bfloat16' && plan.workers > 1) return arena.packed.at(-1)! + wireStart + offset * 2;
    return arena.totals[round.parity] + (start + offset) * 4;
  }

  #foldChunk(round: Round, bucket: number, chunk: Chunk, here: ReadonlyMap<number, Uint8Array | undefined>): void {
    const { plan, arena, kernels } = this.#options;
    const { wire, start } = plan.buckets[bucket];
    const size = bytesPerNumber[wire];
    const rounded = wire === 'bfloat16';
    const add = rounded ? kernels.addRounded : kernels.add;
    const total = arena.totals[round.parity] + (start + chunk.offset) * 4;
    for (let at = 0; at < chunk.length; at += blockLength) {
      const bytes = Math.min(blockLength, chunk.length - at) * 4;
      let used = 0;
      const scratch = () => arena.scratch[used++];
      const known = (node: Node): number | undefined => {
        const index = this.#indexByStart.get(node.start);
        const source = index === undefined ? undefined : this.#nodes[index];
        if (source?.node.end !== node.end) return undefined;
        if (source.rank === plan.rank) return this.#laneAddress(node.start, start + chunk.offset + at);
        const numbers = here.get(index!);
        if (numbers) {
          const place = scratch();
          // As in a total: numbers of two bytes in the upper half, to be spread.
          this.#bytes.set(numbers.subarray(at * size, at * size + (bytes / 4) * size), place + (rounded ? bytes / 2 : 0));
          if (rounded) kernels.unpack(place, place + bytes / 2, place + bytes);
          return place;
        }
        const place = this.#inboxAddress(source, bucket, chunk.offset + at);
        if (!rounded) return place;
        const block = scratch();
        kernels.unpack(block, place, block + bytes);
        return block;
      };
      const sum = fold<number>(plan.root, known, (left, right, node) => {
        const out = node.start === plan.root.start && node.end === plan.root.end ? total + at * 4 : scratch();
        add(out, left, right, out + bytes);
        return out;
      });
      if (sum !== total + at * 4) this.#bytes.copyWithin(total + at * 4, sum, sum + bytes); // a single worker: nothing to add
    }
    if (rounded && plan.workers > 1) {
      const packed = this.#sumAddress(round, bucket, chunk.offset);
      kernels.pack(packed, total, packed + chunk.length * 2);
    }
  }

  #chunkDone(round: Round, bucket: number): void {
    if (--round.buckets[bucket].chunksMissing === 0) this.#options.complete(round.step, bucket);
  }

  #send(to: readonly number[], frame: Omit<Outgoing, 'to' | 'wire' | 'bytes' | 'checksum' | 'step'>): void {
    if (to.length === 0) return;
    const { wire } = this.#options.plan.buckets[frame.bucket];
    const bytes = frame.chunk.length * bytesPerNumber[wire];
    const checksum = this.#options.inline ? this.#options.kernels.checksum(frame.address, frame.address + bytes) >>> 0 : 0;
    this.#options.send({ ...frame, to, wire, step: this.#current.step, bytes, checksum });
  }

  /** Copies into the memory, and tells whether the copy is what was sent. */
  #put(numbers: Uint8Array, place: number, checksum: number): boolean {
    this.#bytes.set(numbers, place);
    return !this.#options.inline || this.#options.kernels.checksum(place, place + numbers.byteLength) >>> 0 === checksum;
  }

  /** @param number within all buckets */
  #laneAddress(lane: number, number: number): number {
    const { plan, arena } = this.#options;
    return arena.lanes[lane - plan.ranges[plan.rank].start] + number * 4;
  }

  /** @param offset within the bucket */
  #inboxAddress({ place }: PlacedNode, bucket: number, offset: number): number {
    const { plan, arena } = this.#options;
    const { wire, chunks } = plan.buckets[bucket];
    return arena.inbox[place] + this.#inboxStart[bucket] + (offset - chunks[plan.rank][0].offset) * bytesPerNumber[wire];
  }
}
