/**
 * The paper's jobs, small: one command trains several, goes on where it stopped, and fills the tables. Real processes.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventsOf, segfleet } from '../tools/cli.ts';
import { drawDataSet } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-reproduce-'));
const at = (...parts: string[]) => join(folder, ...parts);
const paper = fileURLToPath(new URL('../../examples/paper', import.meta.url));
const arguments_ = [
  ...['reproduce', at('jobs'), '--out', at('out'), '--data', `isic2018=${at('data')}`, '--data', `drive=${at('data')}`],
  ...['training.epochs=1', 'training.batch=4', 'training.threads=2', 'data.size={height: 16, width: 16}', 'unet:model.width=16'].flatMap(
    setting => ['--set', setting],
  ),
  ...['--set', 'drive:data.patches={height: 16, width: 16, perImage: 1}', '--set', 'adaptiveLog:data.split={validation: 2, test: 2}'],
];

const rowsOf = (out: string): Record<string, string>[] => parse(readFileSync(at(out, 'tables.csv'), 'utf8'), { columns: true });

beforeAll(async () => {
  await drawDataSet(at('data'), 10, 24, 20);
  mkdirSync(at('jobs'));
  for (const name of ['table3-isic2018-unet-ji', 'table3-drive-unet-dl', 'table4-isic2018-focusnet-all'])
    copyFileSync(join(paper, `${name}.yaml`), at('jobs', `${name}.yaml`));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('one command trains all cells and writes the tables; what fails is told at the end', async () => {
  // First Table 4's cell cannot: it asks for more test images than there are.
  const first = await segfleet([...arguments_, '--runs', '1', '--set', 'focusnet:data.split={validation: 2, test: 8}']);
  expect(first.code).toBe(9);
  expect(first.stderr).toMatch(
    /^error: 1 of 3 trainings failed, the first of them table4-isic2018-focusnet-all, seed 1: data.split holds out 2 cases for validation and 8 for the test/,
  );
  expect(first.stdout).toContain('[3/3] table4-isic2018-focusnet-all, seed 1: failed, data.split holds out');
  const rows = rowsOf('out');
  expect(
    rows.find(({ method, dataset, metric }) => method === 'U-Net (JI)' && dataset === 'isic2018' && metric === 'jaccard'),
  ).toMatchObject({
    ...{ tier: 'full, changed', table: '3', aggregation: 'pooled', runs: '1', sd: '', paper: '72.96', paper_runs: '3', within_noise: '' },
    value: expect.stringMatching(/^[\d.]+$/),
    difference: expect.stringMatching(/^-?[\d.]+$/),
  });
  expect(rows.filter(({ table }) => table === '4').map(({ value, runs }) => value + runs)).toEqual(new Array(6).fill(''));
});

test('started again it does what is missing, and only that', async () => {
  const record = at('out', 'table3-drive-unet-dl', 'seed-1', 'run.json');
  const { mtimeMs } = statSync(record);
  const second = await segfleet([...arguments_, '--runs', '1', '--json']);
  expect(second).toMatchObject({ code: 0, stderr: '' });
  const events = eventsOf(second) as unknown as {
    event: string;
    status: string;
    name: string;
    tables: { rows: [string, { runs: number; mean: number }[]][] }[];
  }[];
  const ended = events.filter(({ event, status }) => event === 'cell' && status !== 'begins');
  expect(ended.map(({ name, status }) => `${name}: ${status}`)).toEqual([
    'table3-drive-unet-dl, seed 1: done before',
    'table3-isic2018-unet-ji, seed 1: done before',
    'table4-isic2018-focusnet-all, seed 1: done',
  ]);
  expect(statSync(record).mtimeMs).toBe(mtimeMs);
  const tables = events.find(({ event }) => event === 'tables')!;
  expect(tables.tables[2].rows[0][0]).toBe('FocusNet (ALL)');
  expect(tables.tables[2].rows[0][1].map(({ runs, mean }) => [runs, mean >= 0 && mean <= 1])).toEqual(new Array(3).fill([1, true]));
  const markdown = readFileSync(at('out', 'tables.md'), 'utf8');
  expect(markdown).toContain('## Table 4, pooled over all pixels');
  expect(markdown).toContain('3 of 3 trainings.');
  // Table 4 is of the test part: the run was evaluated on it.
  const scores = JSON.parse(
    readFileSync(at('out', 'table4-isic2018-focusnet-all', 'seed-1', 'evaluation', 'best', 'test', 'scores.json'), 'utf8'),
  );
  expect(scores).toMatchObject({ part: 'test', scores: { images: 2 } });
});

test.each<[string, string[], number, RegExp]>([
  [
    'a job that is no cell',
    ['nuclei.yaml'],
    2,
    /^error: .*nuclei.yaml is no cell of the paper's tables: it needs the labels segfleet.dev\/table/,
  ],
  [
    'a data set that no job has',
    ['jobs', '--data', 'isic=x'],
    2,
    /^error: --data isic=...: no job has that data set; known are drive, isic2018$/,
  ],
  ['data without a name', ['jobs', '--data', 'x'], 2, /^error: --data x: name=path is expected/],
  [
    'a setting for nobody',
    ['jobs', '--set', 'vnet:model.width=16'],
    2,
    /^error: --set vnet:...: no job has that data set, network or loss; known are /,
  ],
  [
    'a setting that is none',
    ['jobs', '--set', 'training.epocs=1'],
    2,
    /^error: --set: unknown field training.epocs; did you mean epochs\?$/,
  ],
  ['a folder without jobs', ['data'], 2, /^error: .*data holds no job file \(.yaml\)/],
  ['jobs that are not there', ['nothing'], 4, /^error: .*nothing: no such file or folder$/],
])('%s is refused before anything is trained', async (_, [jobs, ...rest], code, sentence) => {
  const file = jobs.endsWith('.yaml') ? join(paper, '..', jobs) : at(jobs);
  const result = await segfleet(['reproduce', file, '--out', at('refused'), ...rest]);
  expect(result.stderr.trim()).toMatch(sentence);
  expect(result.code).toBe(code);
});

test('a training that ended before its first checkpoint is begun again, one that is under way in another process is left alone', async () => {
  const run = at('begun', 'table3-drive-unet-dl', 'seed-1');
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, 'run.json'), JSON.stringify({ status: 'running' }));
  writeFileSync(join(run, '.lock'), String(process.pid));
  const again = arguments_.map(argument =>
    argument === at('out') ? at('begun') : argument === at('jobs') ? at('jobs', 'table3-drive-unet-dl.yaml') : argument,
  );
  const single = again.filter(
    (argument, i) => !/^(isic2018=|adaptiveLog:)/.test(argument) && !/^(isic2018=|adaptiveLog:)/.test(again[i + 1] ?? ''),
  );
  const busy = await segfleet([...single, '--runs', '1']);
  expect(busy.code).toBe(9);
  expect(busy.stderr).toMatch(/process \d+ is writing to /);
  rmSync(join(run, '.lock'));
  expect(await segfleet(single)).toMatchObject({ code: 0, stderr: '' });
  // Table 3 averages two runs of DRIVE.
  expect(rowsOf('begun').map(({ runs, sd }) => [runs, Number(sd) >= 0])).toEqual(new Array(6).fill(['2', true]));
});

test('a sweep becomes a grid with its baseline, figures their curves with certified areas, and all say that they are not of the full size', async () => {
  const sweep = readFileSync(join(paper, 'table1.yaml'), 'utf8')
    .replace('[0.3, 0.5, 1, 2]', '[0.5]')
    .replace('[6, 8, 10, 12, 14, 16]', '[6, 10]');
  writeFileSync(at('sweep.yaml'), sweep);
  const tiny = ['training.epochs=1', 'data.size={height: 16, width: 16}', 'training.threads=2'].flatMap(setting => ['--set', setting]);
  const out = (...parts: string[]) => at('figures', ...parts);
  const result = await segfleet([
    ...['reproduce', at('sweep.yaml'), 'fig1', 'fig2', '--tier', 'smoke', '--data', `isic2018=${at('data')}`],
    ...['--out', out(), ...tiny],
  ]);
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(result.stdout).toContain("Table 1, pooled over all pixels. Tier smoke: NOT the paper's size");
  expect(result.stdout).toMatch(/Figure 2, U-Net\. Tier smoke: NOT the paper's size.*[\s\S]*U-Net \(ALL\)/);
  expect(result.stdout).toContain('In 3 of 3 trainings with ALL no step was in its logarithmic branch');
  const rows = rowsOf('figures').filter(({ aggregation }) => aggregation === 'pooled');
  expect(rows.map(({ tier, method, epsilon, omega, runs, paper }) => [tier, method, epsilon, omega, runs, paper].join(' '))).toEqual([
    'smoke FocusNet (ALL) 0.5 6 1 81.97',
    'smoke FocusNet (ALL) 0.5 10 1 82.43',
    'smoke FocusNet (DL)   1 80.27',
    ...['JI', 'DL', 'TL', 'FL', 'CL', 'ALL'].flatMap(loss => new Array(3).fill(expect.stringContaining(`smoke U-Net (${loss})`))),
  ]);
  const areas: Record<string, string>[] = parse(readFileSync(out('fig2-unet-areas.csv'), 'utf8'), { columns: true });
  expect(areas).toHaveLength(6);
  for (const { auc, half_width, note } of areas) {
    expect(Number(auc)).toBeGreaterThan(0);
    expect(Number(half_width)).toBeGreaterThanOrEqual(0);
    expect(note).toBe('tier smoke');
  }
  const curve: Record<string, string>[] = parse(readFileSync(out('fig2-unet.csv'), 'utf8'), { columns: true });
  for (const end of ['0', '1'])
    expect(curve.filter(point => point.false_positive_rate === end && point.true_positive_rate === end)).toHaveLength(6);
  for (const file of ['fig1.svg', 'fig1-measured.svg', 'fig2-unet.svg']) expect(readFileSync(out(file), 'utf8')).toMatch(/^<svg /);
  expect(readFileSync(out('tables.md'), 'utf8')).toContain('## Convergence');
  // Checkpoints of runs that have ended serve nobody.
  expect(existsSync(out('isic2018-focusnet-dl', 'seed-1', 'checkpoints'))).toBe(false);
  expect(existsSync(out('isic2018-focusnet-dl', 'seed-1', 'weights', 'best.safetensors'))).toBe(true);
  // Other settings in the same folder would throw finished runs away: they are refused.
  const other = await segfleet(['reproduce', at('sweep.yaml'), '--tier', 'smoke', '--data', `isic2018=${at('data')}`, '--out', out()]);
  expect(other.code).toBe(9);
  expect(other.stderr).toMatch(/holds the run of another job, of an earlier reproduction with other settings; choose another --out/);
});
