/**
 * The worker's side of round.ts, pure as well: messages, results and ticks go in; messages to send and orders for the main thread come
 * out. Every order is given once, however often its message comes; what belongs to an older generation, session or term is dropped.
 *
 * Orders are done one after the other, so what an order will bring about counts as done here once it is given. Only `abort` and `end`
 * overtake the others.
 */
import type { LaneRange } from './lanes.ts';
import {
  type Committed,
  type Digests,
  type EndCode,
  type FromCoordinator,
  type FromWorkerBody,
  type Holding,
  type Prepared,
  type Session,
  sameSession,
} from './messages.ts';

export interface MemberOptions {
  readonly id: string;
  /** Random, made by the process. */
  readonly process: string;
  readonly incarnation: number;
  readonly digests: Digests;
  readonly capacity: number;
  readonly timing: MemberTiming;
}

/** Milliseconds. */
export interface MemberTiming {
  readonly heartbeatMs: number;
  /** How long a worker tries to get in while another process of its name is in. */
  readonly duplicateMs: number;
  /** How long a worker waits for a coordinator that does not answer. */
  readonly silenceMs: number;
  /** How long one that is asked to go waits for a coordinator that does not answer: it may be all that holds the state. */
  readonly leaveMs: number;
}

export const defaultMemberTiming: MemberTiming = { heartbeatMs: 300, duplicateMs: 10_000, silenceMs: 600_000, leaveMs: 25_000 };

export interface Seat {
  readonly generation: number;
  readonly rank: number;
  /** The lanes of every rank. */
  readonly ranges: readonly LaneRange[];
}

/** Which share of which checkpoint: that of a rank, of so many. */
export interface Share {
  readonly generation: number;
  readonly step: number;
  readonly rank: number;
  readonly size: number;
}

export type Order =
  /** Say what state is held (`holding`). */
  | { readonly order: 'describe' }
  /** Set up the exchange of a generation and say where it listens (`listening`). */
  | ({ readonly order: 'open' } & Seat)
  /** Compute the step and sum it up with the peers (`prepared`). `peers`: addresses by rank. `verify`: see worker.ts */
  | ({ readonly order: 'compute'; readonly step: number; readonly peers: readonly string[]; readonly verify: boolean } & Seat)
  /** Apply what was prepared (`applied`). */
  | { readonly order: 'apply'; readonly step: number }
  /** Say what was reported of the steps from this one on (`reports`). */
  | { readonly order: 'report'; readonly from: number }
  /** Store this rank's share of a checkpoint (`saved`). */
  | ({ readonly order: 'save' } & Share)
  /** Offer the state to newcomers (`offering`). */
  | { readonly order: 'offer'; readonly step: number }
  /** Take the state over from there (`holding`). */
  | { readonly order: 'fetch'; readonly step: number; readonly address: string }
  /** Stop computing and drop what was prepared. */
  | { readonly order: 'abort' }
  | { readonly order: 'end'; readonly code: EndCode; readonly sentence: string };

/** What the main thread has done: the same words that go to the coordinator. */
export type Done = Extract<
  FromWorkerBody,
  { type: 'listening' | 'prepared' | 'applied' | 'reports' | 'offering' | 'holding' | 'unfetched' | 'saved' | 'failed' | 'unreachable' }
>;

export type MemberEvent =
  | { readonly heard: FromCoordinator }
  | { readonly done: Done }
  | { readonly tick: true; readonly stalledMs: number }
  /** The worker is asked to go (SIGTERM): it leaves at the next boundary. */
  | { readonly leave: true };

export interface MemberOutcome {
  readonly member: Member;
  readonly send: readonly { readonly session: Session; readonly body: FromWorkerBody }[];
  readonly orders: readonly Order[];
}

export interface Member {
  readonly options: MemberOptions;
  attempt: number;
  /** The highest that was heard. */
  term: number;
  phase: 'describing' | 'joining' | 'in' | 'ended';
  /** When it was asked to go. */
  leavingSince?: number;
  holds?: Holding;
  /** The last step that is applied, or will be by an order already given. */
  step: number;
  seat?: Seat;
  address?: string;
  /** The step that is computed or prepared in this generation, 0 if none. */
  started: number;
  prepared?: Prepared;
  /** What keeps this generation from going on here: said with every heartbeat until something follows from it. */
  trouble?: Done;
  /** What was said of the last step that was applied. */
  applied?: Done;
  /** From which step on reports were asked for and are not said yet. */
  reporting?: number;
  /** The last share of a checkpoint, and what was said of it. */
  saving?: Share & { done?: Done };
  offering?: { readonly step: number; done?: Done };
  fetching?: { readonly step: number; readonly address: string };
  joinedAt: number;
  /** When `join` was sent last, and when the coordinator was heard last. */
  askedAt: number;
  heardAt: number;
}

export function createMember(options: MemberOptions, now: number): MemberOutcome {
  const member: Member = {
    options,
    attempt: 0,
    term: 0,
    phase: 'describing',
    step: 0,
    started: 0,
    joinedAt: now,
    askedAt: now,
    heardAt: now,
  };
  return { member, send: [], orders: [{ order: 'describe' }] };
}

export function advanceMember(member: Member, event: MemberEvent, now: number): MemberOutcome {
  const turn = new Turn(structuredClone(member), now);
  turn.take(event);
  return { member: turn.member, send: turn.messages, orders: turn.orders };
}

class Turn {
  readonly member: Member;
  readonly messages: { session: Session; body: FromWorkerBody }[] = [];
  readonly orders: Order[] = [];
  readonly #now: number;

  constructor(member: Member, now: number) {
    this.member = member;
    this.#now = now;
  }

  take(event: MemberEvent): void {
    if (this.member.phase === 'ended') return;
    if ('heard' in event) this.#hear(event.heard);
    else if ('done' in event) this.#report(event.done);
    else if ('tick' in event) this.#tick(event.stalledMs);
    else {
      this.member.leavingSince ??= this.#now;
      if (this.member.phase === 'in') this.#send({ type: 'leave' });
      // It was never in: what it holds is what is stored.
      else if (this.member.attempt === 0) this.#end('left', 'left before the run let it in');
    }
  }

  get #session(): Session {
    return { process: this.member.options.process, attempt: this.member.attempt };
  }

  #tick(stalledMs: number): void {
    const { member } = this;
    const { timing } = member.options;
    if (this.#now - member.heardAt > timing.silenceMs) {
      return this.#end('unavailable', `the coordinator has not answered for ${timing.silenceMs / 1000} s; look whether it still runs`);
    }
    if (member.leavingSince !== undefined && this.#now - Math.max(member.heardAt, member.leavingSince) > timing.leaveMs) {
      return this.#end('left', `left the run, whose coordinator has not answered for ${timing.leaveMs / 1000} s`);
    }
    if (member.phase === 'joining' && this.#now - member.askedAt >= timing.heartbeatMs) this.#join();
    if (member.phase !== 'in') return;
    const { step, started, prepared, seat } = member;
    const generation = seat?.generation ?? 0;
    this.#send({ type: 'heartbeat', generation, step, started, prepared: prepared?.step ?? 0, stalledMs: Math.round(stalledMs) });
    if (member.leavingSince !== undefined) this.#send({ type: 'leave' });
    this.#again(member.trouble);
  }

  #hear({ term, session, body }: FromCoordinator): void {
    const { member } = this;
    if (!sameSession(session, this.#session) || term < member.term) return;
    member.term = term;
    member.heardAt = this.#now;
    switch (body.type) {
      case 'welcome':
        if (member.phase === 'joining') member.phase = 'in';
        // A new coordinator may not have heard it.
        return this.#again(member.applied);
      case 'alive':
        return;
      case 'refuse':
        return this.#refused(body);
      case 'end':
        return this.#end(body.code, body.sentence);
    }
    if (member.phase !== 'in') return;
    const generation = member.seat?.generation ?? 0;
    switch (body.type) {
      case 'assign': {
        if (body.generation < generation) return;
        if (body.generation === generation)
          return this.#again(member.address && { type: 'listening', generation, address: member.address });
        if (!this.#catchUp(body.committed)) return;
        const { rank, ranges } = body;
        this.#drop();
        // Opening and computing end an offer.
        member.offering = undefined;
        member.seat = { generation: body.generation, rank, ranges };
        member.address = undefined;
        this.orders.push({ order: 'open', ...member.seat });
        return;
      }
      case 'abort':
        if (body.generation < generation || !this.#catchUp(body.committed)) return;
        return this.#drop();
      case 'start': {
        if (body.generation !== generation || member.address === undefined || body.step !== member.step + 1) return;
        if (member.started === body.step) return this.#again(member.prepared);
        const verify = member.started === 0;
        member.started = body.step;
        member.prepared = undefined;
        member.offering = undefined;
        this.orders.push({ order: 'compute', ...member.seat!, step: body.step, peers: body.peers, verify });
        return;
      }
      case 'commit':
        // A new generation may come first and bring the step along; then this says nothing new.
        if (body.committed.step > member.step && body.committed.generation === generation) this.#catchUp(body.committed);
        else this.#saveIfAsked(body.committed);
        return;
      case 'report':
        if (member.reporting === body.from) return;
        member.reporting = body.from;
        this.orders.push({ order: 'report', from: body.from });
        return;
      case 'offerState':
        if (body.step !== member.step) return;
        if (member.offering?.step === body.step) return this.#again(member.offering.done);
        member.offering = { step: body.step };
        this.orders.push({ order: 'offer', step: body.step });
        return;
      case 'fetchState':
        // Whoever has a seat holds the state: this is an old letter.
        if (member.seat) return;
        if (member.fetching?.step === body.step && member.fetching.address === body.address) return;
        // The one that it was to come from may be gone.
        if (member.fetching) this.orders.push({ order: 'abort' });
        member.fetching = { step: body.step, address: body.address };
        if (body.step === member.step) this.orders.push({ order: 'describe' });
        else this.orders.push({ order: 'fetch', step: body.step, address: body.address });
        return;
      default:
        body satisfies never;
    }
  }

  #report(done: Done): void {
    const { member } = this;
    switch (done.type) {
      case 'holding':
        member.fetching = undefined;
        // Another state came in after the seat was taken.
        if (member.seat && member.step !== done.holds.step) return this.#rejoin();
        member.holds = done.holds;
        member.step = done.holds.step;
        if (member.phase === 'describing') {
          member.phase = 'joining';
          return this.#join();
        }
        break;
      case 'listening':
        if (done.generation !== member.seat?.generation) return;
        member.address = done.address;
        break;
      case 'prepared':
        // It was aborted in the same moment.
        if (done.generation !== member.seat?.generation || done.step !== member.started) return;
        member.prepared = done;
        break;
      case 'applied':
        member.applied = done;
        break;
      case 'reports':
        if (member.reporting === done.from) member.reporting = undefined;
        break;
      case 'offering':
        if (member.offering?.step !== done.step) return;
        member.offering.done = done;
        break;
      case 'saved':
        // A save may outlast its coordinator, and the next one counts its generations anew.
        if (member.saving && sameShare(member.saving, done)) member.saving.done = done;
        break;
      case 'failed':
        member.trouble = done;
        break;
      case 'unreachable':
        // Until this seat's exchange is open, it is that of the seat before, and another coordinator may have numbered that the same.
        if (done.generation !== member.seat?.generation || member.address === undefined) return;
        member.trouble ??= done;
        break;
      case 'unfetched':
        if (member.fetching?.address !== done.address) return;
        member.fetching = undefined;
        break;
    }
    if (member.phase === 'in') this.#send(done);
  }

  /** Brings the own state to what was committed; false if it cannot, and the worker has joined anew instead. */
  #catchUp(committed: Committed): boolean {
    const { member } = this;
    if (committed.step === member.step + 1 && member.prepared?.step === committed.step && member.prepared.digest === committed.digest) {
      member.step = committed.step;
      member.prepared = undefined;
      this.orders.push({ order: 'apply', step: committed.step });
    }
    if (committed.step !== member.step) {
      this.#rejoin();
      return false;
    }
    this.#saveIfAsked(committed);
    return true;
  }

  #saveIfAsked({ checkpoint, generation, step }: Committed): void {
    const { member } = this;
    if (!checkpoint) return;
    const { saving, seat } = member;
    if (saving?.generation === generation && saving.step === step) return this.#again(saving.done);
    if (seat?.generation !== generation || member.step !== step) return;
    member.saving = { generation, step, rank: seat.rank, size: seat.ranges.length };
    this.orders.push({ order: 'save', ...member.saving });
  }

  #drop(): void {
    const { member } = this;
    if (member.started > member.step) this.orders.push({ order: 'abort' });
    member.started = 0;
    member.prepared = undefined;
    member.trouble = undefined;
  }

  #refused({ reason, sentence }: { reason: string; sentence: string }): void {
    const { member } = this;
    if (reason === 'unknown') {
      if (member.phase === 'in') this.#rejoin();
    } else if (reason !== 'duplicate') this.#end('conflict', sentence);
    else if (this.#now - member.joinedAt > member.options.timing.duplicateMs) this.#end('conflict', sentence);
  }

  #rejoin(): void {
    const { member } = this;
    this.#drop();
    if (member.fetching) this.orders.push({ order: 'abort' });
    member.attempt++;
    member.phase = 'describing';
    member.joinedAt = this.#now;
    member.seat = undefined;
    member.address = undefined;
    member.saving = undefined;
    member.fetching = undefined;
    this.orders.push({ order: 'describe' });
  }

  #join(): void {
    const { options, term, holds } = this.member;
    this.member.askedAt = this.#now;
    const { incarnation, digests, capacity } = options;
    this.#send({ type: 'join', incarnation, term, digests, capacity, holds });
  }

  #end(code: EndCode, sentence: string): void {
    this.member.phase = 'ended';
    this.orders.push({ order: 'end', code, sentence });
    this.#send({ type: 'gone' });
  }

  #again(body: FromWorkerBody | '' | undefined): void {
    if (body) this.#send(body);
  }

  #send(body: FromWorkerBody): void {
    this.messages.push({ session: this.#session, body });
  }
}

const sameShare = (a: Share, b: Share): boolean =>
  a.generation === b.generation && a.step === b.step && a.rank === b.rank && a.size === b.size;
