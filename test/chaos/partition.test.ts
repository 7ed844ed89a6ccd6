/**
 * Networks that fall apart without a word and come together again: the run ends in the weights of an undisturbed one. Real processes of
 * real training, each in a network namespace of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { curveKeyPair } from 'zeromq';
import { type Finished, segfleet } from '../tools/cli.ts';
import { sharedJob, writeJob } from '../tools/jobs.ts';
import { bucketsOf, evenly } from '../tools/lanes.ts';
import { MeshProcess, type State } from '../tools/meshes.ts';
import type { Order } from '../tools/meshWorker.ts';
import { canPartNetworks, Network } from '../tools/namespaces.ts';
import { drawDataSet } from '../tools/pictures.ts';
import { type Result, resultOf } from '../tools/result.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-partition-'));
const out = (name: string) => join(folder, name);
const job = () => out('job.yaml');
const networks: Network[] = [];
function networkOf(machines: readonly string[]): Network {
  const network = new Network(machines);
  networks.push(network);
  return network;
}
/** `long`: whoever was put out has the time to come back. */
const epochs = { short: 2, long: 8 } as const;
type Length = keyof typeof epochs;
const undisturbed = {} as Record<Length, Result>;

afterAll(() => {
  for (const network of networks) network.close();
  rmSync(folder, { recursive: true });
});

interface Event {
  readonly event: string;
  readonly step: number;
  readonly endpoint: string;
  readonly worker: string;
  readonly why: string;
  readonly workers: readonly { readonly id: string; readonly rank?: number }[];
}

const workers = ['a', 'b', 'c'];
const finished = workers.map(id => expect.objectContaining({ code: 0, stderr: '', stdout: expect.stringContaining(`"id": "${id}"`) }));

/** A run on four machines, whose network something is done to as its events come. */
async function disturbed(name: string, length: Length, disturb: (event: Event, network: Network) => void) {
  const network = networkOf(['coordinator', ...workers]);
  const run = out(name);
  const events: Event[] = [];
  const crew: Promise<Finished>[] = [];
  const common = ['--keys', out(`${name}.keys.json`), '--out', run, '--json', '--set', `training.epochs=${epochs[length]}`];
  const listen = ['--listen', `tcp://${network.address('coordinator')}:5555`, '--set', 'workers={replicas: 3, min: 2}'];
  const { code, stderr } = await segfleet(['coordinator', job(), ...listen, ...common], {
    under: network.under('coordinator'),
    onLine: line => {
      const event: Event = JSON.parse(line);
      events.push(event);
      disturb(event, network);
      if (event.event !== 'listening') return;
      for (const id of workers) {
        crew.push(segfleet(['worker', job(), '--join', event.endpoint, '--id', id, ...common], { under: network.under(id) }));
      }
    },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(resultOf(run)).toEqual(undisturbed[length]);
  const lost = events.filter(({ event }) => event === 'lost').map(({ worker, why }) => ({ worker, why }));
  return { events, lost, crew: await Promise.all(crew) };
}

describe.skipIf(!canPartNetworks())('without a word', () => {
  describe('the network of a run', () => {
    beforeAll(async () => {
      // Sixteen training images in batches of four.
      await drawDataSet(out('data'), 20, 16, 16);
      writeJob(folder, sharedJob('data', 4));
      const train = async (length: Length) => {
        const settings = ['--set', `training.epochs=${epochs[length]}`];
        expect(await segfleet(['train', job(), '--out', out(length), ...settings])).toMatchObject({ code: 0, stderr: '' });
        undisturbed[length] = resultOf(out(length));
      };
      await Promise.all([train('short'), train('long')]);
    });

    test.each([
      ['in the middle of the run', ({ event, step }: Event) => event === 'step' && step === 3],
      ['before the first generation opens', ({ event }: Event) => event === 'listening'],
    ])('parts two workers that both reach the coordinator, %s: one of them is put out, the others go on', async (name, isDue) => {
      const { lost, crew } = await disturbed(name, 'short', (event, network) => {
        if (isDue(event)) network.part('b', ['c']);
        if (event.event === 'lost') network.heal('b', ['c']);
      });
      expect(lost).toEqual([{ worker: expect.stringMatching(/^[bc]$/), why: 'could not be reached by another worker' }]);
      expect(crew).toEqual(finished);
    });

    test('parts a worker from all others for longer than the time-out: they go on, and it comes back', async () => {
      const others = ['coordinator', 'a', 'b'];
      let [isLost, isHealed] = [false, false];
      const { lost, crew, events } = await disturbed('one', 'long', ({ event, step }, network) => {
        if (event === 'step' && step === 2) network.part('c', others);
        if (event === 'lost') isLost = true;
        if (event !== 'step' || !isLost || isHealed) return;
        network.heal('c', others);
        isHealed = true;
      });
      expect(lost).toEqual([{ worker: 'c', why: 'was not heard for 2500 ms' }]);
      const later = events.slice(events.findIndex(({ event }) => event === 'lost'));
      const computes = ({ event, workers }: Event) =>
        event === 'workers' && workers.some(({ id, rank }) => id === 'c' && rank !== undefined);
      expect(later.some(computes)).toBe(true);
      expect(crew).toEqual(finished);
    });

    test('parts the coordinator from all workers for five seconds: they join it again, and the run goes on', async () => {
      const { lost, crew } = await disturbed('coordinator', 'short', ({ event, step }, network) => {
        if (event !== 'step' || step !== 3) return;
        network.part('coordinator', workers);
        // How long it lasts is the case.
        setTimeout(() => network.heal('coordinator', workers), 5000);
      });
      expect(lost.toSorted((one, other) => one.worker.localeCompare(other.worker))).toEqual(
        workers.map(worker => ({ worker, why: 'was not heard for 2500 ms' })),
      );
      expect(crew).toEqual(finished);
    });
  });

  test('a sum is lost on its way: who waits for it says so, and so does who sent it and has all that it needs itself', async () => {
    const machines = ['waiting', 'owner'];
    const network = networkOf(machines);
    const meshes = machines.map(machine => new MeshProcess(network.under(machine)));
    const [waiting, owner] = meshes;
    // A single number: it is the last rank that adds it up.
    const options = { run: 'test', generation: 1, ranges: evenly(2, 2), buckets: bucketsOf(1), keys: curveKeyPair() };
    const open = (rank: number): Order => ({
      do: 'open',
      options: { ...options, rank, listen: `tcp://${network.address(machines[rank])}:*` },
    });
    const endpoints = await Promise.all(meshes.map((mesh, rank) => mesh.ask<string>(open(rank))));
    await Promise.all(meshes.map(mesh => mesh.ask({ do: 'connect', endpoints })));
    await waiting.ask({ do: 'begin', step: 0, buckets: [0] });
    await owner.ask({ do: 'begin', step: 0, buckets: [] });
    await vi.waitFor(async () => expect((await owner.ask<State>({ do: 'state' })).stats.framesReceived).toBe(1), 10_000);
    // All that was sent so far is acknowledged.
    network.part('waiting', ['owner']);
    const parted = performance.now();
    await owner.ask({ do: 'add', buckets: [0] });
    await owner.ask({ do: 'wait', bucket: 0 });
    const sum = waiting.ask({ do: 'wait', bucket: 0 }).catch(error => error);
    expect(await owner.ask({ do: 'broken' })).toBe(0);
    expect(await waiting.ask({ do: 'broken' })).toBe(1);
    expect(await sum).toMatchObject({ code: 'unavailable', details: { rank: 1, step: 0 } });
    expect(performance.now() - parted).toBeLessThan(20_000);
  });
});
