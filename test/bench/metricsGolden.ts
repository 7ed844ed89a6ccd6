/**
 * Makes test/fixtures/metrics.json: what SciPy, scikit-image, scikit-learn, MONAI and Keras say of the cases in test/tools/metricsCase.ts.
 * `npm run fixtures:metrics` installs them into the cache first.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { numCalibrationBins } from '../../trainer/metrics/calibration.ts';
import { boundaryTolerance } from '../../trainer/metrics/surface.ts';
import { batchSize, commonSize, digestOfCases, metricsCases } from '../tools/metricsCase.ts';
import { metricsPython } from './peers.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-metrics-'));
const cases = metricsCases();
const spec = {
  tolerance: boundaryTolerance,
  bins: numCalibrationBins,
  batchSize,
  commonSize: [commonSize.height, commonSize.width],
  cases: cases.map(({ name, size, predicted, truth, logits }) => ({
    name,
    ...size,
    predicted: [...predicted],
    truth: [...truth],
    logits: [...logits],
  })),
};
const input = join(folder, 'spec.json');
writeFileSync(input, JSON.stringify(spec));
const script = new URL('peers/metrics_golden.py', import.meta.url).pathname;
const result = JSON.parse(
  execFileSync(await metricsPython(), [script, input], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 2 ** 26 }),
);
const fixture = { madeBy: 'npm run fixtures:metrics', inputs: digestOfCases(cases), ...result };
writeFileSync(new URL('../fixtures/metrics.json', import.meta.url), `${JSON.stringify(fixture, null, 1)}\n`);
rmSync(folder, { recursive: true });
console.log(fixture.versions);
