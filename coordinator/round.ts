/**
 * The pure state machine of membership and steps: what happened goes in, what to say to whom comes out. No clock, socket or file is
 * touched here, so that every order of joins, deaths, delays and duplicates can be tried in tests.
 *
 * A step is computed by the members of one generation and committed once all of them have prepared the same digest. Whoever is lost
 * before that ends the generation: the others compute the same step again, from weights that nobody has changed. Between two steps
 * lies a boundary, and only there do members come and go and states travel.
 *
 * A step after a checkpoint is computed while that is on its way, but committed only once it is durable. So whatever was to be kept is
 * stored or still held by the workers, whoever dies, the coordinator too.
 *
 * What workers report of their steps is told in order and without a gap: what got lost, or was heard only by a coordinator that is gone,
 * is asked for again, and no checkpoint is made durable before all that it covers has been told.
 *
 * Messages may be lost: a heartbeat that shows that a worker lacks something is answered with it once more. Workers take every order
 * once, by its generation and step (member.ts).
 */
import { errorCodes } from '../trainer/errors.ts';
import type { lostReasons } from '../trainer/tracking/catalogue.ts';
import type { StepReport } from './history.ts';
import { dealLanes, type LaneRange } from './lanes.ts';
import { countSamples, type Place } from './ledger.ts';
import {
  type Committed,
  type Digests,
  type EndCode,
  type FromCoordinatorBody,
  type FromWorker,
  type Holding,
  maxWorkers,
  type Prepared,
  type Session,
  sameSession,
} from './messages.ts';

export interface RoundOptions {
  /** Counts the coordinators of this run: of two, the one with the higher term goes on. */
  readonly term: number;
  readonly lanes: number;
  /** Below `min` the run waits; it begins once `expected` are there, or `gatherMs` after `min` are. */
  readonly workers: { readonly min: number; readonly expected: number };
  /** What every worker must have; what is not given here must be as the first worker has it. */
  readonly digests?: Partial<Digests>;
  /** How often losses may break one and the same step before the run gives up: it is the step that kills. */
  readonly attempts: number;
  /** The step of the newest durable checkpoint, 0 where there is none: the state before the first step needs none. */
  readonly savedStep: number;
  /** That checkpoint is the last of the run: nobody needs to come for it to end. */
  readonly isOver?: boolean;
  readonly timing: Timing;
}

/** Milliseconds. */
export interface Timing {
  /** A worker that was not heard for so long is lost. */
  readonly deadAfterMs: number;
  /** A worker whose heartbeats go on but whose main thread gave no sign for so long is lost too. */
  readonly hungAfterMs: number;
  readonly gatherMs: number;
  /** The run waits so long at a boundary for newcomers to hold the state. */
  readonly stateWithinMs: number;
  /** A worker that was put out because it hung or could not be reached waits so long before it is let in again. */
  readonly quarantineMs: number;
}

export const defaultTiming: Timing = {
  deadAfterMs: 2500,
  hungAfterMs: 120_000,
  gatherMs: 15_000,
  stateWithinMs: 120_000,
  quarantineMs: 30_000,
};

/** A report that has not come so long after its step, or after it was asked for, is asked for (again). */
const reportWithinMs = 1000;

export type RoundEvent = FromWorker | { readonly tick: true } | Command;

/** What the coordinator's main thread says. */
export type Command =
  | { readonly ask: 'checkpoint' }
  /** Checkpoint at the next boundary, then end with this code. A second one ends at once. */
  | { readonly ask: 'stop'; readonly code: 'preempted' | 'interrupted' }
  /** The manifest of the checkpoint of this step is written. */
  | { readonly durable: number };

export type Effect =
  | { readonly do: 'send'; readonly id: string; readonly session: Session; readonly body: FromCoordinatorBody }
  /** The run stands at this step, which is not the one after the last committed: at the start, or since all that held that were lost. */
  | { readonly do: 'position'; readonly step: number; readonly place: Place }
  | { readonly do: 'committed'; readonly step: number; readonly digest: string; readonly place: Place; readonly members: readonly string[] }
  /** What the workers report of a step that they have applied: once for each step since the last durable checkpoint, in order. */
  | { readonly do: 'applied'; readonly step: number; readonly report: string }
  /** Every share of the checkpoint is stored: the manifest can be written. Until `durable` answers it, no step is committed. */
  | { readonly do: 'checkpointed'; readonly step: number; readonly generation: number; readonly shares: readonly string[] }
  /** The first worker is there: all others must have what it has. */
  | { readonly do: 'settled'; readonly digests: Digests }
  /** `repeats`: in the middle of a step, which the others compute again. */
  | { readonly do: 'lost'; readonly id: string; readonly reason: LostReason; readonly why: string; readonly repeats: boolean }
  | { readonly do: 'end'; readonly code: EndCode; readonly sentence: string; readonly images: readonly string[] };

/** Counted by these. */
export type LostReason = Exclude<(typeof lostReasons)[number], 'other'>;

interface Worker {
  readonly id: string;
  readonly session: Session;
  readonly incarnation: number;
  readonly capacity: number;
  /** As the worker said, or as follows from what was committed with its consent. */
  holds?: Holding;
  heardAt: number;
  leaving: boolean;
}

export interface Round {
  readonly options: RoundOptions;
  /** Known once there is a first worker. */
  digests?: Digests;
  /** `boundary`: between two steps, or waiting. `opening`: a generation is being set up. `computing`: a step runs. */
  phase: 'boundary' | 'opening' | 'computing' | 'ended';
  generation: number;
  /** The last committed step; undefined until the first workers have said what they hold. */
  committed?: Committed;
  place: Place;
  /** In the order in which they came. */
  workers: Map<string, Worker>;
  /** The ids of the current generation by rank; empty once one of them is lost. */
  members: string[];
  ranges: LaneRange[];
  /** Of the members, by id. */
  addresses: Map<string, string>;
  prepared: Map<string, Prepared>;
  /** A state on its way from a member to newcomers. */
  transfer?: {
    readonly donor: string;
    readonly since: number;
    address?: string;
    told: string[];
    /** Who could not get it there, and since when. */
    readonly unfetched: Map<string, number>;
  };
  /** At the next boundary. */
  checkpointAsked: boolean;
  /** The state of the committed step must be durable before another step is committed. */
  checkpointDue: boolean;
  /** That of the committed step, from when it is asked for until it is durable. */
  checkpoint?: { readonly ranks: readonly string[]; readonly shares: Map<string, string>; isAnnounced?: boolean };
  /** The step of the last durable checkpoint. */
  savedStep: number;
  /** The last step whose report was passed on, or is known to whoever wrote the checkpoint that the run began with. */
  told: number;
  /** A gap in the reports: since when, and who was asked when. */
  untold?: { since: number; askedAt?: number; readonly asked: string[] };
  /** What the run ends with at the next boundary, once it is saved. */
  ending?: 'ok' | 'preempted' | 'interrupted';
  /** Since there are enough workers to begin. */
  gatheringSince?: number;
  /** A step that generations were lost at and that was not committed since: how many, and the first cause. */
  losses?: { readonly step: number; readonly count: number; readonly cause: string };
  /** Pairs of members (lower id first) that cannot reach each other, and since when. */
  apart: Map<string, number>;
  quarantine: Map<string, number>;
  tickedAt?: number;
  end?: { readonly code: EndCode; readonly sentence: string };
}

export function createRound(options: RoundOptions): Round {
  return {
    options,
    phase: 'boundary',
    generation: 0,
    place: { epoch: 0, next: 0 },
    workers: new Map(),
    members: [],
    ranges: [],
    addresses: new Map(),
    prepared: new Map(),
    checkpointAsked: false,
    checkpointDue: false,
    savedStep: options.savedStep,
    told: options.savedStep,
    apart: new Map(),
    quarantine: new Map(),
  };
}

/**
 * @param events all that happened at once: whatever it is, it raises the generation at most by one
 * @param now milliseconds of a clock that never goes back
 */
export function advance(round: Round, events: readonly RoundEvent[], now: number): { round: Round; effects: readonly Effect[] } {
  const turn = new Turn(structuredClone(round), now);
  for (const event of events) turn.take(event);
  turn.settle();
  return { round: turn.round, effects: turn.effects };
}

/** One call of `advance`: works on a copy of the round that nobody else has. */
class Turn {
  readonly round: Round;
  readonly effects: Effect[] = [];
  readonly #now: number;
  /** Members of a generation that broke in this turn. */
  readonly #stranded = new Set<string>();

  constructor(round: Round, now: number) {
    this.round = round;
    this.#now = now;
  }

  take(event: RoundEvent): void {
    if ('tick' in event) this.#tick();
    else if ('ask' in event) this.#ask(event);
    else if ('durable' in event) this.#keep(event.durable);
    else this.#hear(event);
  }

  /** Goes on as far as it can without hearing more. */
  settle(): void {
    const { round } = this;
    if (round.phase === 'opening' && round.addresses.size === round.members.length) round.phase = 'boundary';
    const isOpen = round.members.length > 0 && (round.phase === 'boundary' || round.phase === 'computing');
    if (isOpen && round.checkpointDue && !round.checkpoint) this.#beginCheckpoint();
    if (round.phase === 'computing' && round.prepared.size === round.members.length && !round.checkpointDue) this.#commit();
    // Before anything else is asked of them, they must stop waiting for a lost peer.
    for (const id of this.#stranded) this.#send(id, { type: 'abort', generation: round.generation, committed: round.committed! });
    this.#stranded.clear();
    if (round.phase === 'boundary') this.#boundary();
    if (round.end) return;
    this.#askForReports();
    this.#announceCheckpoint();
  }

  #tick(): void {
    const { round } = this;
    const now = this.#now;
    const { deadAfterMs } = round.options.timing;
    const away = now - (round.tickedAt ?? now);
    round.tickedAt = now;
    // A coordinator that was itself stopped for a while has heard nobody, and blames nobody.
    if (away > deadAfterMs / 2) for (const worker of round.workers.values()) worker.heardAt = Math.min(now, worker.heardAt + away);

    for (const worker of [...round.workers.values()]) {
      if (now - worker.heardAt > deadAfterMs) this.#lose(worker, 'silent', `was not heard for ${deadAfterMs} ms`);
    }
    for (const [id, until] of round.quarantine) if (until <= now) round.quarantine.delete(id);
    this.#partThoseApart();
    const { transfer, options } = round;
    if (transfer && now - transfer.since > options.timing.stateWithinMs) {
      // No address: the donor never offered. An address: it is the newcomers that did not come through.
      const slow = transfer.address === undefined ? [round.workers.get(transfer.donor)!] : this.#needing();
      for (const worker of slow) this.#putOut(worker, 'slow', `did not pass on the state within ${options.timing.stateWithinMs} ms`);
      round.transfer = undefined;
    }
    // The donor is heard here all the while, or the transfer would be over.
    for (const [id, since] of round.transfer?.unfetched ?? []) {
      const worker = round.workers.get(id);
      if (worker && this.#now - since > deadAfterMs)
        this.#putOut(worker, 'unreachable', `could not reach ${round.transfer!.donor}, which has the state`);
    }
  }

  /** Two members that both are heard here but not by each other: the one with most such pairs goes, of equals the higher rank. */
  #partThoseApart(): void {
    const { apart, options, workers, members } = this.round;
    const old = [...apart].filter(([, since]) => this.#now - since > options.timing.deadAfterMs).map(([pair]) => pair.split(' '));
    if (old.length === 0) return;
    const pairsOf = (id: string) => old.filter(pair => pair.includes(id)).length;
    const [worst] = [...new Set(old.flat())].sort((a, b) => pairsOf(b) - pairsOf(a) || members.indexOf(b) - members.indexOf(a));
    const worker = workers.get(worst);
    if (worker) this.#putOut(worker, 'unreachable', 'could not be reached by another worker');
  }

  #ask(event: Extract<RoundEvent, { ask: string }>): void {
    const { round } = this;
    if (round.phase === 'ended') return;
    if (event.ask === 'checkpoint') round.checkpointAsked = true;
    else if (round.ending && round.ending !== 'ok') {
      this.#end('interrupted', 'stopped at once; the last checkpoint stands');
    } else round.ending = event.code;
  }

  #keep(step: number): void {
    const { round } = this;
    if (!round.checkpointDue || step !== round.committed!.step) return;
    round.savedStep = step;
    round.checkpointDue = false;
    round.checkpoint = undefined;
  }

  #hear({ id, session, body }: FromWorker): void {
    const { round } = this;
    const worker = round.workers.get(id);
    const isKnown = worker !== undefined && sameSession(worker.session, session);
    if (body.type === 'gone') {
      if (isKnown) this.#lose(worker, 'left', 'left');
      return;
    }
    if (round.end) {
      this.effects.push({ do: 'send', id, session, body: { type: 'end', ...round.end } });
      if (isKnown) worker.heardAt = this.#now;
      return;
    }
    if (body.type === 'join') return this.#join(id, session, body, worker);
    if (!isKnown) return this.#refuse(id, session, 'unknown', `${id} is not in this run (any more); join it`);
    worker.heardAt = this.#now;

    const isMember = round.members.includes(id);
    switch (body.type) {
      case 'heartbeat':
        this.#send(id, { type: 'alive' });
        if (body.stalledMs > round.options.timing.hungAfterMs) return this.#putOut(worker, 'hung', `hung for ${body.stalledMs} ms`);
        return this.#remind(worker, body);
      case 'listening':
        if (round.phase === 'opening' && isMember && body.generation === round.generation) round.addresses.set(id, body.address);
        return;
      case 'prepared':
        if (round.phase === 'computing' && isMember && body.generation === round.generation && body.step === round.committed!.step + 1) {
          round.prepared.set(id, body);
        }
        return;
      case 'offering':
        if (round.transfer?.donor === id && body.step === round.committed?.step && round.transfer.address !== body.address) {
          round.transfer.address = body.address;
          round.transfer.told = [];
          round.transfer.unfetched.clear();
        }
        return;
      case 'holding':
        if (!isMember) worker.holds = body.holds;
        round.transfer?.unfetched.delete(id);
        return;
      case 'unfetched': {
        const { transfer } = round;
        if (transfer?.address === body.address && !transfer.unfetched.has(id)) transfer.unfetched.set(id, this.#now);
        return;
      }
      case 'applied':
        if (body.step === round.told + 1) this.#tell(body);
        return;
      case 'reports':
        if (body.from !== round.told + 1) return;
        for (const report of body.reports) this.#tell(report);
        // It has no more, and holds the state after them: nobody else has what it lacks.
        if (body.reports.length === 0 && body.until >= (round.committed?.step ?? Number.POSITIVE_INFINITY))
          round.told = round.committed!.step;
        // There may be more than fits one answer.
        if (round.untold) round.untold = { since: Number.NEGATIVE_INFINITY, asked: [] };
        return;
      case 'saved':
        return this.#takeShare(id, body);
      case 'unreachable': {
        const other = round.members[body.rank];
        if (!isMember || body.generation !== round.generation || other === undefined || other === id) return;
        const pair = [id, other].sort().join(' ');
        if (!round.apart.has(pair)) round.apart.set(pair, this.#now);
        return;
      }
      case 'failed':
        return this.#fail(worker, isMember, body);
      case 'leave':
        worker.leaving = true;
        return;
      default:
        body satisfies never;
    }
  }

  #join(id: string, session: Session, join: Extract<FromWorker['body'], { type: 'join' }>, known: Worker | undefined): void {
    const { round } = this;
    if (join.term > round.options.term) {
      return this.#end('conflict', `another coordinator has taken over this run (term ${join.term}, this is ${round.options.term})`);
    }
    if (known && sameSession(known.session, session)) {
      known.heardAt = this.#now;
      return this.#send(id, { type: 'welcome' });
    }
    if (known) {
      const isSameProcess = known.session.process === session.process;
      if (isSameProcess && session.attempt < known.session.attempt) return;
      if (!isSameProcess && join.incarnation <= known.incarnation) {
        return this.#refuse(id, session, 'duplicate', `another worker is called ${id}; give this one another name, or end the other`);
      }
      this.#lose(known, 'returned', 'came back anew');
    }
    const needed: Partial<Digests> = round.digests ?? round.options.digests ?? {};
    for (const part of ['job', 'code', 'data', 'library'] as const) {
      const [ours, theirs] = [needed[part], join.digests[part]];
      if (ours === undefined || ours === theirs) continue;
      const sentence = `the ${part} of ${id} is ${theirs}, that of the run is ${ours}; every worker needs the same ${part}`;
      return this.#refuse(id, session, 'digest', sentence);
    }
    const { committed } = round;
    const twin = [...round.workers.values()].find(({ holds }) => holds && !committed && holds.step === join.holds?.step);
    if (twin && twin.holds!.digest !== join.holds!.digest) {
      const sentence = `${id} begins with other weights (${join.holds!.digest}) than ${twin.id} (${twin.holds!.digest}), both of step ${join.holds!.step}`;
      return this.#refuse(id, session, 'digest', sentence);
    }
    if (round.workers.size >= maxWorkers)
      return this.#refuse(id, session, 'full', `the run has ${maxWorkers} workers, the most there can be`);
    if (!round.digests) {
      round.digests = join.digests;
      this.effects.push({ do: 'settled', digests: join.digests });
    }
    const { incarnation, capacity, holds } = join;
    round.workers.set(id, { id, session, incarnation, capacity, holds, heardAt: this.#now, leaving: false });
    this.#send(id, { type: 'welcome' });
  }

  /** Says again what got lost on the way, as far as a heartbeat shows it. */
  #remind(worker: Worker, view: Extract<FromWorker['body'], { type: 'heartbeat' }>): void {
    const { round } = this;
    const { committed, transfer, checkpoint } = round;
    const { id } = worker;
    if (!committed) return;
    const rank = round.members.indexOf(id);
    if (checkpoint?.ranks.includes(id) && !checkpoint.shares.has(id) && view.step >= committed.step) {
      this.#send(id, { type: 'commit', committed });
    }
    if (rank < 0) {
      if (view.started > committed.step) this.#send(id, { type: 'abort', generation: round.generation, committed });
      if (transfer?.address !== undefined && this.#needing().includes(worker)) {
        this.#send(id, { type: 'fetchState', step: committed.step, address: transfer.address });
      }
    } else if (round.phase === 'opening') {
      if (!round.addresses.has(id)) this.#assign(rank);
    } else {
      if (view.step < committed.step) this.#send(id, { type: 'commit', committed });
      // Either it has not begun, or it has prepared and we have not heard so.
      const step = committed.step + 1;
      const isBusy = view.generation === round.generation && view.started === step && view.prepared < step;
      if (round.phase === 'computing' && !round.prepared.has(id) && !isBusy) this.#sendStart(id);
    }
    if (transfer?.donor === id && transfer.address === undefined) this.#send(id, { type: 'offerState', step: committed.step });
  }

  #fail(worker: Worker, isMember: boolean, failure: Extract<FromWorker['body'], { type: 'failed' }>): void {
    const { code, sentence, images } = failure;
    // Whatever failed for want of memory, of a service or by a bug may be this worker's alone. The rest would come again on any other.
    const isItsOwn = errorCodes[code].retryable || code === 'bug' || !isMember;
    if (isItsOwn) {
      this.#send(worker.id, { type: 'end', code: 'left', sentence });
      return this.#lose(worker, 'failed', `failed: ${sentence}`);
    }
    const { round } = this;
    if (failure.generation !== round.generation) return;
    this.#end(code, sentence, images);
  }

  /** Puts a worker out that is alive: it is told, and may come back after a while. */
  #putOut(worker: Worker, reason: LostReason, why: string): void {
    this.round.quarantine.set(worker.id, this.#now + this.round.options.timing.quarantineMs);
    this.#refuse(worker.id, worker.session, 'unknown', `${worker.id} ${why}`);
    this.#lose(worker, reason, why);
  }

  #lose({ id }: Worker, reason: LostReason, why: string): void {
    const { round } = this;
    round.workers.delete(id);
    this.#stranded.delete(id);
    if (round.end) return;
    const repeats = round.phase === 'computing' && round.members.includes(id);
    this.effects.push({ do: 'lost', id, reason, why, repeats });
    if (round.transfer?.donor === id) round.transfer = undefined;
    round.transfer?.unfetched.delete(id);
    const { checkpoint } = round;
    if (checkpoint?.ranks.includes(id) && !checkpoint.shares.has(id)) {
      round.checkpoint = undefined;
      round.committed!.checkpoint = false;
    }
    if (!round.members.includes(id)) return;
    for (const member of round.members) if (member !== id) this.#stranded.add(member);
    if (round.phase === 'computing') {
      const step = round.committed!.step + 1;
      const { count, cause } = round.losses?.step === step ? round.losses : { count: 0, cause: `${id} ${why}` };
      round.losses = { step, count: count + 1, cause };
    }
    round.phase = 'boundary';
    round.members = [];
    round.ranges = [];
    round.addresses.clear();
    round.prepared.clear();
    round.apart.clear();
    const { losses, options } = round;
    if (losses && losses.count > options.attempts) {
      const sentence = `step ${losses.step} lost workers ${losses.count} times, the first because ${losses.cause}`;
      this.#end('bug', `${sentence}; look at that worker's log`);
    }
  }

  /** All members have prepared: the step counts, unless they do not agree. */
  #commit(): void {
    const { round } = this;
    const step = round.committed!.step + 1;
    const reports = round.members.map(id => round.prepared.get(id)!);
    const [first] = reports;
    const other = reports.findIndex(report => report.digest !== first.digest || report.after !== first.after);
    if (other >= 0) {
      const say = (rank: number) => `${round.members[rank]} has ${reports[rank].digest} (${reports[rank].after})`;
      return this.#end('integrity', `the workers do not agree on step ${step}: ${say(0)}, ${say(other)}; nothing of it was applied`);
    }
    const place = countSamples(
      round.place,
      reports.map(({ samples }) => samples),
    );
    if (typeof place === 'string') return this.#end('integrity', `step ${step}: ${place}`);

    round.checkpointDue = round.checkpointAsked || first.after !== 'next' || round.ending !== undefined;
    round.checkpointAsked = false;
    round.committed = { generation: round.generation, step, digest: first.digest, checkpoint: false };
    round.place = place;
    round.phase = 'boundary';
    if (round.losses && round.losses.step <= step) round.losses = undefined;
    round.prepared.clear();
    round.apart.clear();
    if (first.after === 'finish') round.ending ??= 'ok';
    // Whoever has prepared applies: it holds the step, or is lost.
    for (const id of round.members) round.workers.get(id)!.holds = { step, digest: '', ...place, finished: first.after === 'finish' };
    if (round.checkpointDue) this.#beginCheckpoint();
    else this.#tellCommitted();
    this.effects.push({ do: 'committed', step, digest: first.digest, place, members: [...round.members] });
  }

  #beginCheckpoint(): void {
    const { round } = this;
    round.committed = { ...round.committed!, generation: round.generation, checkpoint: true };
    round.checkpoint = { ranks: [...round.members], shares: new Map() };
    this.#tellCommitted();
  }

  #tellCommitted(): void {
    for (const id of this.round.members) this.#send(id, { type: 'commit', committed: this.round.committed! });
  }

  #takeShare(id: string, saved: Extract<FromWorker['body'], { type: 'saved' }>): void {
    const { committed, checkpoint } = this.round;
    if (!committed || !checkpoint || checkpoint.shares.has(id)) return;
    const { ranks, shares } = checkpoint;
    const { step, generation } = committed;
    if (saved.generation !== generation || saved.step !== step || saved.size !== ranks.length || ranks[saved.rank] !== id) return;
    shares.set(id, saved.share);
  }

  /** Its shares are stored, and all that it covers is told. */
  #announceCheckpoint(): void {
    const { committed, checkpoint, told } = this.round;
    if (!committed || !checkpoint || checkpoint.isAnnounced) return;
    const { ranks, shares } = checkpoint;
    const { step, generation } = committed;
    if (shares.size < ranks.length || told < step) return;
    checkpoint.isAnnounced = true;
    this.effects.push({ do: 'checkpointed', step, generation, shares: ranks.map(rank => shares.get(rank)!) });
  }

  #tell({ step, report }: StepReport): void {
    const { round } = this;
    if (step <= round.told || step > (round.committed?.step ?? 0)) return;
    round.told = step;
    this.effects.push({ do: 'applied', step, report });
  }

  /** Reports come by themselves, soon after a step; what has not come after a while is asked for, of one worker after the other. */
  #askForReports(): void {
    const { round } = this;
    const { committed, told } = round;
    if (!committed || told >= committed.step) {
      round.untold = undefined;
      return;
    }
    round.untold ??= { since: this.#now, asked: [] };
    const { since, askedAt = Number.NEGATIVE_INFINITY, asked } = round.untold;
    if (this.#now - since < reportWithinMs || this.#now - askedAt < reportWithinMs) return;
    const holders = this.#holders();
    const next = holders.find(({ id }) => !asked.includes(id)) ?? holders[0];
    if (!next) return;
    const others = asked.filter(id => holders.some(holder => holder.id === id) && id !== next.id);
    round.untold = { since, askedAt: this.#now, asked: others.length + 1 < holders.length ? [...others, next.id] : [] };
    this.#send(next.id, { type: 'report', from: told + 1 });
  }

  /** Those that hold the state of the last committed step. */
  #holders(): Worker[] {
    const { committed, workers } = this.round;
    return [...workers.values()].filter(({ holds }) => committed && holds?.step === committed.step);
  }

  /** Between two steps: who is in, who needs the state, what is saved; then the next step, or waiting. */
  #boundary(): void {
    const { round } = this;
    const { min } = round.options.workers;
    if (!this.#findCommon()) return this.#releaseLeaving();
    const step = round.committed!.step;
    const holders = this.#holders();
    const staying = holders.filter(worker => this.#isEligible(worker));
    const needing = this.#needing();

    if (round.ending) {
      if (!this.#isSaved(holders)) return;
      const code = round.ending;
      if (code === 'ok') return this.#end('ok', 'the run is finished');
      const written = step > 0 ? ' the checkpoint is written,' : '';
      return this.#end(code, `${code};${written} continue with --resume`);
    }
    if (needing.length > 0) return this.#pass(holders, needing);
    round.transfer = undefined;
    // The last ones that hold the state do not go before it is saved.
    if (staying.length === 0 && !this.#isSaved(holders.filter(({ leaving }) => leaving))) return;
    this.#releaseLeaving();

    const chosen = this.#choose(staying);
    if (chosen.length < min) return;
    const capacities = chosen.map(({ capacity }) => capacity);
    const ranges = dealLanes(round.options.lanes, capacities);
    if (!ranges) return;
    if (!sameIds(chosen, round.members)) return this.#open(chosen, ranges);
    round.phase = 'computing';
    for (const id of round.members) this.#sendStart(id);
  }

  /**
   * Settles which step the run stands at. It is the last committed one while anybody holds it; else (at the start, after a new coordinator
   * took over, after all were lost) the highest that any worker holds: the steps between are computed again, to the same bits. That is
   * done when there are enough workers to begin, or when those are about to go that alone hold what is not stored.
   */
  #findCommon(): boolean {
    const { round } = this;
    const { workers, timing, lanes } = round.options;
    const { committed } = round;
    if (!committed && round.options.isOver) {
      round.committed = { generation: 0, step: round.savedStep, digest: '', checkpoint: false };
      round.ending = 'ok';
    }
    if (this.#holders().length > 0) return true;
    // To end, nobody needs to hold what is stored.
    if (round.ending && round.committed && (round.checkpoint?.isAnnounced || round.savedStep === round.committed.step)) return true;

    const all = [...round.workers.values()];
    const bestOf = (some: readonly Worker[]) =>
      some.map(({ holds }) => holds).reduce((a, b) => (a === undefined || (b !== undefined && b.step > a.step) ? b : a), undefined);
    const eligible = all.filter(worker => this.#isEligible(worker));
    const staying = bestOf(eligible);
    const isStopping = round.ending !== undefined && round.ending !== 'ok';
    const leaving = bestOf(isStopping ? all : all.filter(worker => worker.leaving));
    const mustSave = leaving !== undefined && leaving.step > Math.max(round.savedStep, isStopping ? 0 : (staying?.step ?? 0));
    if (isStopping && !mustSave) {
      this.#end(round.ending!, `${round.ending} while no worker held the state; the last checkpoint stands, continue with --resume`);
      return false;
    }
    if (!mustSave) {
      if (!staying || eligible.length < workers.min) {
        round.gatheringSince = undefined;
        return false;
      }
      round.gatheringSince ??= this.#now;
      const isComplete = eligible.length >= Math.min(workers.expected, lanes);
      if (!isComplete && this.#now - round.gatheringSince < timing.gatherMs) return false;
    }
    round.gatheringSince = undefined;
    const best = mustSave ? leaving : staying!;
    round.committed = { generation: round.generation, step: best.step, digest: '', checkpoint: false };
    round.place = { epoch: best.epoch, next: best.next };
    if (best.finished) round.ending = 'ok';
    else if (!isStopping) round.ending = undefined;
    round.checkpointAsked ||= round.checkpointDue;
    round.checkpointDue = best.step > round.savedStep;
    round.checkpoint = undefined;
    round.told = Math.min(round.told, best.step);
    // Only the coordinator before this one has heard of those: they will not come by themselves.
    round.untold = { since: Number.NEGATIVE_INFINITY, asked: [] };
    this.effects.push({ do: 'position', step: best.step, place: round.place });
    return true;
  }

  #isEligible = ({ id, leaving }: Worker): boolean => !leaving && !this.round.quarantine.has(id);

  /** Those that are wanted as members but do not hold the state. */
  #needing(): Worker[] {
    const { round } = this;
    if (!round.committed) return [];
    const eligible = [...round.workers.values()].filter(worker => this.#isEligible(worker));
    const lacking = eligible.filter(({ holds }) => holds?.step !== round.committed!.step);
    return lacking.slice(0, Math.max(0, round.options.lanes - (eligible.length - lacking.length)));
  }

  /** The run waits while newcomers take the state over; nobody computes meanwhile, so it is the state of this boundary. */
  #pass(holders: readonly Worker[], needing: readonly Worker[]): void {
    const { round } = this;
    const step = round.committed!.step;
    if (!round.transfer) {
      const donor = holders.find(({ id }) => round.members.includes(id)) ?? holders[0];
      round.transfer = { donor: donor.id, since: this.#now, told: [], unfetched: new Map() };
      this.#send(donor.id, { type: 'offerState', step });
    }
    const { address, told } = round.transfer;
    if (address === undefined) return;
    for (const { id } of needing) {
      if (told.includes(id)) continue;
      told.push(id);
      this.#send(id, { type: 'fetchState', step, address });
    }
  }

  /** Has the state of this boundary saved by the members, or by the holders where no generation is whole; true once it is durable. */
  #isSaved(holders: readonly Worker[]): boolean {
    const { round } = this;
    const { lanes } = round.options;
    if (round.savedStep === round.committed!.step) return true;
    if (round.checkpoint) return false;
    if (holders.length === 0) return true;
    round.checkpointDue = true;
    if (round.members.length > 0) this.#beginCheckpoint();
    else {
      const chosen = holders.slice(0, lanes);
      this.#open(chosen, dealLanes(lanes, new Array(chosen.length).fill(lanes))!);
    }
    return false;
  }

  #releaseLeaving(): void {
    for (const worker of [...this.round.workers.values()]) {
      if (!worker.leaving || this.round.checkpoint?.ranks.includes(worker.id)) continue;
      this.#send(worker.id, { type: 'end', code: 'left', sentence: 'left the run between two steps' });
      this.#lose(worker, 'left', 'left');
    }
  }

  /** Who computes: members keep their rank, then in the order of coming, at most one worker a lane. */
  #choose(staying: readonly Worker[]): Worker[] {
    const rank = ({ id }: Worker) => this.round.members.indexOf(id);
    const [current, others] = [staying.filter(worker => rank(worker) >= 0), staying.filter(worker => rank(worker) < 0)];
    return [...current.sort((a, b) => rank(a) - rank(b)), ...others].slice(0, this.round.options.lanes);
  }

  #open(chosen: readonly Worker[], ranges: LaneRange[]): void {
    const { round } = this;
    round.generation++;
    round.phase = 'opening';
    round.members = chosen.map(({ id }) => id);
    round.ranges = ranges;
    round.addresses.clear();
    round.prepared.clear();
    round.apart.clear();
    for (let rank = 0; rank < chosen.length; rank++) this.#assign(rank);
  }

  #assign(rank: number): void {
    const { generation, members, ranges, committed } = this.round;
    this.#send(members[rank], { type: 'assign', generation, rank, ranges, committed: committed! });
  }

  #sendStart(id: string): void {
    const { generation, committed, members, addresses } = this.round;
    const peers = members.map(member => addresses.get(member)!);
    this.#send(id, { type: 'start', generation, step: committed!.step + 1, peers });
  }

  #end(code: EndCode, sentence: string, images: readonly string[] = []): void {
    const { round } = this;
    if (round.phase === 'ended') return;
    round.phase = 'ended';
    round.end = { code, sentence };
    round.transfer = undefined;
    round.apart.clear();
    this.#stranded.clear();
    this.effects.push({ do: 'end', code, sentence, images });
    for (const id of round.workers.keys()) this.#send(id, { type: 'end', code, sentence });
  }

  #refuse(id: string, session: Session, reason: 'unknown' | 'duplicate' | 'digest' | 'full', sentence: string): void {
    this.effects.push({ do: 'send', id, session, body: { type: 'refuse', reason, sentence: sentence.slice(0, 1000) } });
  }

  #send(id: string, body: FromCoordinatorBody): void {
    const worker = this.round.workers.get(id);
    if (worker) this.effects.push({ do: 'send', id, session: worker.session, body });
  }
}

const sameIds = (workers: readonly Worker[], ids: readonly string[]): boolean =>
  workers.length === ids.length && workers.every(({ id }, rank) => id === ids[rank]);
