/**
 * A run led from one process and computed by others, over TCP with keys: the coordinator dies, strangers knock at every port, and the
 * run ends in the weights of an undisturbed one.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { curveKeyPair, Dealer } from 'zeromq';
import { eventsOf, type Finished, segfleet } from '../tools/cli.ts';
import { sharedJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';
import { type Result, resultOf } from '../tools/result.ts';
import { isAlive } from '../tools/workers.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-coordinator-'));
const out = (name: string) => join(folder, name);
const job = () => out('job.yaml');
const settings = ['--set', 'training.epochs=4', '--set', 'workers={replicas: 2, min: 2}'];
let undisturbed: Result;

beforeAll(async () => {
  await drawDataSet(out('data'), 20, 16, 16);
  writeJob(folder, sharedJob('data', 4));
  expect(await segfleet(['train', job(), '--out', out('undisturbed'), ...settings])).toMatchObject({ code: 0, stderr: '' });
  undisturbed = resultOf(out('undisturbed'));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Event {
  readonly event: string;
  readonly endpoint: string;
  readonly step: number;
  readonly workers: readonly { readonly id: string; readonly rank?: number }[];
  readonly refused: Readonly<Record<string, number>>;
}

/** A coordinator that listens, and what it says. */
function coordinate(run: string, listen: string, onEvent: (event: Event, child: ChildProcess) => void, more: readonly string[] = []) {
  const keys = `${run}.keys.json`;
  return segfleet(['coordinator', job(), '--out', run, '--listen', listen, '--keys', keys, '--json', ...settings, ...more], {
    onLine: (line, child) => onEvent(JSON.parse(line), child),
  });
}

function work(run: string, endpoint: string, id: string, onStart?: (child: ChildProcess) => void): Promise<Finished> {
  const keys = `${run}.keys.json`;
  const arguments_ = ['worker', job(), '--join', endpoint, '--keys', keys, '--out', run, '--id', id, ...settings];
  return segfleet(arguments_, { onStart });
}

test('the coordinator is killed three times, a worker with it once: each successor goes on from what the workers hold', async () => {
  const run = out('killed');
  const workers: Promise<Finished>[] = [];
  const pids: number[] = [];
  let endpoint = 'tcp://127.0.0.1:*';
  const steps: number[] = [];
  const join = (id: string) => workers.push(work(run, endpoint, id, child => pids.push(child.pid!)));
  let finished: Finished | undefined;
  for (const [attempt, killAfter] of [3, 8, 12, 99].entries()) {
    finished = await coordinate(
      run,
      endpoint,
      ({ event, step, ...more }, child) => {
        if (event === 'listening' && attempt === 0) {
          endpoint = more.endpoint;
          for (const id of ['a', 'b']) join(id);
        }
        if (event !== 'step') return;
        steps.push(step);
        if (step !== killAfter) return;
        child.kill('SIGKILL');
        if (killAfter === 12) {
          process.kill(pids[1], 'SIGKILL');
          join('c');
        }
      },
      attempt > 0 ? ['--resume'] : [],
    );
    expect(finished).toMatchObject(killAfter === 99 ? { code: 0, stderr: '' } : { signal: 'SIGKILL' });
  }
  const [a, b, c] = await Promise.all(workers);
  expect([a.code, b.signal, c.code]).toEqual([0, 'SIGKILL', 0]);
  expect(resultOf(run)).toEqual(undisturbed);
  // Nothing was computed twice by a new coordinator's word: what workers held was gone on from.
  expect(new Set(steps).size).toBe(16);
  expect(statSync(`${run}.keys.json`).mode & 0o777).toBe(0o600);
});

test('garbage and silence on every port of every process, and strangers at the coordinator: refused and counted, and the run takes no notice', async () => {
  const run = out('besieged');
  const workers: Promise<Finished>[] = [];
  const pids: number[] = [];
  const sockets: Socket[] = [];
  const strangers: Dealer[] = [];
  let status: Event | undefined;
  let besieged = 0;
  const besiege = () => {
    for (const port of pids.flatMap(portsOf)) {
      besieged++;
      for (const bytes of [...garbage, ...garbage, ...garbage, ...garbage]) {
        const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
        sockets.push(socket.on('error', () => {}));
      }
    }
  };
  const finished = await coordinate(run, 'tcp://127.0.0.1:*', (event, child) => {
    if (event.event === 'listening') {
      pids.push(child.pid!);
      for (const id of ['a', 'b']) workers.push(work(run, event.endpoint, id, worker => pids.push(worker.pid!)));
      const { publicKey, secretKey } = curveKeyPair();
      const { coordinator } = JSON.parse(readFileSync(`${run}.keys.json`, 'utf8'));
      const keys = { curveServerKey: coordinator.publicKey, curvePublicKey: publicKey, curveSecretKey: secretKey };
      for (const options of [{}, keys]) {
        const stranger = new Dealer({ linger: 0, ...options });
        stranger.connect(event.endpoint);
        strangers.push(stranger);
      }
    }
    if (event.event === 'workers') status = event;
    if (event.event === 'step' && (event.step === 2 || event.step === 9)) besiege();
  });
  for (const socket of sockets) socket.destroy();
  for (const stranger of strangers) stranger.close();
  expect(finished).toMatchObject({ code: 0, stderr: '' });
  for (const worker of await Promise.all(workers)) expect(worker).toMatchObject({ code: 0, stderr: '' });
  // The coordinator's port, and that of the mesh of each worker, twice.
  expect(besieged).toBeGreaterThanOrEqual(6);
  expect(eventsOf(finished).filter(({ event }) => event === 'lost')).toEqual([]);
  expect(resultOf(run)).toEqual(undisturbed);
  // Whoever comes without keys finds that out too, and may hang up before the coordinator knows why.
  expect(status!.refused.protocol + status!.refused.other).toBeGreaterThan(0);
  expect(status!.refused.auth).toBeGreaterThan(0);
  expect(pids.filter(isAlive)).toEqual([]);
});

test('a worker that stores checkpoints where the others do not look ends the run with what to do', async () => {
  const run = out('scattered');
  let worker: Promise<Finished> | undefined;
  let pid: number | undefined;
  const finished = await coordinate(
    run,
    'tcp://127.0.0.1:*',
    ({ event, endpoint }) => {
      if (event !== 'listening') return;
      const arguments_ = ['--join', endpoint, '--keys', `${run}.keys.json`, '--out', out('elsewhere'), '--id', 'a'];
      worker = segfleet(['worker', job(), ...arguments_, ...settings, ...alone], {
        onStart: child => {
          pid = child.pid;
        },
      });
    },
    alone,
  );
  expect(finished.code).toBe(2);
  const { error } = eventsOf(finished).at(-1) as unknown as { error: { message: string } };
  expect(error.message).toMatch(
    /^a worker has stored its part of a checkpoint elsewhere than in .*scattered\/checkpoints; name a place that all reach/,
  );
  // It waits for another coordinator.
  process.kill(pid!, 'SIGKILL');
  expect(await worker).toMatchObject({ signal: 'SIGKILL' });
});

const alone = ['--set', 'workers={replicas: 1, max: 4}'];

const garbage = [
  Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
  Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
  // What ZeroMQ of old takes for a message.
  Buffer.from([1, 0, 5, 0, 104, 101, 108, 108, 111]),
  Buffer.alloc(100_000, 7),
  Buffer.alloc(0),
];

/** The TCP ports that a process listens on. */
function portsOf(pid: number): number[] {
  const links = readdirSync(`/proc/${pid}/fd`).map(name => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${name}`);
    } catch {
      return ''; // closed meanwhile
    }
  });
  const inodes = new Set(links.flatMap(link => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
  return readFileSync(`/proc/${pid}/net/tcp`, 'utf8')
    .split('\n')
    .slice(1)
    .map(line => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === '0A' && inodes.has(inode))
    .map(([, local]) => Number.parseInt(local.split(':')[1], 16));
}
