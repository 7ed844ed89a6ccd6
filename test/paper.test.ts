/**
 * The jobs and sweeps of examples/paper are those that the script makes, and they say what the paper says.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { sweepFileSchema, sweepSpecSchema } from '../trainer/search/sweepSpec.ts';
import { loadJob } from '../trainer/spec.ts';
import { loadSweep } from '../trainer/sweep/sweepFile.ts';
import { paperJobs } from './tools/makePaperJobs.ts';

const folder = fileURLToPath(new URL('../examples/paper', import.meta.url));
const files = readdirSync(folder).filter(name => name.endsWith('.yaml'));
const [sweepFiles, jobFiles] = [/^table[12]\.yaml$/, /^table[34]-/].map(kind => files.filter(file => kind.test(file)));
const jobs = jobFiles.map(file => loadJob(join(folder, file)).job);

test('made again, the files are the same (`node test/tools/makePaperJobs.ts` writes them)', () => {
  expect(files.sort()).toEqual([...paperJobs().keys()].sort());
  for (const [name, text] of paperJobs()) expect([name, readFileSync(join(folder, name), 'utf8')]).toEqual([name, text]);
});

test('there are the 36 of Table 3, twelve a data set, and the own one of Table 4', () => {
  const keys = jobs.map(({ metadata, spec }) => [
    metadata.labels!['segfleet.dev/table'],
    metadata.labels!['segfleet.dev/dataset'],
    spec.model.name,
    spec.loss.name,
  ]);
  const table3 = ['drive', 'dsb2018', 'isic2018'].flatMap(set =>
    ['focusnet', 'unet'].flatMap(model =>
      ['adaptiveLog', 'combo', 'dice', 'focal', 'jaccard', 'tversky'].map(loss => ['3', set, model, loss].join(' ')),
    ),
  );
  expect(keys.map(key => key.join(' ')).sort()).toEqual([...table3, '4 isic2018 focusnet adaptiveLog'].sort());
  // 12 rows x (3 + 5 + 2) runs, and 3 of Table 4.
  expect(jobs.reduce((sum, { metadata }) => sum + Number(metadata.annotations!['segfleet.dev/runs']), 0)).toBe(123);
});

test('all follow the protocol: Adam at 1e-4, batch 16, 50 epochs, no augmentation, 80:20; DRIVE on patches; Table 4 by its own split', () => {
  for (const { metadata, spec } of jobs) {
    const { training, data } = spec;
    expect(training).toMatchObject({
      batch: 16,
      epochs: 50,
      optimizer: { name: 'adam', learningRate: 1e-4 },
      schedule: { name: 'constant' },
    });
    expect([data.augmentation, training.earlyStopping, training.clipNorm]).toEqual([undefined, undefined, undefined]);
    const isTable4 = metadata.labels!['segfleet.dev/table'] === '4';
    expect(data.split).toMatchObject(isTable4 ? { validation: 292, test: 649 } : { validation: 0.2, test: 0 });
    expect(data.patches !== undefined).toBe(metadata.labels!['segfleet.dev/dataset'] === 'drive');
    if (spec.loss.name === 'adaptiveLog') {
      expect(spec.loss).toMatchObject({
        of: { name: 'dice', smooth: 1 },
        gamma: 0.1,
        omega: 10,
        epsilon: 0.5,
        continuity: 'paper',
        pool: 'batch',
      });
    }
  }
});

test('Tables 1 and 2 are sweeps with their job in them, as a cluster takes them: three runs a cell, the Dice loss as baseline, references that are there', () => {
  expect(sweepFiles).toEqual(['table1.yaml', 'table2.yaml']);
  for (const file of sweepFiles) {
    const given = sweepFileSchema.parse(parse(readFileSync(join(folder, file), 'utf8')));
    expect(sweepSpecSchema.parse(given.spec)).toMatchObject({
      method: 'grid',
      replicates: { count: 3 },
      baseline: { 'loss.name': 'dice' },
    });
    const { spec } = loadSweep(join(folder, file));
    expect(existsSync(join(folder, spec.table!.reference!))).toBe(true);
    expect(spec.base.spec).toMatchObject({
      model: { name: 'focusnet' },
      loss: {
        name: 'adaptiveLog',
        of: { name: 'dice', smooth: 1 },
        gamma: 0.1,
        omega: 10,
        epsilon: 0.5,
        continuity: 'paper',
        pool: 'batch',
      },
      training: { batch: 16, epochs: 50, optimizer: { name: 'adam', learningRate: 1e-4 } },
      data: { split: { validation: 0.2 } },
    });
  }
});
