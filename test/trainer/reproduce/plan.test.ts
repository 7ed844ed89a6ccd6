/**
 * What is planned for the paper's tables adds up to the paper's trainings; tiers are told wherever numbers are.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findCases } from '../../../trainer/data/cases.ts';
import { type CellOptions, type Group, readGroups } from '../../../trainer/reproduce/cells.ts';
import { planReproduction } from '../../../trainer/reproduce/reproduce.ts';
import { writeSubset } from '../../../trainer/reproduce/subset.ts';
import { gridOf, readSpace } from '../../../trainer/search/space.ts';
import { inputSizeOf } from '../../../trainer/spec.ts';
import { jobOf } from '../../../trainer/sweep/cells.ts';
import { drawDataSet } from '../../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-plan-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The job of each cell of a group. */
const jobsOf = ({ sweep }: Group) =>
  gridOf(readSpace(sweep.spec.parameters, sweep.spec.base.spec)).map((values, i) => jobOf(sweep, values, i, 1, { threads: 2 }).job);

const options = (inputs: string[], more: Partial<CellOptions> = {}): CellOptions => ({
  inputs,
  tier: 'full',
  data: new Map(),
  settings: [],
  out: join(folder, 'out'),
  ...more,
});

describe('at full size', () => {
  test('the tables are 213 trainings: 72 + 15 + 3 + 120 + 3, what two tables share counted once', async () => {
    const plan = await planReproduction(options(['table1', 'table2', 'table3', 'table4']));
    expect(plan.experiments).toEqual([
      { name: 'table1', cells: 25, runs: 72 + 3, reused: 0 },
      { name: 'table2', cells: 7, runs: 15, reused: 3 + 3 },
      { name: 'table3', cells: 36, runs: 120, reused: 0 },
      { name: 'table4', cells: 1, runs: 3, reused: 0 },
    ]);
    expect(plan).toMatchObject({ runs: 213, changes: [], title: "Tier full: the paper's size and number of runs" });
    expect(plan.groups.every(({ runs, paperRuns, done }) => runs === paperRuns && done === 0)).toBe(true);
  });

  test('figures need the cells of Table 3, or none', async () => {
    const plan = await planReproduction(options(['fig1', 'fig2', 'fig3', 'table3']));
    expect(plan.experiments.map(({ name, runs, reused }) => [name, runs, reused])).toEqual([
      ['fig1', 0, 0],
      ['fig2', 36, 0],
      ['fig3', 60, 0],
      ['table3', 24, 96],
    ]);
  });

  test('the cells of Tables 1 and 2 are those of the paper: omega and epsilon at gamma 0.1, then gamma, and the Dice loss', async () => {
    const groups = await readGroups(options(['table1', 'table2']));
    expect(groups.map(({ name, askedBy }) => [name, ...askedBy])).toEqual([
      ['paper-table1', 'table1'],
      ['isic2018-focusnet-dl-baseline', 'table1', 'table2'],
      ['paper-table2', 'table2'],
    ]);
    const [table1, baseline, table2] = groups.map(jobsOf);
    const allOf = (jobs: typeof table1) =>
      jobs.map(({ spec: { loss } }) => (loss.name === 'adaptiveLog' ? [loss.epsilon, loss.omega, loss.gamma] : []));
    expect(allOf(table1)).toEqual([0.3, 0.5, 1, 2].flatMap(epsilon => [6, 8, 10, 12, 14, 16].map(omega => [epsilon, omega, 0.1])));
    expect(allOf(table2)).toEqual([0.08, 0.1, 0.12, 0.15, 0.2, 0.3].map(gamma => [0.5, 10, gamma]));
    expect(baseline.map(({ spec }) => spec.loss)).toEqual([{ name: 'dice', smooth: 1, pool: 'batch', classes: 'sum' }]);
    for (const { spec, metadata } of [...table1, ...baseline, ...table2]) {
      expect(spec).toMatchObject({ seed: 1, model: { name: 'focusnet' }, training: { epochs: 50, batch: 16 } });
      expect(metadata.name.length).toBeLessThanOrEqual(63);
    }
    expect(groups[1].cells[0].places.map(({ table, parameters }) => [table, parameters])).toEqual([
      ['1', undefined],
      ['2', undefined],
    ]);
    expect(groups[0].cells[8].places[0].parameters).toEqual({ epsilon: 0.5, omega: 10, gamma: 0.1 });
    // The cell that both tables have is one training.
    expect(groups[2].trainings.map(training => groups[0].trainings.indexOf(training))).toEqual([-1, 8, -1, -1, -1, -1]);
  });

  test('anything that is set is told: the numbers are not the paper’s any more', async () => {
    const plan = await planReproduction(options(['table4'], { settings: ['training.epochs=2'], runs: 1 }));
    expect(plan).toMatchObject({
      title: "Tier full, with changes: NOT the paper's experiments",
      changes: ['set: training.epochs=2', 'runs of a cell: 1'],
      runs: 1,
    });
  });
});

describe('reduced', () => {
  test.each([
    // Both have U-Net on ISIC 2018 at one size: the Dice loss, and ALL at omega 10 and epsilon 0.5, are in Tables 1 and 3.
    ['smoke', 25, 18 - 2, 1],
    ['reduced', 50, 48 - 2 * 2, 3],
  ] as const)('%s: fewer runs of smaller jobs, and U-Net alone', async (tier, search, table3, table4) => {
    const plan = await planReproduction(options(['table1', 'table3', 'table4'], { tier }));
    expect(plan.experiments.map(({ runs }) => runs)).toEqual([search, table3, table4]);
    expect(plan.title).toMatch(new RegExp(`^Tier ${tier}: NOT the paper's size`));
    for (const group of await readGroups(options(['table1', 'table3', 'table4'], { tier }))) {
      for (const { spec } of jobsOf(group)) {
        expect(spec.model).toMatchObject({ name: 'unet', width: 16 });
        expect(inputSizeOf(spec.data).width).toBeLessThanOrEqual(64);
        expect(spec.training.epochs).toBeLessThanOrEqual(30);
        expect(spec.data.path).toMatch(new RegExp(`data/${group.dataset}-\\d+\\.csv$`));
      }
      expect(group.runs).toBeLessThanOrEqual(group.paperRuns);
      expect(group.sweep.spec.replicates.count).toBe(group.runs);
    }
  });

  test('what is set by hand comes after the tier', async () => {
    const settings = ['isic2018:training.epochs=7', 'drive:training.epochs=9'];
    const [group] = await readGroups(options(['table4', 'table3'], { tier: 'smoke', settings }));
    expect(jobsOf(group)[0].spec.training.epochs).toBe(7);
  });

  test('draws the same images every time, and names them where they lie', async () => {
    await drawDataSet(join(folder, 'set'), 10, 16, 16);
    const file = join(folder, 'elsewhere', 'few.csv');
    await writeSubset(join(folder, 'set'), file, 4);
    const few = await findCases(file);
    const all = await findCases(join(folder, 'set'));
    expect(few).toHaveLength(4);
    for (const one of few) expect(all.find(({ id }) => id === one.id)).toMatchObject({ image: one.image, mask: one.mask });
    const first = readFileSync(file, 'utf8');
    await writeSubset(join(folder, 'set'), file, 4);
    expect(readFileSync(file, 'utf8')).toBe(first);
    await writeSubset(join(folder, 'set'), file, 99);
    expect(await findCases(file)).toHaveLength(10);
  });
});

describe('refused before anything is trained', () => {
  const job = (name: string, loss: string) => `apiVersion: segfleet.dev/v1alpha1
kind: TrainingJob
metadata: { name: ${name}, labels: { segfleet.dev/table: "3", segfleet.dev/dataset: isic2018 } }
spec: { data: { path: x }, model: { name: unet }, loss: { name: ${loss} } }
`;
  const write = (file: string, text: string) => {
    mkdirSync(join(folder, 'jobs'), { recursive: true });
    writeFileSync(join(folder, 'jobs', file), text);
    return join(folder, 'jobs', file);
  };

  test('two jobs of one name that differ; the same one twice is one cell', async () => {
    const [a, b, c] = [write('a.yaml', job('same', 'dice')), write('b.yaml', job('same', 'jaccard')), write('c.yaml', job('same', 'dice'))];
    await expect(readGroups(options([a, b]))).rejects.toThrow(
      /a\.yaml and .*b\.yaml have different jobs of the same name, same; give one of them another/,
    );
    expect(await readGroups(options([a, c]))).toHaveLength(1);
  });

  test('a sweep without the labels of a table', async () => {
    const text = readFileSync(new URL('../../../examples/paper/table1.yaml', import.meta.url), 'utf8').replace(/^ {2}labels:.*\n/m, '');
    await expect(readGroups(options([write('sweep.yaml', text)]))).rejects.toThrow(
      /sweep\.yaml is no cell of the paper's tables: it needs the labels/,
    );
  });

  test('images that lie in shards cannot be drawn', async () => {
    await expect(writeSubset('s3://bucket/isic', join(folder, 'x.csv'), 4)).rejects.toThrow(
      's3://bucket/isic lies in shards, of which no tier draws',
    );
  });

  test('a folder of none, and what is not there', async () => {
    mkdirSync(join(folder, 'empty'), { recursive: true });
    await expect(readGroups(options([join(folder, 'empty')]))).rejects.toThrow('holds no job file (.yaml)');
    await expect(readGroups(options(['table5']))).rejects.toThrow('table5: no such file or folder');
  });
});
