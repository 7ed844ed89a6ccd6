/**
 * What Prometheus would read of real runs: while they go on, at their end, when they fail, and when they are taken over.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { parseJob } from '../../trainer/spec.ts';
import { identityOf } from '../../trainer/tracking/identity.ts';
import { RunMetrics } from '../../trainer/tracking/liveMetrics.ts';
import { metricsOf } from '../../trainer/tracking/mlflow.ts';
import { serveMetrics } from '../../trainer/tracking/serveMetrics.ts';
import { train } from '../../trainer/train.ts';
import { newestCheckpoint, writeCheckpoint } from '../tools/checkpoints.ts';
import { segfleet } from '../tools/cli.ts';
import { parseExposition, promtoolFindings, readSeries } from '../tools/exposition.ts';
import { sharedJob, smallJob, writeJob } from '../tools/jobs.ts';
import { readMlflow, startMemoryMlflow } from '../tools/mlflowServer.ts';
import { startCollector } from '../tools/otlpCollector.ts';
import { drawDataSet } from '../tools/pictures.ts';
import { type Seen, startS3Server } from '../tools/s3Server.ts';
import { readEventFiles, scalarsIn } from '../tools/tensorboard.ts';
import { hasPrometheus } from '../tools/tools.ts';
import { setCredentials } from '../tools/versitygw.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-metrics-'));
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  await drawDataSet(at('data'), 10, 16, 16);
  writeJob(folder, smallJob('data'));
});
afterAll(() => rmSync(folder, { recursive: true }));

type Read = (name: string, labels?: Record<string, string>) => number | undefined;

async function scrape(url: string): Promise<Read & { text: string }> {
  const answer = await fetch(`${url}/metrics`);
  expect(answer.status).toBe(200);
  const text = await answer.text();
  const families = parseExposition(text);
  return Object.assign((name: string, labels = {}) => readSeries(families, `segfleet_${name}`, labels), { text });
}

const linesOf = (run: string) =>
  readFileSync(at(run, 'metrics.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));

/** A training in this process, read after every event. */
async function trained(
  run: string,
  more: { settings?: string[]; untilEpoch?: number; resume?: boolean },
  look: (read: Read, event: string) => void,
) {
  const { settings = [], ...options } = more;
  const loaded = parseJob(smallJob('data'), at('job.yaml'), settings);
  const metrics = new RunMetrics(identityOf(loaded.job));
  const server = await serveMetrics('0', metrics);
  try {
    for await (const { event } of metrics.watch(train({ ...loaded, base: folder, out: at(run), ...options })))
      look(await scrape(server.url), event);
    return await scrape(server.url);
  } catch (error) {
    look(await scrape(server.url), (error as Error).name);
    throw error;
  } finally {
    // Whoever came after every event comes no more.
    await metrics.close(AbortSignal.abort());
    await server.close();
  }
}

test('one process: every scrape is right, from the first to one after the end, and another process goes on with it', async () => {
  let steps = 0;
  const states = new Set<string>();
  const look = (read: Read, event: string) => {
    if (event === 'step') steps++;
    expect(read('steps_total', { run: 'small' })).toBe(steps);
    for (const state of ['starting', 'training', 'validating', 'finishing', 'succeeded', 'paused'])
      if (read('run_state', { state })) states.add(state);
    expect(read('goodput_ratio')!).toBeLessThanOrEqual(1);
  };
  const paused = await trained('run', { untilEpoch: 1 }, look);
  expect(paused('run_info', { run: 'small', loss: 'adaptiveLog(dice)', model: 'unet', dataset: 'data', sweep: '' })).toBe(1);
  expect([paused('epoch'), paused('step'), paused('samples_total'), paused('workers')]).toEqual([1, 3, 8, 1]);
  expect([...states]).toEqual(['starting', 'training', 'validating', 'paused']);
  const [, , third, first] = linesOf('run').slice(1);
  expect(paused('loss_value', { split: 'training' })).toBe(first.loss);
  expect(paused('loss_value', { split: 'batch' })).toBe(third.loss);
  expect(paused('validation_score_ratio', { metric: 'jaccard', over: 'pooled' })).toBe(first.validation.pooled.jaccard);
  expect(paused('adaptive_log_branch_ratio', { branch: 'log' })).toBe(first.logShare);
  expect(paused('checkpoint_bytes')!).toBeGreaterThan(100_000);
  const spent = ['data', 'compute', 'validation', 'checkpoint'].map(phase => paused('phase_seconds_total', { phase })!);
  expect(Math.min(...spent)).toBeGreaterThan(0);
  expect(spent.reduce((a, b) => a + b)).toBeLessThan(paused('elapsed_seconds')!);

  steps = 0;
  const done = await trained('run', { resume: true }, look);
  const epochs = linesOf('run').filter(({ event }) => event === 'epoch');
  expect([done('epoch'), done('step'), done('steps_total'), done('restarts_total', { reason: 'paused' })]).toEqual([3, 9, 6, 1]);
  const best = Math.max(...epochs.map(({ validation }) => validation.pooled.jaccard));
  expect(done('best_validation_jaccard_ratio')).toBe(best);
  expect(done('run_state', { state: 'succeeded' })).toBe(1);
  expect(done('checkpoint_step')).toBe(9);
  if (hasPrometheus()) expect(promtoolFindings(done.text)).toBe('');
});

test('a loss that is no number: the last scrape tells of it', async () => {
  await trained('diverged', { untilEpoch: 1 }, () => {});
  const { state, position } = await newestCheckpoint(at('diverged'));
  (state.get('head/bias')!.data as Float32Array)[0] = Number.NaN;
  await writeCheckpoint(at('diverged'), 'small', state, position);
  let last: Read | undefined;
  const again = trained('diverged', { resume: true }, read => {
    last = read;
  });
  await expect(again).rejects.toMatchObject({ code: 'diverged' });
  const failures = last!('run_failures_total', { code: 'diverged' });
  expect([last!('nonfinite_total'), failures, last!('run_state', { state: 'failed' })]).toEqual([1, 1, 1]);
  expect(last!('checkpoint_failures_total')).toBe(0);
});

test('checkpoints in object storage that refuses the second one: requests, errors, and the failure', async () => {
  setCredentials();
  await using server = await startS3Server();
  vi.stubEnv('AWS_ENDPOINT_URL_S3', server.url);
  const isManifest = ({ method, key }: Seen) => method === 'PUT' && key.includes('manifests/');
  server.fault = seen =>
    isManifest(seen) && server.requests.filter(isManifest).length > 1 ? { status: 403, code: 'AccessDenied' } : undefined;
  let last: Read | undefined;
  const failing = trained('s3', { settings: ['checkpoint.url=s3://bucket/run'] }, read => {
    last = read;
  });
  await expect(failing).rejects.toMatchObject({ code: 'notAllowed', details: { checkpoint: 6 } });
  vi.unstubAllEnvs();
  const failures = last!('run_failures_total', { code: 'notAllowed' });
  expect([last!('checkpoint_failures_total'), failures, last!('checkpoints_total'), last!('checkpoint_step')]).toEqual([1, 1, 1, 3]);
  expect(last!('s3_requests_total', { operation: 'put', outcome: 'refused' })).toBe(1);
  const told = ['get', 'put', 'list', 'delete'].map(operation => last!('s3_request_duration_seconds_count', { operation }) ?? 0);
  expect(told.reduce((a, b) => a + b)).toBe(server.requests.length);
});

test('many workers: `train --metrics-port 0` says where, and waits at the end for who has scraped', async () => {
  writeJob(folder, sharedJob('data', 2), 'shared.yaml');
  const reads: (Read & { text: string })[] = [];
  let url = '';
  let scraping = Promise.resolve();
  await using collector = await startCollector();
  await using mlflow = await startMemoryMlflow();
  const trackers = ['--tensorboard', '--mlflow', mlflow.url];
  const { code, stderr } = await segfleet(
    ['train', at('shared.yaml'), '--out', at('shared'), '--workers', '2', '--metrics-port', '0', ...trackers, '--json'],
    {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: 'training' },
      onLine: line => {
        const event = JSON.parse(line);
        if (event.event === 'metrics') url = event.url;
        if (!['step', 'epoch', 'done'].includes(event.event)) return;
        scraping = scraping.then(async () => void reads.push(await scrape(url)));
      },
    },
  );
  await scraping;
  expect([code, stderr]).toEqual([0, '']);
  const last = reads.at(-1)!;
  expect(last('run_state', { state: 'succeeded' })).toBe(1);
  expect([last('workers_planned'), last('step'), last('epoch')]).toEqual([2, 6, 3]);
  const during = reads.filter(read => read('run_state', { state: 'training' }) === 1);
  expect(during.at(-1)!('workers')).toBe(2);
  expect(during.at(-1)!('generation')!).toBeGreaterThan(0);
  for (const phase of ['exchange', 'commit', 'apply']) expect(last('phase_seconds_total', { phase })!).toBeGreaterThan(0);

  const events = readEventFiles(at('shared', 'tensorboard'));
  const told = linesOf('shared');
  const losses = told.filter(({ event }) => event === 'step').map(({ step, loss }) => [step, Math.fround(loss)]);
  expect(scalarsIn(events)['loss/batch']).toEqual(losses);
  const jaccards = told
    .filter(({ event }) => event === 'epoch')
    .map(({ step, validation }) => [step, Math.fround(validation.pooled.jaccard)]);
  expect(scalarsIn(events)['validation/jaccard']).toEqual(jaccards);
  const { runId } = JSON.parse(readFileSync(at('shared', 'mlflow.json'), 'utf8'));
  const { run, metrics } = await readMlflow(mlflow.url, runId);
  expect([run.info.status, metrics]).toEqual(['FINISHED', expect.arrayContaining(told.flatMap(event => metricsOf(event)))]);
  const rows = readFileSync(at('shared', 'steps.csv'), 'utf8').trim().split('\n').slice(1);
  expect(rows.map(row => row.split(',').slice(0, 3).map(Number))).toEqual(
    told.filter(({ event }) => event === 'step').map(({ step, epoch, loss }) => [step, epoch, loss]),
  );

  expect(collector.faults).toEqual([]);
  const named = Map.groupBy(collector.spans, ({ name }) => name);
  const count = (name: string) => named.get(name)?.length;
  expect([count('step'), count('validation'), count('checkpoint'), count('run')]).toEqual([6, 3, 3, 1]);
  const steps = new Map(named.get('step')!.map(span => [span.spanId, span]));
  for (const phase of ['data', 'compute', 'exchange', 'commit', 'apply']) {
    for (const span of named.get(phase)!) {
      const step = steps.get(span.parentSpanId!)!;
      expect([span.traceId, span.start >= step.start - 1, span.end <= step.end + 1]).toEqual([step.traceId, true, true]);
    }
    expect(new Set(named.get(phase)!.map(({ parentSpanId }) => parentSpanId)).size).toBe(6);
  }
  expect(named.get('run')![0]).toMatchObject({ attributes: { 'segfleet.run': 'small' }, resource: { 'service.name': 'training' } });

  const images = events.flatMap(({ summary }) => summary?.value ?? []).filter(({ image }) => image);
  expect(images.map(({ tag, image }) => [tag, Buffer.from(image!.encodedImageString)])).toEqual(
    ['best', 'median', 'worst'].map(name => [`overlay/${name}`, readFileSync(at('shared', 'overlays', `${name}.png`))]),
  );
});

test.each([
  ['x', /^error: --metrics-port x: host:port is expected/],
  ['127.0.0.1:99999', /host:port is expected/],
])('--metrics-port %s is refused before anything begins', async (port, sentence) => {
  const { code, stderr } = await segfleet(['train', at('job.yaml'), '--out', at('refused'), '--metrics-port', port]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(sentence)]);
  expect(existsSync(at('refused'))).toBe(false);
});
