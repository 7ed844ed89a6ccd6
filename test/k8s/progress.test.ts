import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test, vi } from 'vitest';
import type { Progress } from '../../coordinator/progress.ts';
import { isWorthTelling, type PollOutcome, ProgressPoller, type ProgressTarget } from '../../k8s/progress.ts';
import { FakeClock } from '../tools/fakeClock.ts';

const soon = { timeout: 20_000, interval: 10 };
const progress: Progress = { run: 'nuclei', phase: 'training', workers: 2, expected: 2, generation: 1, epoch: 3, step: 100, steps: 1000 };

/** A coordinator that answers as it is told, and whoever asks it. */
async function polling(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer((request, response) => answer(request, response));
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const clock = new FakeClock();
  const outcomes: PollOutcome[] = [];
  const changes: string[] = [];
  let targets: ProgressTarget[] = [{ key: 'team/nuclei', pod: 'p', address: '127.0.0.1', run: 'nuclei' }];
  const poller = new ProgressPoller({
    targets: () => targets,
    onChange: key => changes.push(key),
    onPoll: outcome => outcomes.push(outcome),
    clock,
    port: (server.address() as AddressInfo).port,
    timeoutMs: 500,
  });
  const stop = new AbortController();
  const ended = poller.run(stop.signal);
  /** Until the next answer, or whatever came instead. */
  const poll = async () => {
    const count = outcomes.length;
    await clock.advance(count === 0 ? 0 : 5000);
    await vi.waitFor(() => expect(outcomes.length).toBe(count + 1), soon);
    return outcomes.at(-1);
  };
  return {
    ...{ poller, clock, outcomes, changes, poll },
    look: (...now: ProgressTarget[]) => {
      targets = now;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
      server.close();
      server.closeAllConnections();
    },
  };
}

const json = (value: unknown) => (_: IncomingMessage, response: ServerResponse) => void response.end(JSON.stringify(value));

test('what a coordinator says is known, and queues its job', async () => {
  await using asked = await polling(({ url }, response) => void response.end(url === '/progress' ? JSON.stringify(progress) : ''));
  expect(await asked.poll()).toBe('answered');
  expect(asked.poller.of('team/nuclei', 'p')).toEqual(progress);
  expect(asked.changes).toEqual(['team/nuclei']);
});

test.each<[what: string, outcome: PollOutcome, answer: Parameters<typeof polling>[0]]>([
  ['500', 'refused', (_, response) => void response.writeHead(500).end(JSON.stringify(progress))],
  ['a redirection', 'refused', (_, response) => void response.writeHead(302, { location: '/progress' }).end()],
  ['no JSON', 'garbled', (_, response) => void response.end('<html>')],
  ['JSON that is no progress', 'garbled', json({ ...progress, workers: -1 })],
  ['the progress of another run: the address is given to another pod by now', 'garbled', json({ ...progress, run: 'other' })],
  ['more than fits', 'garbled', json({ ...progress, padding: 'x'.repeat(70_000) })],
  ['nothing, for ever', 'unanswered', () => {}],
  ['half an answer, for ever', 'unanswered', (_, response) => void response.write('{"run":')],
  ['a connection that is cut', 'unanswered', (_, response) => void response.destroy()],
])('%s is no progress, and counted', async (_, outcome, answer) => {
  await using asked = await polling(answer);
  expect(await asked.poll()).toBe(outcome);
  expect(asked.poller.of('team/nuclei', 'p')).toBe(undefined);
  expect(asked.changes).toEqual([]);
});

test('a pod without an answer holds up nobody else', async () => {
  await using asked = await polling(json(progress));
  const nobody = Array.from({ length: 40 }, (_, i) => ({ key: `team/${i}`, pod: `p${i}`, address: '127.255.255.254', run: 'x' }));
  asked.look(...nobody, { key: 'team/nuclei', pod: 'p', address: '127.0.0.1', run: 'nuclei' });
  await asked.clock.advance(5000);
  await vi.waitFor(() => expect(asked.poller.of('team/nuclei', 'p')).toBeDefined(), soon);
});

test('an answer counts for a while, and then the job is told that it does no more', async () => {
  let isThere = true;
  await using asked = await polling((_, response) => void (isThere ? response.end(JSON.stringify(progress)) : response.destroy()));
  await asked.poll();
  isThere = false;
  for (let i = 0; i < 5; i++) await asked.poll();
  expect(asked.poller.of('team/nuclei', 'p')).toEqual(progress);
  expect(asked.changes.length).toBe(1);
  await asked.poll();
  expect(asked.poller.of('team/nuclei', 'p')).toBe(undefined);
  expect(asked.changes.length).toBe(2);
});

test('what another pod said is not what this one says, and jobs that are not asked are forgotten', async () => {
  await using asked = await polling(json(progress));
  await asked.poll();
  expect(asked.poller.of('team/nuclei', 'another')).toBe(undefined);
  asked.look();
  await asked.clock.advance(5000);
  await vi.waitFor(() => expect(asked.poller.of('team/nuclei', 'p')).toBe(undefined), soon);
});

test.each<[what: string, now: Partial<Progress>, sinceMs: number, isWorth: boolean]>([
  ['nothing new', {}, 3_600_000, false],
  ['a step more, soon after', { step: 101 }, 5000, false],
  ['a step more, a while after', { step: 101 }, 30_000, true],
  ['a hundredth of the run', { step: 110 }, 5000, true],
  ['a step back, by as much', { step: 90 }, 5000, true],
  ['another epoch', { epoch: 4 }, 0, true],
  ['another phase', { phase: 'validating' }, 0, true],
  ['a worker fewer', { workers: 1 }, 0, true],
  ['another generation', { generation: 2 }, 0, true],
  ['a checkpoint', { checkpoint: { step: 100, epoch: 3, at: '2026-01-01T00:00:00Z' } }, 0, true],
  ['a better score', { metric: { name: 'jaccard', best: 0.8 } }, 0, true],
  ['a score that is not better', { metric: { name: 'jaccard', value: 0.7 } }, 3_600_000, false],
  ['an estimate', { etaSeconds: 10 }, 3_600_000, false],
])('%s', (_, now, sinceMs, isWorth) => {
  expect(isWorthTelling(progress, { ...progress, ...now }, sinceMs)).toBe(isWorth);
});
