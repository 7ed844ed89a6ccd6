/**
 * Makes test/fixtures/statistics.json: what scipy and statsmodels answer to test/tools/statisticsCase.ts.
 * `npm run fixtures:statistics` installs them into a cached environment first.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { holmCases, intervalCases, signedRankCases } from '../tools/statisticsCase.ts';
import { statisticsPython } from './peers.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-statistics-'));
const spec = join(folder, 'spec.json');
writeFileSync(spec, JSON.stringify({ signedRank: signedRankCases, intervals: intervalCases, holm: holmCases }));
const script = new URL('peers/statistics_golden.py', import.meta.url).pathname;
const python = await statisticsPython();
const answers = JSON.parse(execFileSync(python, [script, spec], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }));
const fixture = { madeBy: 'npm run fixtures:statistics', ...answers };
writeFileSync(new URL('../fixtures/statistics.json', import.meta.url), `${JSON.stringify(fixture, null, 2)}\n`);
rmSync(folder, { recursive: true });
console.log(fixture);
