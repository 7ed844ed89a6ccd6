/**
 * `npm run bench:exchange`: the sum of one vector over the workers of this machine against PyTorch's gloo, in turns.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { curveKeyPair } from 'zeromq';
import type { MeshOptions } from '../../coordinator/exchange/mesh.ts';
import { describeMachine } from '../../trainer/machine.ts';
import { evenly } from '../tools/lanes.ts';
import type { Request, Timing } from './exchangeWorker.ts';
import { peersPython } from './peers.ts';
import { median, writeResults } from './results.ts';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    workers: { type: 'string', default: '2,4' },
    sizes: { type: 'string', default: '1,32,128' },
    'no-write': { type: 'boolean' },
  },
});
const numbersOf = (text: string) => text.split(',').map(Number);
const machine = describeMachine();
const python = await peersPython();
const folder = mkdtempSync('/dev/shm/segfleet-bench-');
const keys = curveKeyPair();

type Transport = Pick<MeshOptions, 'listen' | 'keys' | 'trustNetwork'>;
const transports: Record<string, (name: string) => Transport> = {
  'shared memory': name => ({ listen: `shm://${folder}/${name}` }),
  ipc: name => ({ listen: `ipc://${folder}/${name}` }),
  'ipc + CURVE': name => ({ listen: `ipc://${folder}/${name}`, keys }),
  tcp: () => ({ listen: 'tcp://127.0.0.1:*', trustNetwork: true }),
  'tcp + CURVE': () => ({ listen: 'tcp://127.0.0.1:*', keys }),
};

interface Contender {
  readonly name: string;
  /** One timing by rank. */
  time(repetitions: number): Promise<Timing[]>;
}

async function ask<T>(worker: ChildProcess, request: Request): Promise<T> {
  worker.send(request);
  const [{ answer, error }] = await once(worker, 'message');
  if (error) throw new Error(error);
  return answer;
}

/** A process of its own for each transport and rank: a process has one mesh, and one that waits costs nothing. */
const workersOf = (n: number) =>
  Object.keys(transports).map(name => ({
    name,
    workers: Array.from({ length: n }, () => fork(new URL('exchangeWorker.ts', import.meta.url), { serialization: 'advanced' })),
  }));

type Workers = ReturnType<typeof workersOf>[number];

async function openWorkers({ name, workers }: Workers, buckets: readonly number[], lanes = workers.length): Promise<void> {
  const ranges = evenly(lanes, workers.length);
  const common = { run: 'bench', generation: 0, ranges, buckets: buckets.map(length => ({ length })) };
  const endpoints = await Promise.all(
    workers.map((worker, rank) => {
      const transport = transports[name](`${Object.keys(transports).indexOf(name)}.${rank}`);
      return ask<string>(worker, { type: 'open', options: { ...common, rank, ...transport } });
    }),
  );
  await Promise.all(workers.map(worker => ask(worker, { type: 'connect', endpoints })));
}

async function openContender({ name, workers }: Workers, numbers: number): Promise<Contender> {
  await openWorkers({ name, workers }, [numbers]);
  return { name, time: repetitions => Promise.all(workers.map(worker => ask<Timing>(worker, { type: 'time', repetitions }))) };
}

async function glooProcesses(workers: number) {
  const rendezvous = join(folder, `gloo-${workers}`);
  const script = new URL('peers/gloo_allreduce.py', import.meta.url).pathname;
  const processes = Array.from({ length: workers }, (_, rank) => {
    const child = spawn(python, [script, `${rank}`, `${workers}`, rendezvous], { stdio: ['pipe', 'pipe', 'inherit'] });
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  });
  const next = async ({ lines }: (typeof processes)[number]) => JSON.parse((await lines.next()).value!);
  const [{ version }] = await Promise.all(processes.map(next));
  const contender = (numbers: number): Contender => ({
    name: 'gloo',
    time: repetitions =>
      Promise.all(
        processes.map(one => {
          one.child.stdin.write(`${numbers} ${repetitions}\n`);
          return next(one);
        }),
      ),
  });
  const close = () => Promise.all(processes.map(({ child }) => [child.stdin.end(), once(child, 'exit')][1]));
  return { version: version as string, contender, close };
}

const rows: string[] = [];
let peer = '';
for (const n of numbersOf(flags.workers)) {
  const gloo = await glooProcesses(n);
  peer = gloo.version;
  const meshes = workersOf(n);
  for (const mebibytes of numbersOf(flags.sizes)) {
    const numbers = mebibytes * 2 ** 18;
    const contenders = [gloo.contender(numbers)];
    for (const mesh of meshes) contenders.push(await openContender(mesh, numbers));
    const repetitions = mebibytes === 1 ? 20 : mebibytes < 100 ? 4 : 2;
    const measured = new Map(contenders.map(({ name }) => [name, [] as Timing[][]]));
    for (let round = 0; round < Number(flags.rounds); round++) {
      for (const { name, time } of contenders) measured.get(name)!.push(await time(repetitions));
    }
    const slowest = (timings: readonly Timing[]) => Math.max(...timings.map(({ ms }) => ms));
    const millisecondsOf = (name: string) => median(measured.get(name)!.map(slowest));
    for (const { name } of contenders) {
      const cpu = median(measured.get(name)!.map(timings => timings.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / n));
      const perGigabyte = cpu / ((numbers * 4) / 1e9);
      const ms = millisecondsOf(name);
      const row = `| ${n} | ${mebibytes} MiB | ${name} | ${ms.toFixed(1)} | ${(millisecondsOf('gloo') / ms).toFixed(2)} | ${perGigabyte.toFixed(2)} |`;
      console.log(row);
      rows.push(row);
    }
    await Promise.all(meshes.flatMap(({ workers }) => workers.map(worker => ask(worker, { type: 'close' }))));
  }
  for (const { workers } of meshes) for (const worker of workers) worker.disconnect();
  await gloo.close();
}

/** Steps of a network of 8 Mi parameters, each lane of four "computed" in a fixed time that costs no processor. */
const paced: string[] = [];
const laneMs = 200;
const lanes = 4;
for (const transport of ['shared memory', 'tcp + CURVE']) {
  let alone = 0;
  for (const n of [1, 2, 4]) {
    const meshes = workersOf(n);
    const mesh = meshes.find(({ name }) => name === transport)!;
    await openWorkers(mesh, new Array(8).fill(2 ** 20), lanes);
    const computeMs = (laneMs * lanes) / n;
    const request = { type: 'pace', computeMs, repetitions: 2 * Number(flags.rounds) } as const;
    const times = await Promise.all(mesh.workers.map(worker => ask<number[]>(worker, request)));
    const ms = median(times[0].map((_, i) => Math.max(...times.map(ofRank => ofRank[i]))));
    alone ||= ms;
    const row = `| ${transport} | ${n} | ${computeMs} | ${ms.toFixed(1)} | ${((100 * (ms - computeMs)) / ms).toFixed(1)} % | ${((100 * alone) / (n * ms)).toFixed(0)} % |`;
    console.log(row);
    paced.push(row);
    await Promise.all(mesh.workers.map(worker => ask(worker, { type: 'close' })));
    for (const { workers } of meshes) for (const worker of workers) worker.disconnect();
  }
}
rmSync(folder, { recursive: true });

const text = `The sum of one float32 vector over n processes of this machine, in place where both begin and end. Contenders took turns, ${flags.rounds} rounds; medians
of the slowest rank. Speed: gloo's time divided by the contender's, so above 1 is faster than gloo (${peer}, one thread, TCP on loopback).

| n | size | transport | ms | speed | CPU-seconds per GB and rank |
|---|---|---|---|---|---|
${rows.join('\n')}

Shared memory: a number is written once by its sender and read once by each receiver; only headers pass through sockets. Sockets: the kernel copies every number in and out, and
libzmq receives each frame into new memory. CURVE besides encrypts and decrypts in software, on the one I/O thread of each process.

Steps of four lanes with a gradient of 8 Mi numbers (32 MiB) in eight buckets, each lane "computed" in ${laneMs} ms without costing a processor; buckets come one after the other.

| transport | n | compute, ms | step, ms | exposed share of the step | scaling efficiency |
|---|---|---|---|---|---|
${paced.join('\n')}

All n processes share the ${machine.processors} processors of this machine for summing, checksums, copies and encryption, so n = 4 shows less than four machines would.
`;
if (!flags['no-write']) writeResults('exchange', `${machine.cpu}, ${machine.processors} processors`, 'npm run bench:exchange', text);
