/**
 * Where a run stands, folded from its events, and told over HTTP.
 */
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { LeadEvent } from '../../coordinator/lead.ts';
import { advanceProgress, type ProgressState, progressSchema, startProgress } from '../../coordinator/progress.ts';
import { serveProgress } from '../../coordinator/progressServer.ts';
import { metricsPrefix, named, runMetrics } from '../../trainer/tracking/catalogue.ts';
import { expose } from '../../trainer/tracking/registry.ts';
import { advanceMetrics, beginMetrics, samplesOf } from '../../trainer/tracking/runMetrics.ts';
import type { PageServer } from '../../trainer/tracking/servePages.ts';

const now = new Date('2026-11-26T12:00:00.000Z');
const fold = (events: readonly (LeadEvent | { event: 'failed' })[], from: ProgressState = startProgress('skin', 2)) =>
  events.reduce((state, event) => advanceProgress(state, event, now), from);

/** 3 epochs of 4 steps, 8 images each. */
const start = (resumedAtStep?: number): LeadEvent => ({
  event: 'start',
  name: 'skin',
  folder: 'run',
  loss: 'dice',
  model: 'unet',
  parameters: 1,
  trainingImages: 32,
  validationImages: 4,
  stepsPerEpoch: 4,
  epochs: 3,
  batch: 8,
  precision: 'float32',
  threads: 1,
  tensorflow: '2',
  library: 'cache',
  devices: [],
  ...(resumedAtStep !== undefined && { resumedAtStep }),
});
const workers = (phase: 'boundary' | 'opening' | 'computing' | 'ended', ...late: (number | undefined)[]): LeadEvent => ({
  event: 'workers',
  phase,
  generation: 5,
  dropped: {},
  refused: { auth: 0, protocol: 0, other: 0 },
  workers: [
    { id: 'spare', state: 'spare', silentMs: 0 },
    ...late.map((lateMs, rank) => ({ id: `w${rank}`, rank, lateMs, state: 'computing' as const, silentMs: 0 })).reverse(),
  ],
});
const step = (number: number, seconds = 2): LeadEvent => ({
  event: 'step',
  step: number,
  epoch: Math.ceil(number / 4),
  loss: 1 / number,
  gradientNorm: 1,
  learningRate: 0.1,
  images: 8,
  seconds,
  waitSeconds: 0,
});
const epoch = (number: number, jaccard: number, seconds = 10): LeadEvent =>
  ({ event: 'epoch', epoch: number, step: number * 4, seconds, validation: { pooled: { jaccard } } }) as LeadEvent;
const stepsOf = (number: number) => [1, 2, 3, 4].map(i => step(4 * (number - 1) + i));

test.each<[string, readonly (LeadEvent | { event: 'failed' })[], object]>([
  ['before anything', [], { run: 'skin', phase: 'starting', workers: 0, expected: 2, generation: 0 }],
  ['it reads its data', [start()], { phase: 'starting', epoch: 1, epochs: 3, step: 0, steps: 12, loss: { name: 'dice' } }],
  ['resumed in the second epoch', [start(6)], { epoch: 2, step: 6 }],
  ['resumed after the last one', [start(12)], { epoch: 3, step: 12 }],
  ['workers can join', [start(), { event: 'listening', endpoint: 'tcp://1.2.3.4:5' }], { phase: 'waiting' }],
  ['some have, not enough', [start(), workers('boundary')], { phase: 'waiting', workers: 0, generation: 5 }],
  ['the first generation', [start(), workers('opening', undefined, undefined)], { phase: 'training', workers: 2 }],
  [
    'a step',
    [start(), workers('computing', 0, 250), step(1)],
    { phase: 'training', step: 1, loss: { name: 'dice', value: 1 }, imagesPerSecond: 4 },
  ],
  ['who comes late, by rank', [start(), workers('computing', 0, 250)], { latenessSeconds: [0, 0.25] }],
  ['the last step of an epoch', [start(), ...stepsOf(1)], { phase: 'validating', epoch: 1, step: 4 }],
  ['workers change while it validates', [start(), ...stepsOf(1), workers('opening', 0)], { phase: 'validating' }],
  ['all are lost', [start(), step(1), workers('boundary')], { phase: 'waiting', workers: 0 }],
  [
    'an epoch',
    [start(), ...stepsOf(1), epoch(1, 0.5)],
    { phase: 'training', epoch: 2, metric: { name: 'jaccard', value: 0.5, best: 0.5 } },
  ],
  [
    'an epoch that is no better',
    [start(), ...stepsOf(1), epoch(1, 0.5), ...stepsOf(2), epoch(2, 0.4)],
    { epoch: 3, metric: { name: 'jaccard', value: 0.4, best: 0.5 } },
  ],
  [
    'a checkpoint',
    [start(), { event: 'checkpoint', step: 4, epoch: 1 }],
    { checkpoint: { step: 4, epoch: 1, at: '2026-11-26T12:00:00.000Z' } },
  ],
  [
    'what a run that is resumed had got to',
    [start(8), { event: 'restored', step: 8, epoch: 2, written: '2026-11-25T00:00:00.000Z', scores: [0.6, 0.5] }],
    { checkpoint: { step: 8, epoch: 2, at: '2026-11-25T00:00:00.000Z' }, metric: { name: 'jaccard', value: 0.5, best: 0.6 } },
  ],
  ['the last epoch', [start(8), ...stepsOf(3), epoch(3, 0.5)], { phase: 'finishing', epoch: 3 }],
  ['it ends early', [start(), ...stepsOf(1), epoch(1, 0.5), workers('ended')], { phase: 'finishing' }],
  [
    'done',
    [start(8), ...stepsOf(3), epoch(3, 0.5), workers('ended'), { event: 'done', steps: 12, weightsDigest: 'abc' } as LeadEvent],
    { phase: 'done', step: 12, weightsDigest: 'abc', etaSeconds: 0 },
  ],
  ['failed', [start(), step(1), { event: 'failed' }], { phase: 'failed', step: 1 }],
])('%s', (_, events, expected) => {
  const { progress } = fold(events);
  expect(progress).toMatchObject(expected);
  expect(progressSchema.parse(progress)).toEqual(JSON.parse(JSON.stringify(progress)));
});

test('the time left: the middle of the last steps for each that is left, and the last validation for each epoch', () => {
  // One step takes 100 times as long as the others.
  const first = fold([start(), step(1, 200), step(2), step(3)]);
  expect(first.progress.etaSeconds).toBe(9 * 2);
  // The epoch took 209 s, of which its steps 206.
  const second = fold([step(4), epoch(1, 0.5, 209)], first);
  expect(second.progress.etaSeconds).toBe(8 * 2 + 2 * 3);
  expect(fold(stepsOf(2), second).progress.etaSeconds).toBe(4 * 2 + 2 * 3);
});

describe('over HTTP', () => {
  let server: PageServer | undefined;
  afterEach(async () => {
    await server?.close();
    server = undefined;
  });
  const identity = { run: 'skin', loss: 'dice', model: 'unet', dataset: 'skin', sweep: '', trial: '' };
  const measured = [start(), step(1)].reduce((state, event) => advanceMetrics(state, event, now), beginMetrics(identity, now));
  const metrics = expose(named(runMetrics), metricsPrefix, () => samplesOf(measured, now, 0));
  const serve = async (listen = '127.0.0.1:0') => {
    server = await serveProgress(listen, () => fold([start(), step(1)]).progress, metrics);
    return server;
  };

  test('GET /progress is the progress, and nothing else is said in the headers', async () => {
    const { url } = await serve();
    const answer = await fetch(`${url}/progress`);
    expect(answer.status).toBe(200);
    expect(progressSchema.parse(await answer.json())).toMatchObject({ run: 'skin', step: 1 });
    expect([...answer.headers.keys()].sort()).toEqual(['cache-control', 'connection', 'content-length', 'content-type']);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect((await fetch(`${url}/progress?of=everything`)).status).toBe(200);
  });

  test('GET /metrics is for Prometheus, and a hundred who ask at once are answered', async () => {
    const { url } = await serve();
    const answers = await Promise.all(Array.from({ length: 100 }, () => fetch(`${url}/metrics`).then(answer => answer.text())));
    for (const text of answers) expect(text).toContain('\nsegfleet_steps_total{run="skin"} 1\n');
    expect((await fetch(`${url}/metrics`)).headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  test.each([
    ['GET', '/healthz', 200],
    ['GET', '/', 404],
    ['GET', '/progress/', 404],
    ['GET', '/../progress', 404],
    ['GET', '//', 404],
    ['GET', '/__proto__', 404],
    ['GET', 'constructor', 400],
    ['POST', '/progress', 405],
    ['HEAD', '/healthz', 405],
    ['DELETE', '/nothing', 404],
  ])('%s %s: %i', async (method, path, expected) => {
    const { port } = new URL((await serve()).url);
    const answer = await new Promise<{ status?: number; allow?: string }>((resolve, reject) => {
      request({ port, method, path }, response => {
        response.resume();
        resolve({ status: response.statusCode, allow: response.headers.allow });
      })
        .on('error', reject)
        .end();
    });
    expect(answer).toEqual({ status: expected, allow: expected === 405 ? 'GET' : undefined });
  });

  test('garbage and silence on a hundred connections: it goes on answering, and closes at once', async () => {
    const { url } = await serve();
    const port = Number(new URL(url).port);
    const garbage = [
      '',
      'GET',
      '\u0000\u0001\u0002',
      `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n\r\n`,
      `GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`,
    ];
    const sockets = Array.from({ length: 100 }, (_, i) =>
      connect(port, '127.0.0.1', () => sockets[i].write(garbage[i % 5])).on('error', () => {}),
    );
    await Promise.all(sockets.map(socket => new Promise(resolve => socket.once('connect', resolve).once('close', resolve))));
    for (const socket of sockets.slice(50)) socket.destroy();
    await expect.poll(async () => (await fetch(`${url}/healthz`).catch(() => undefined))?.status, { timeout: 20_000 }).toBe(200);
    await server!.close();
    server = undefined;
    for (const socket of sockets) socket.destroy();
  });

  test.each([
    ['8080', 'usage', /^--progress 8080: host:port is expected/],
    ['127.0.0.1:99999', 'usage', /host:port is expected/],
    ['203.0.113.1:0', 'usage', /this machine has no such address/],
  ])('%s is refused', async (listen, code, message) => {
    await expect(serveProgress(listen, () => startProgress('skin', 1).progress, metrics)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test('a port in use is a conflict', async () => {
    const { port } = new URL((await serve()).url);
    await expect(serveProgress(`127.0.0.1:${port}`, () => startProgress('skin', 1).progress, metrics)).rejects.toMatchObject({
      code: 'conflict',
    });
  });

  test('on IPv6', async () => {
    const { url } = await serve('[::1]:0');
    expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });
});
