/**
 * The paper's jobs, small: one command trains several, goes on where it stopped, and fills the tables. Real processes.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
    /^error: in 1 of 3 parts trainings failed, the first of them table4-isic2018-focusnet-all: data.split holds out 2 cases for validation and 8 for the test/,
  );
  expect(first.stdout).toContain('table4-isic2018-focusnet-all: failed, data.split holds out');
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
  const run = (job: string) => at('out', job, 'trials', '0000');
  const record = join(run('table3-drive-unet-dl'), 'run.json');
  const { mtimeMs } = statSync(record);
  const second = await segfleet([...arguments_, '--runs', '1', '--json']);
  expect(second).toMatchObject({ code: 0, stderr: '' });
  const events = eventsOf(second) as unknown as {
    event: string;
    group: string;
    groups: { name: string; done: number }[];
    told: { event: string; status?: string };
    tables: { rows: [string, { runs: number; mean: number }[]][] }[];
    notes: string[];
  }[];
  expect(events[0].groups.map(({ name, done }) => [name, done])).toEqual([
    ['table3-drive-unet-dl', 1],
    ['table3-isic2018-unet-ji', 1],
    ['table4-isic2018-focusnet-all', 0],
  ]);
  const begun = events.filter(({ event, told }) => event === 'progress' && told.event === 'run' && told.status === 'begins');
  expect(begun.map(({ group }) => group)).toEqual(['table4-isic2018-focusnet-all']);
  expect(statSync(record).mtimeMs).toBe(mtimeMs);
  const { tables, notes } = events.find(({ event }) => event === 'tables')!;
  expect(tables[2].rows[0][0]).toBe('FocusNet (ALL)');
  expect(tables[2].rows[0][1].map(({ runs, mean }) => [runs, mean >= 0 && mean <= 1])).toEqual(new Array(3).fill([1, true]));
  expect(notes[0]).toContain('3 of 3 trainings');
  expect(readFileSync(at('out', 'tables.md'), 'utf8')).toContain('## Table 4, pooled over all pixels');
  // Table 4 is of the test part: the run was evaluated on it.
  const scores = JSON.parse(readFileSync(join(run('table4-isic2018-focusnet-all'), 'evaluation', 'best', 'test', 'scores.json'), 'utf8'));
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
  expect(
    rows.map(({ tier, method, network, epsilon, omega, runs, paper }) => [tier, method, network, epsilon, omega, runs, paper].join(' ')),
  ).toEqual([
    'smoke FocusNet (ALL) U-Net 0.5 6 1 81.97',
    'smoke FocusNet (ALL) U-Net 0.5 10 1 82.43',
    'smoke FocusNet (DL) U-Net   1 80.27',
    ...['JI', 'DL', 'TL', 'FL', 'CL', 'ALL'].flatMap(loss => new Array(3).fill(expect.stringContaining(`smoke U-Net (${loss}) U-Net `))),
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
  // Table 2 asks for a cell that is there, and for a baseline that is there: nothing is trained.
  const shared = sweep.replace('paper-table1', 'paper-table2').replace('table: "1"', 'table: "2"').replace('[6, 10]', '[10]');
  writeFileSync(at('sweep2.yaml'), shared);
  const again = await segfleet([
    ...['reproduce', at('sweep2.yaml'), '--tier', 'smoke', '--data', `isic2018=${at('data')}`],
    ...['--out', out(), '--json', ...tiny],
  ]);
  expect(again).toMatchObject({ code: 0, stderr: '' });
  const told = (eventsOf(again) as unknown as { event: string; told: { event: string; status: string } }[])
    .filter(({ event, told }) => event === 'progress' && told.event === 'run')
    .map(({ told: { status } }) => status);
  expect(told).toEqual(['reused']);
  expect(
    rowsOf('figures')
      .filter(({ aggregation }) => aggregation === 'pooled')
      .map(({ table, runs, gamma }) => [table, runs, gamma]),
  ).toEqual([
    ['2', '1', '0.1'],
    ['2', '1', ''],
  ]);
  // What lies there of another size is never told as this one, also where this one cannot be done.
  const other = await segfleet([
    ...['reproduce', at('sweep2.yaml'), '--tier', 'smoke', '--data', `isic2018=${at('data')}`, '--out', out()],
    ...[...tiny, '--set', 'training.batch=100'],
  ]);
  expect(other.code).toBe(9);
  expect(rowsOf('figures').map(({ value, runs }) => value + runs)).toEqual(['', '', '', '']);
});
