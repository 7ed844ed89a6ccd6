/**
 * Spans of a run, as a collector gets them over HTTP, and what becomes of them where there is none.
 */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { TrainEvent } from '../../../trainer/tracking/events.ts';
import { openSpans } from '../../../trainer/tracking/spans.ts';
import { RunTraces } from '../../../trainer/tracking/traces.ts';
import { type CollectedSpan, startCollector } from '../../tools/otlpCollector.ts';
import { freePort } from '../../tools/ports.ts';

const began = Date.parse('2026-11-26T12:00:00Z');
const phases = { exchange: 0.25, commit: 0.125, apply: 0.0625 };
const step = (of: number, more = {}) => ({
  ...{ event: 'step', step: of, epoch: 1, loss: 0.5, gradientNorm: 1, learningRate: 1, images: 8, seconds: 1, waitSeconds: 0.5, ...more },
});
const epoch = { event: 'epoch', epoch: 1, step: 2, validation: { pooled: { jaccard: 0.75 } } };
/** With when it is told, in seconds. */
const told: readonly (readonly [number, object])[] = [
  [0, { event: 'start' }],
  [10, step(1)],
  [12, step(2, { phases })],
  [12.5, { event: 'checkpoint', step: 2, epoch: 1, bytes: 100, seconds: 0.25 }],
  [15, epoch],
  [16, { event: 'checkpoint', step: 2, epoch: 1 }],
];

function tell(traces: RunTraces, clock: { seconds: number }): void {
  for (const [seconds, event] of told) {
    clock.seconds = seconds;
    traces.take(event as TrainEvent);
  }
}

const collected = async (env: NodeJS.ProcessEnv, error?: string) => {
  const problems: string[] = [];
  const spans = (await openSpans({ env, onProblem: problem => problems.push(problem) }))!;
  const clock = { seconds: 0 };
  const traces = new RunTraces(spans, 'small', { now: () => new Date(began + 1000 * clock.seconds) });
  tell(traces, clock);
  await traces.close({ error });
  return problems;
};

test('a trace a step with its phases one after the other; validation without the checkpoint in it; the run with how it failed', async () => {
  await using collector = await startCollector();
  expect(await collected({ OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` }, 'the disk is full')).toEqual([]);
  expect(collector.faults).toEqual([]);
  const { spans } = collector;
  const at = ({ start, end }: CollectedSpan) => [start - began, end - began];
  const roots = spans.filter(({ parentSpanId }) => !parentSpanId).sort((a, b) => a.end - b.end);
  expect(roots.map(root => [root.name, ...at(root)])).toEqual([
    ['step', 9000, 10_000],
    ['step', 11_000, 12_000],
    ['checkpoint', 12_250, 12_500],
    ['validation', 12_250, 15_000], // 250 ms of what followed the step were a checkpoint
    ['run', 0, 16_000],
  ]);
  expect(new Set(roots.map(({ traceId }) => traceId)).size).toBe(5);
  const childrenOf = (root: CollectedSpan) =>
    spans
      .filter(({ parentSpanId, traceId }) => parentSpanId === root.spanId && traceId === root.traceId)
      .sort((a, b) => a.start - b.start || a.end - b.end);
  expect(childrenOf(roots[0]).map(child => [child.name, ...at(child)])).toEqual([
    ['data', 9000, 9500],
    ['compute', 9500, 10_000],
  ]);
  // compute: 1 s less 0.5 of waiting for data and 0.4375 of the other phases
  expect(childrenOf(roots[1]).map(child => [child.name, ...at(child)])).toEqual([
    ['data', 11_000, 11_500],
    ['compute', 11_500, 11_562],
    ['exchange', 11_562, 11_812],
    ['commit', 11_812, 11_937],
    ['apply', 11_937, 12_000],
  ]);
  expect(roots[1].attributes).toEqual({
    ...{ 'segfleet.run': 'small', 'segfleet.step': 2, 'segfleet.epoch': 1, 'segfleet.loss': 0.5, 'segfleet.images': 8 },
  });
  expect(roots[3].attributes).toMatchObject({ 'segfleet.epoch': 1, 'segfleet.jaccard': 0.75 });
  expect([roots[4].error, roots[4].resource['service.name']]).toEqual(['the disk is full', 'segfleet']);
});

test('of the traces a share, where the environment says so', async () => {
  await using collector = await startCollector();
  const env = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces`, OTEL_TRACES_SAMPLER: 'parentbased_traceidratio' };
  await collected({ ...env, OTEL_TRACES_SAMPLER_ARG: '0' });
  expect(collector.spans).toEqual([]);
  await collected({ ...env, OTEL_TRACES_SAMPLER_ARG: '1' });
  expect(collector.spans).toHaveLength(12); // 5 roots, 2 phases and 5
});

test('a collector that is not there is said once, and holds nobody up', async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const started = performance.now();
  const problems = await collected({ OTEL_EXPORTER_OTLP_ENDPOINT: url });
  expect(problems).toEqual([
    expect.stringMatching(/^the collector of traces at \S+\/v1\/traces takes none \(.*\): spans are lost, all else goes on$/),
  ]);
  expect(performance.now() - started).toBeLessThan(9000);
});

test('what is no address is refused; what switches spans off does', async () => {
  const open = (env: NodeJS.ProcessEnv) => openSpans({ env, onProblem: () => {} });
  await expect(open({ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4317' })).rejects.toThrow(
    'OTEL_EXPORTER_OTLP_ENDPOINT collector:4317: an address such as http://127.0.0.1:4318 is expected; give one, or unset it',
  );
  const on = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };
  expect(await open({ ...on, OTEL_SDK_DISABLED: 'true' })).toBeUndefined();
  expect(await open({ ...on, OTEL_TRACES_EXPORTER: 'none' })).toBeUndefined();
  expect(await open({})).toBeUndefined();
});

test('where nobody has asked for them, nothing of their library is loaded', () => {
  const script = `const { registerHooks } = await import('node:module');
    let loaded = 0;
    registerHooks({ load(url, context, next) { if (url.includes('opentelemetry')) loaded++; return next(url, context); } });
    const { openSpans } = await import(process.argv[1]);
    const before = loaded;
    await openSpans({ onProblem() {}, env: {} });
    const off = loaded - before;
    await (await openSpans({ onProblem() {}, env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' } })).close();
    console.log(JSON.stringify([before, off, loaded > 10]));`;
  const spans = new URL('../../../trainer/tracking/spans.ts', import.meta.url).href;
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', script, spans], { encoding: 'utf8' });
  expect(JSON.parse(said)).toEqual([0, 0, true]);
});
