/**
 * A job on a cluster as somebody sees it who looks on: on a terminal, in a file, and as a program.
 */
import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { JobView } from '../../cli/render/jobNews.ts';
import type { JobNews, ProgressNews } from '../../k8s/followJob.ts';
import type { TrainingJob } from '../../k8s/objects.ts';

const progress = (step: number, more: Partial<ProgressNews> = {}): ProgressNews => ({
  event: 'progress',
  wanted: 2,
  workers: 2,
  epoch: 1 + Math.floor(step / 10),
  epochs: 3,
  step,
  steps: 30,
  lossName: 'dice',
  loss: '0.41',
  ...more,
});
const ended = {
  apiVersion: 'segfleet.dev/v1alpha1',
  kind: 'TrainingJob',
  metadata: { name: 'skin', namespace: 'default' },
  spec: { data: { path: 's3://b/d' } },
  status: { phase: 'Succeeded', metric: '0.81', weightsDigest: 'abc' },
} as TrainingJob;
const pulling: JobNews = {
  event: 'event',
  at: '2026-11-26T05:00:07Z',
  type: 'Warning',
  reason: 'BackOff',
  object: 'Pod/skin-workers-0-abcde',
  message: 'Back-off pulling\n\u001b[2Jimage',
  count: 3,
};
const course: readonly JobNews[] = [
  { event: 'phase', phase: 'Starting' },
  { event: 'condition', type: 'PodsReady', status: 'False', reason: 'PodsStarting', message: '0 of 2 workers run' },
  pulling,
  { event: 'phase', phase: 'Running' },
  progress(1),
  progress(2, { metric: '0.7', checkpointStep: 1, eta: '4m' }),
  { event: 'lost', message: 'the API server does not answer (connect ECONNREFUSED)' },
  { event: 'back' },
  progress(10),
  { event: 'ended', job: ended },
];

function shown(news: readonly JobNews[], { json = false, isTTY = false, stepMs = 1000 } = {}) {
  const written = { out: '', err: '' };
  const stream = (which: 'out' | 'err') =>
    ({
      isTTY,
      columns: 120,
      rows: 40,
      write(text: string) {
        written[which] += text;
        return true;
      },
    }) as unknown as NodeJS.WriteStream;
  let now = Date.parse('2026-11-26T05:00:00Z');
  const view = new JobView({ json, stdout: stream('out'), stderr: stream('err'), now: () => now });
  for (const one of news) {
    view.show(one);
    now += stepMs;
  }
  view.close();
  return written;
}

test('in a file: a line for all that happened, and of progress one an epoch', () => {
  const { out, err } = shown(course);
  expect(out.split('\n')).toEqual([
    'phase Starting',
    'PodsReady is False (PodsStarting): 0 of 2 workers run',
    '2026-11-26 05:00:07  Warning  Pod/skin-workers-0-abcde  BackOff: Back-off pulling \ufffd[2Jimage (3 times)',
    'phase Running',
    'epoch 1/3, step 1/30, 2 of 2 workers, loss (dice) 0.41',
    'epoch 2/3, step 10/30, 2 of 2 workers, loss (dice) 0.41',
    'skin has succeeded, best validation Jaccard 0.81, weights digest abc',
    '',
  ]);
  expect(err).toBe('the API server does not answer (connect ECONNREFUSED); still following\nthe API server is back\n');
});

test('in a file: one a minute where an epoch takes long, and where workers come or go', () => {
  const lines = (news: readonly JobNews[], stepMs: number) => shown(news, { stepMs }).out.trim().split('\n');
  expect(lines([progress(1), progress(2), progress(3), progress(4)], 30_000)).toHaveLength(2);
  expect(lines([progress(1), progress(1, { workers: 1 }), progress(2, { workers: 1 })], 1000)).toEqual([
    expect.stringContaining('2 of 2 workers'),
    expect.stringContaining('1 of 2 workers'),
  ]);
});

test('on a terminal: what happened stays, below it a bar moves', () => {
  const { out } = shown(course, { isTTY: true });
  expect(out).toContain('\u001b[2K\u001b[1A'); // what was drawn is taken back
  const lines = stripVTControlCharacters(out).split(/\r?\n|\r/);
  expect(lines).toEqual(
    expect.arrayContaining([
      'phase Running',
      `${'█'.repeat(2)}${'░'.repeat(28)} epoch 1/3, step 2/30`,
      '2 of 2 workers, loss (dice) 0.41, best validation Jaccard 0.7, checkpoint of step 1, 4m left',
      `${'█'.repeat(10)}${'░'.repeat(20)} epoch 2/3, step 10/30`,
    ]),
  );
  expect(lines.filter(line => line === 'phase Running')).toHaveLength(1);
});

test('as a program: one event a line, with its time, and at the end the status', () => {
  const { out, err } = shown(course, { json: true });
  const events = out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
  expect(events.map(({ event }) => event)).toEqual(course.map(({ event }) => event));
  expect(events[0]).toEqual({ time: '2026-11-26T05:00:00.000Z', event: 'phase', phase: 'Starting' });
  expect(events[2].message).toBe('Back-off pulling\n\u001b[2Jimage'); // as it is: a program reads it
  expect(events.at(-1)).toMatchObject({ event: 'ended', name: 'skin', phase: 'Succeeded', weightsDigest: 'abc' });
  expect(err).toBe('');
});
