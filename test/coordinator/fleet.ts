/**
 * A fleet in one process under a virtual clock: the real round.ts and member.ts, and around them a network that loses, repeats, delays and
 * reorders, and workers that are killed, paused, hung and started again. What happens follows from a seed alone. After every event
 * the promises of the design are checked (`I1` and so on are the invariants of the reliability catalogue).
 */

import { History } from '../../coordinator/history.ts';
import { advanceMember, createMember, type Done, type Member, type MemberEvent, type Order } from '../../coordinator/member.ts';
import type { Digests, FromCoordinator, FromWorker, Holding, Prepared } from '../../coordinator/messages.ts';
import { advance, createRound, type Effect, type Round, type RoundEvent, type RoundOptions } from '../../coordinator/round.ts';
import { generator } from '../../trainer/random.ts';
import { applySum, placeOf, samplesOf, sumOf, undisturbed } from './toy.ts';

export interface Plan {
  readonly seed: number;
  readonly lanes: number;
  readonly workers: number;
  readonly min: number;
  readonly steps: number;
  readonly batch: number;
  /** Samples of an epoch. */
  readonly samples: number;
  /** Share of messages that are lost, come twice, come late. */
  readonly loss: number;
  readonly repeat: number;
  readonly late: number;
  readonly capacity: number;
  readonly faults: readonly Fault[];
}

export interface Fault {
  readonly at: number;
  readonly kind:
    | 'kill'
    | 'pause'
    | 'hang'
    | 'cut'
    | 'add'
    | 'leave'
    | 'leaveAll'
    | 'twin'
    | 'coordinator'
    | 'pauseCoordinator'
    | 'checkpoint'
    | 'impostor';
  readonly worker: number;
  /** Milliseconds that a pause, a hang or a cut lasts. */
  readonly lasts: number;
}

export const fleetDigests: Digests = { job: 'j', code: 'c', data: 'd', library: 'l' };
const healedAt = 60_000;
/** Virtual milliseconds after healing within which the run must have ended. */
const mustEndWithin = 240_000;

const timing = { deadAfterMs: 2500, hungAfterMs: 8000, gatherMs: 3000, stateWithinMs: 20_000, quarantineMs: 5000 };
const memberTiming = { heartbeatMs: 300, duplicateMs: 10_000, silenceMs: 1e9, leaveMs: 60_000 };

interface Process {
  readonly id: string;
  readonly process: string;
  member: Member;
  weights: number;
  step: number;
  history: History;
  sums?: { step: number; sum: number };
  queue: Order[];
  busy: boolean;
  /** Raised by an abort: what is running then comes to nothing. */
  era: number;
  /** The address at which its state can be had, and what it was then; an older one leads nowhere. */
  offer?: { readonly address: string; readonly weights: number; readonly history: string };
  /** What waits for its peers. */
  waiting?: () => void;
  pausedUntil: number;
  hungUntil: number;
  lastStamp: number;
  cutUntil: number;
  dead: boolean;
  ended?: string;
}

export class Fleet {
  readonly plan: Plan;
  readonly expected: readonly number[];
  now = 0;
  /** Of coordinators that were alive at some time, the last is the one workers talk to. */
  round: Round;
  zombies: { round: Round; until: number }[] = [];
  readonly processes: Process[] = [];
  readonly ends: { code: string; sentence: string }[] = [];
  generations = 0;
  repeatedSteps = 0;
  readonly counts = { lost: 0, checkpoints: 0, transfers: 0, rewinds: 0, stale: 0, events: 0 };
  #coordinatorPausedUntil = 0;
  #committed: number | undefined;
  /** The steps that the coordinator has told of, in order; and as they were before the newest manifest: all that its successor finds. */
  #told: number[] = [];
  #kept: readonly number[] = [];
  /** The newest checkpoint that the coordinator knows of: what it covers has been told. */
  #storedByThis = 0;
  /** The steps whose manifest is written. */
  readonly #durable = new Set([0]);
  /** The step that must be durable before another one is committed. */
  #owed = 0;
  readonly #digests = new Map<number, string>();
  readonly #fabric = new Map<string, { sums: Map<number, number>; size: number }>();
  readonly #draw: () => number;
  #events: { at: number; order: number; run: () => void }[] = [];
  #order = 0;

  constructor(plan: Plan) {
    this.plan = plan;
    this.expected = undisturbed(plan.steps, plan.lanes);
    const next = generator(plan.seed, 'fleet');
    this.#draw = () => next() / 2 ** 32;
    this.round = createRound(this.#options(1));
    for (let i = 0; i < plan.workers; i++) this.#start(`w${i}`, 0);
    this.#every(100, () => this.#tickCoordinator());
    for (const fault of plan.faults) this.#at(fault.at, () => this.#break(fault));
    // Healing: nothing is cut or lost from here on, and there are enough workers.
    this.#at(healedAt, () => {
      let alive = this.processes.filter(process => !process.dead && !process.ended).length;
      for (let i = 0; alive < Math.max(plan.min, Math.ceil(plan.lanes / plan.capacity)); i++, alive++) this.#start(`h${i}`, 0);
    });
  }

  /** @throws Error at the first event after which a promise is broken, with the time and what it was */
  run(): void {
    while (!this.#isOver()) {
      const event = this.#events.pop();
      if (!event) throw new Error('nothing will ever happen again');
      this.now = event.at;
      if (this.now > healedAt + mustEndWithin) {
        const { phase, generation, members, committed } = this.round;
        throw new Error(`I7: no end ${mustEndWithin} ms after healing: ${JSON.stringify({ phase, generation, members, committed })}`);
      }
      event.run();
      this.counts.events++;
      this.#check();
    }
  }

  /** The run has ended, and no process that can still act has weights that it should not have. */
  #isOver(): boolean {
    if (this.round.end === undefined || this.round.workers.size > 0) return false;
    const { steps } = this.plan;
    for (let step = 1; step <= steps; step++) if (!this.#digests.has(step)) throw new Error(`I2: step ${step} was never committed`);
    if (!this.#durable.has(steps)) throw new Error('I5: the run ended before its last state was durable');
    if (this.#told.length !== steps) throw new Error(`only the steps ${this.#told} were told of`);
    return true;
  }

  #options(term: number): RoundOptions {
    const { lanes, min, workers } = this.plan;
    const savedStep = this.#newestDurable();
    return { term, lanes, workers: { min, expected: workers }, digests: fleetDigests, attempts: 1000, savedStep, timing };
  }

  #newestDurable(): number {
    return Math.max(...this.#durable);
  }

  // --- the network

  #at(at: number, run: () => void): void {
    const event = { at, order: this.#order++, run };
    // A sorted list, the earliest last; short, so a plain search is fast enough.
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#events[middle];
      if (other.at > at || (other.at === at && other.order > event.order)) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  }

  #after(delay: number, run: () => void): void {
    this.#at(this.now + delay, run);
  }

  #every(period: number, run: () => unknown): void {
    const again = () => {
      if (run() !== false) this.#after(period, again);
    };
    this.#after(this.#draw() * period, again);
  }

  #post(deliver: () => void): void {
    const { loss, repeat, late } = this.now < healedAt ? this.plan : { loss: 0, repeat: 0, late: 0 };
    if (this.#draw() < loss) return;
    const delay = () => (this.#draw() < late ? this.#draw() * 4000 : 0.2 + this.#draw() * 3);
    this.#after(delay(), deliver);
    if (this.#draw() < repeat) this.#after(delay() + 1, deliver);
  }

  // --- the coordinator

  #tickCoordinator(): void {
    this.zombies = this.zombies.filter(({ until }) => until > this.now);
    for (const zombie of this.zombies) {
      const { round, effects } = advance(zombie.round, [{ tick: true }], this.now);
      zombie.round = round;
      this.#send(effects, round.options.term);
    }
    if (this.now >= this.#coordinatorPausedUntil) this.#advance([{ tick: true }]);
  }

  #advance(events: readonly RoundEvent[]): void {
    const before = this.round;
    const { round, effects } = advance(before, events, this.now);
    this.round = round;
    if (round.generation > before.generation + 1) throw new Error('I3: two generations for what happened at once');
    if (before.committed && round.committed && round.committed.step < before.committed.step) this.counts.rewinds++;
    this.generations = round.generation;
    this.#send(effects, round.options.term);
  }

  #send(effects: readonly Effect[], term: number): void {
    for (const effect of effects) {
      switch (effect.do) {
        case 'send': {
          const { id, session, body } = effect;
          if (body.type === 'offerState') this.counts.transfers++;
          if (body.type === 'end' && body.code === 'left' && term === this.round.options.term) this.#released(id);
          const message: FromCoordinator = { version: 1, run: 'r', term, session, body };
          const to = this.processes.find(process => process.id === id && process.process === session.process);
          if (to && to.cutUntil <= this.now) this.#post(() => this.#toWorker(to, { heard: message }));
          break;
        }
        case 'committed':
          this.#committedStep(effect.step, effect.digest, term);
          break;
        case 'position':
          this.#position(effect.step, term);
          break;
        case 'lost':
          this.counts.lost++;
          break;
        case 'applied':
          if (effect.report !== String(this.expected[effect.step]))
            throw new Error(`I1: ${effect.report} is reported of step ${effect.step}`);
          if (term === this.round.options.term) this.#tell(effect.step);
          break;
        case 'checkpointed': {
          const { step, shares } = effect;
          this.counts.checkpoints++;
          if (shares.some((share, rank) => share !== `${step}:${rank}/${shares.length}`))
            throw new Error(`I5: shares ${shares} of step ${step}`);
          if (term === this.round.options.term && this.#told.length < step)
            throw new Error(`step ${step} is stored, and only the steps ${this.#told} were told of`);
          if (term === this.round.options.term) this.#storedByThis = Math.max(this.#storedByThis, step);
          const told = [...this.#told];
          this.#after(this.#draw() * 500, () => this.#writeManifest(step, term, told));
          break;
        }
        case 'end':
          if (term === this.round.options.term) this.ends.push(effect);
          break;
      }
    }
  }

  /** I2: steps are committed one after the other. What is committed once more, since all that held it were lost, is the same. */
  #committedStep(step: number, digest: string, term: number): void {
    if (term === this.round.options.term) {
      if (step !== this.#committed! + 1) throw new Error(`I2: step ${step} after ${this.#committed}`);
      this.#committed = step;
    }
    if (!this.#durable.has(this.#owed)) throw new Error(`I5: step ${step} was committed before step ${this.#owed} was durable`);
    if (this.#whatFollows(step) !== 'next') this.#owed = step;
    if ((this.#digests.get(step) ?? digest) !== digest) throw new Error(`I2: step ${step} was committed twice, differently`);
    this.#digests.set(step, digest);
  }

  #position(step: number, term: number): void {
    if (term === this.round.options.term) this.#committed = step;
    if (term === this.round.options.term) this.#told = this.#told.filter(told => told <= Math.max(step, this.#storedByThis));
    this.#owed = step > this.#newestDurable() ? step : 0;
    if (step > 0 && !this.#digests.has(step)) throw new Error(`I2: goes on from step ${step}, which was never committed`);
  }

  /** Whoever is let go leaves the state where the run stands with another, or in the storage. */
  #released(id: string): void {
    const { step } = this.processes.findLast(process => process.id === id)!;
    // It came back when the run had begun again without it.
    if (step !== (this.round.committed?.step ?? step)) return;
    const isHeld = [...this.round.workers.values()].some(({ holds }) => holds && holds.step >= step);
    if (!isHeld && step > this.#newestDurable()) throw new Error(`${id} was let go with the state of step ${step}, which nobody else has`);
  }

  /** What it has told of is told of once more after a new coordinator took over: that is dropped. */
  #tell(step: number): void {
    if (step <= this.#told.length) return;
    if (step !== this.#told.length + 1) throw new Error(`step ${step} is told of after step ${this.#told.length}`);
    this.#told.push(step);
  }

  /** What the coordinator's main thread does; that of a coordinator that is dead does nothing more. */
  #writeManifest(step: number, term: number, told: readonly number[]): void {
    if (term !== this.round.options.term) return;
    if (this.now < this.#coordinatorPausedUntil) return this.#at(this.#coordinatorPausedUntil, () => this.#writeManifest(step, term, told));
    this.#kept = told;
    this.#durable.add(step);
    this.#advance([{ durable: step }]);
  }

  #hearFrom(message: FromWorker): void {
    if (this.now < this.#coordinatorPausedUntil) {
      this.#at(this.#coordinatorPausedUntil + this.#draw(), () => this.#hearFrom(message));
      return;
    }
    const known = this.round.workers.get(message.id);
    const { body } = message;
    const isOther = !known || JSON.stringify(known.session) !== JSON.stringify(message.session);
    const isOld = 'generation' in body && body.generation < this.round.generation && body.type !== 'heartbeat' && body.type !== 'saved';
    if ((isOther && body.type !== 'join') || (isOld && body.type !== 'failed')) {
      this.counts.stale++;
      // I3: only that it was heard may be noted.
      const quiet = advance(this.round, [], this.now).round;
      const after = advance(this.round, [message], this.now).round;
      if (withoutHeard(quiet) !== withoutHeard(after)) throw new Error(`I3: changed by a stale ${body.type}`);
    }
    this.#advance([message]);
  }

  // --- workers

  #start(id: string, incarnation: number, digests: Digests = fleetDigests): void {
    const uuid = `00000000-0000-4000-8000-${String(this.processes.length).padStart(12, '0')}`;
    const options = { id, process: uuid, incarnation, digests, capacity: this.plan.capacity, timing: memberTiming };
    const { member, orders } = createMember(options, this.now);
    // Sometimes it begins with what is stored.
    const step = this.#draw() < 0.5 ? this.#newestDurable() : 0;
    const process: Process = {
      id,
      process: uuid,
      member,
      weights: this.expected[step],
      step,
      history: new History(),
      queue: [...orders],
      busy: false,
      era: 0,
      pausedUntil: 0,
      hungUntil: 0,
      lastStamp: this.now,
      cutUntil: 0,
      dead: false,
    };
    this.processes.push(process);
    this.#work(process);
    this.#every(memberTiming.heartbeatMs, () => {
      if (process.dead || process.ended) return false;
      if (this.now < process.pausedUntil) return;
      if (this.now >= process.hungUntil) process.lastStamp = this.now;
      this.#toWorker(process, { tick: true, stalledMs: this.now - process.lastStamp });
    });
  }

  #toWorker(process: Process, event: MemberEvent): void {
    if (process.dead || process.ended) return;
    if (this.now < process.pausedUntil) {
      this.#at(process.pausedUntil + this.#draw(), () => this.#toWorker(process, event));
      return;
    }
    const { member, send, orders } = advanceMember(process.member, event, this.now);
    process.member = member;
    for (const { session, body } of send) {
      const message: FromWorker = { version: 1, run: 'r', id: process.id, session, body };
      if (process.cutUntil <= this.now) this.#post(() => this.#hearFrom(message));
    }
    for (const order of orders) {
      if (order.order === 'abort') {
        process.era++;
        process.sums = undefined;
        process.waiting = undefined;
        process.queue = process.queue.filter(({ order }) => order !== 'compute' && order !== 'fetch');
        process.busy = false;
      } else if (order.order === 'end') process.ended = order.code;
      else process.queue.push(order);
    }
    this.#work(process);
  }

  #done(process: Process, done: Done): void {
    this.#toWorker(process, { done });
  }

  /** The main thread: orders one after the other, each takes a while. */
  #work(process: Process): void {
    if (process.busy || process.dead || process.ended) return;
    const order = process.queue.shift();
    if (!order) return;
    process.busy = true;
    if (order.order === 'open' || order.order === 'compute') process.offer = undefined;
    const { era } = process;
    const finish = (act: () => void) => {
      const go = () => {
        if (process.dead || process.ended || (process.era !== era && isAbortable(order))) return;
        const free = Math.max(process.pausedUntil, process.hungUntil);
        if (this.now < free) return this.#at(free, go);
        process.busy = false;
        act();
        this.#work(process);
      };
      return go;
    };
    const wait = (delay: number, act: () => void) => this.#after(delay, finish(act));
    switch (order.order) {
      case 'describe':
        return wait(5, () => this.#done(process, { type: 'holding', holds: this.#holding(process) }));
      case 'open':
        return wait(10, () => {
          const { generation } = order;
          this.#done(process, { type: 'listening', generation, address: `${process.process}/${generation}` });
        });
      case 'compute': {
        const { step, rank, ranges, generation } = order;
        const size = ranges.length;
        const lanes = ranges[rank];
        if (process.step !== step - 1) throw new Error(`I1: ${process.id} computes step ${step} from step ${process.step}`);
        const sum = sumOf(process.weights, step, lanes);
        const key = `${this.round.options.term}:${order.peers.join(',')}:${step}`;
        this.#after(20 + this.#draw() * 100, () => {
          if (process.dead || process.ended || process.era !== era) return;
          const meeting = this.#fabric.get(key) ?? { sums: new Map<number, number>(), size };
          this.#fabric.set(key, meeting);
          meeting.sums.set(rank, sum);
          const isThere = () => meeting.sums.size === size;
          const complete = finish(() => {
            const total = [...meeting.sums.values()].reduce((a, b) => a + b, 0);
            process.sums = { step, sum: total };
            const digest = `${total}:${process.weights}`;
            const samples = samplesOf(step, lanes, this.plan);
            this.#done(process, {
              type: 'prepared',
              generation,
              step,
              digest,
              samples,
              after: this.#whatFollows(step),
              seconds: 0.1,
              lateMs: [],
            });
          });
          process.waiting = () => {
            if (!isThere()) return;
            process.waiting = undefined;
            this.#after(1 + this.#draw() * 5, complete);
          };
          for (const other of this.processes) other.waiting?.();
        });
        return;
      }
      case 'apply':
        if (process.sums?.step !== order.step) throw new Error(`I1: ${process.id} applies step ${order.step} which it has not prepared`);
        process.weights = applySum(process.weights, order.step, process.sums.sum);
        process.step = order.step;
        process.sums = undefined;
        process.history.add({ step: order.step, report: String(process.weights) });
        return finish(() => this.#done(process, { type: 'applied', step: order.step, report: String(process.weights) }))();
      case 'report': {
        const { from } = order;
        return wait(5, () => this.#done(process, { type: 'reports', from, until: process.step, reports: process.history.from(from) }));
      }
      case 'save': {
        const { generation, step, rank, size } = order;
        process.history.saving(step);
        if (process.step !== order.step) throw new Error(`I5: ${process.id} saves step ${order.step} at step ${process.step}`);
        this.#after(200 + this.#draw() * 2000, () => {
          this.#done(process, { type: 'saved', generation, step, rank, size, share: `${step}:${rank}/${size}` });
        });
        return finish(() => {})();
      }
      case 'offer':
        if (process.step !== order.step) throw new Error(`I4: ${process.id} offers step ${order.step} at step ${process.step}`);
        return wait(10, () => {
          const address = `${process.process}#${this.#order}`;
          process.offer = { address, weights: process.weights, history: process.history.write() };
          this.#done(process, { type: 'offering', step: order.step, address });
        });
      case 'fetch':
        return wait(50 + this.#draw() * 500, () => {
          const { offer, dead, ended } = this.processes.find(donor => order.address.startsWith(`${donor.process}#`))!;
          if (dead || ended || offer?.address !== order.address) return this.#done(process, { type: 'unfetched', address: order.address });
          process.weights = offer.weights;
          process.history = History.read(offer.history);
          process.step = order.step;
          process.sums = undefined;
          this.#done(process, { type: 'holding', holds: this.#holding(process) });
        });
    }
  }

  #whatFollows(step: number): Prepared['after'] {
    if (step === this.plan.steps) return 'finish';
    return step % 5 === 0 ? 'checkpoint' : 'next';
  }

  #holding({ step, weights }: Process): Holding {
    return { step, digest: String(weights), ...placeOf(step, this.plan), finished: step === this.plan.steps };
  }

  // --- faults

  #break({ kind, worker, lasts }: Fault): void {
    if (this.round.end) return;
    const alive = this.processes.filter(process => !process.dead && !process.ended);
    const victim = alive[worker % Math.max(1, alive.length)];
    switch (kind) {
      case 'leaveAll':
        for (const process of alive) this.#toWorker(process, { leave: true });
        return;
      case 'add':
        return this.#start(`n${this.processes.length}`, 0);
      case 'impostor':
        return this.#start(`n${this.processes.length}`, 0, { ...fleetDigests, data: 'other' });
      case 'checkpoint':
        return this.#advance([{ ask: 'checkpoint' }]);
      case 'pauseCoordinator':
        this.#coordinatorPausedUntil = this.now + lasts;
        return;
      case 'coordinator':
        // The old one goes on for a while without hearing anything; its successor knows nothing but its term.
        this.zombies.push({ round: this.round, until: this.now + lasts });
        this.round = createRound(this.#options(this.round.options.term + 1));
        this.#coordinatorPausedUntil = 0;
        this.#committed = undefined;
        this.#told = [...this.#kept];
        this.#storedByThis = this.#newestDurable();
        return;
    }
    if (!victim) return;
    switch (kind) {
      case 'kill':
        victim.dead = true;
        // Its starter brings it back under the same name, sometimes before it is missed.
        this.#after(lasts, () => this.#start(victim.id, victim.member.options.incarnation + 1));
        return;
      case 'pause':
        victim.pausedUntil = this.now + lasts;
        return;
      case 'hang':
        victim.hungUntil = this.now + lasts;
        return;
      case 'cut':
        victim.cutUntil = Math.min(healedAt, this.now + lasts);
        return;
      case 'leave':
        return this.#toWorker(victim, { leave: true });
      case 'twin':
        return this.#start(victim.id, victim.member.options.incarnation);
    }
  }

  // --- promises

  #check(): void {
    const { round, plan } = this;
    for (const process of this.processes) {
      // I1 and I4: whoever holds step t holds the weights that an undisturbed run has after step t.
      if (process.weights !== this.expected[process.step])
        throw new Error(`I1: ${process.id} has other weights after step ${process.step}`);
    }
    if (round.members.length > plan.lanes) throw new Error('more members than lanes');
    if (round.phase === 'computing' || round.phase === 'opening') {
      let next = 0;
      for (const { start, end } of round.ranges) {
        if (start !== next || end <= start || end - start > Math.max(plan.capacity, round.ending ? plan.lanes : 0)) break;
        next = end;
      }
      const isSaving = round.phase === 'opening' && round.members.length < plan.min;
      const leaving = round.members.some(id => round.workers.get(id)?.leaving);
      if (next !== plan.lanes && !isSaving && !leaving) throw new Error(`lanes are not covered: ${JSON.stringify(round.ranges)}`);
      if (round.phase === 'computing' && round.members.length < plan.min) throw new Error('computes with fewer workers than the least');
    }
    if (!round.end) for (const id of round.members) if (!round.workers.has(id)) throw new Error(`${id} is a member but not there`);
    for (const { id, process, member } of this.processes) {
      if (member.options.digests.data === 'other' && round.workers.get(id)?.session.process === process)
        throw new Error('a worker with other data was let in');
    }
  }
}

const isAbortable = ({ order }: Order): boolean => order === 'compute' || order === 'fetch';

const withoutHeard = (round: Round): string =>
  JSON.stringify(round, (key, value) => (key === 'heardAt' ? 0 : value instanceof Map ? [...value] : value));
