/**
 * What Prometheus would read of a real sweep, at each of its events: from its journal, so the same from a process that drives it and from another.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseSweep } from '../../../trainer/sweep/sweepFile.ts';
import { cellStates } from '../../../trainer/tracking/catalogue.ts';
import { serveMetrics } from '../../../trainer/tracking/serveMetrics.ts';
import { SweepMetrics } from '../../../trainer/tracking/sweepMetrics.ts';
import { parseExposition, readSeries } from '../../tools/exposition.ts';
import { drawDataSet } from '../../tools/pictures.ts';
import { drive, toySweep } from '../sweep/toySweep.ts';
import { misbehaviour } from '../sweep/toyTrial.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-sweep-metrics-'));
const at = (...parts: string[]) => join(folder, ...parts);
beforeAll(() => drawDataSet(at('data'), 10, 16, 16));
afterAll(() => rmSync(folder, { recursive: true }));

test('trials and runs by state, from before the first one to after the end, and of a longer sweep from the start', async () => {
  const clip = (values: number[]) => ({ parameters: { 'training.clipNorm': { values } }, replicates: { count: 2 } });
  const text = toySweep(at('data'), clip([1, misbehaviour.diverges]));
  const later = () => new Date(Date.now() + 60_000);
  const metrics = new SweepMetrics(parseSweep(text, 'sweep.yaml'), at('sweep'), { now: later });
  const server = await serveMetrics('0', metrics);
  const scrape = async () => {
    const families = parseExposition(await (await fetch(`${server.url}/metrics`)).text());
    const read = (name: string, state?: string) => readSeries(families, `segfleet_${name}`, { sweep: 'toy', ...(state && { state }) });
    return { read, by: (name: string) => Object.fromEntries(cellStates.map(state => [state, read(name, state)])) };
  };
  const none = Object.fromEntries(cellStates.map(state => [state, 0]));
  try {
    expect((await scrape()).by('sweep_cells')).toEqual(none);
    let begun = 0;
    let seconds = 0;
    const { error } = await drive(text, at('sweep'), {}, async event => {
      if (event.event === 'start') begun++;
      const { read, by } = await scrape();
      // What is told is in the journal already, perhaps with more.
      expect(cellStates.reduce((sum, state) => sum + by('sweep_cells')[state]!, 0)).toBeGreaterThanOrEqual(begun);
      expect(cellStates.reduce((sum, state) => sum + by('sweep_runs')[state]!, 0)).toBeGreaterThanOrEqual(2 * begun);
      expect(read('sweep_seconds_total')!).toBeGreaterThanOrEqual(seconds);
      seconds = read('sweep_seconds_total')!;
      if (event.event === 'report') expect(read('sweep_last_event_age_seconds')!).toBeGreaterThan(59);
    });
    expect(error).toMatchObject({ code: 'partial' });
    const ended = await scrape();
    expect(ended.by('sweep_cells')).toEqual({ ...none, succeeded: 1, failed: 1 });
    expect(ended.by('sweep_runs')).toEqual({ ...none, succeeded: 2, failed: 2 });
    expect(ended.read('sweep_last_event_age_seconds')).toBe(0);

    await drive(toySweep(at('data'), clip([1])), at('sweep'));
    expect((await scrape()).by('sweep_cells')).toEqual({ ...none, succeeded: 1 });
  } finally {
    await server.close();
  }
});
