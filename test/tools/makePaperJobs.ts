/**
 * Makes the files of examples/paper: `node test/tools/makePaperJobs.ts`. The sweeps of the paper's Tables 1 and 2, each row of its Table 3 on each of
 * its three data sets, and its own row of Table 4. What the paper does not say is chosen here, once; examples/paper/README.md lists it.
 */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface DataSet {
  readonly name: string;
  readonly title: string;
  /** Trainings that the paper averages. */
  readonly runs: number;
  /** Lines of `data`, below `path`. */
  readonly data: readonly string[];
}

const dataSets: readonly DataSet[] = [
  { name: 'isic2018', title: 'ISIC 2018', runs: 3, data: ['size: { height: 256, width: 256 }', 'split: { validation: 0.2 }'] },
  { name: 'dsb2018', title: 'Data Science Bowl 2018', runs: 5, data: ['size: { height: 256, width: 256 }', 'split: { validation: 0.2 }'] },
  {
    name: 'drive',
    title: 'DRIVE',
    runs: 2,
    data: ['patches: { height: 64, width: 64, perImage: 10000, insideFov: true }', 'split: { validation: 0.2 }'],
  },
];

/** Table 4: the split of Abraham and Khan, 1,653 to train on, 292 to validate on, 649 to test on, at their size. */
const table4: DataSet = {
  name: 'isic2018',
  title: 'ISIC 2018',
  runs: 3,
  data: ['size: { height: 192, width: 256 }', 'split: { validation: 292, test: 649 }'],
};

const models = { 'U-Net': '{ name: unet, width: 32, dropout: 0.5 }', FocusNet: '{ name: focusnet }' };

const losses = {
  JI: '{ name: jaccard, smooth: 1 }',
  DL: '{ name: dice, smooth: 1 }',
  TL: '{ name: tversky, fpWeight: 0.3, fnWeight: 0.7, smooth: 1 }',
  FL: '{ name: focal, positiveWeight: 0.25, focus: 2 }',
  CL: '{ name: combo, mix: 0.5, positiveWeight: 0.5, smooth: 1 }',
  ALL: '{ name: adaptiveLog, of: { name: dice, smooth: 1 }, gamma: 0.1, omega: 10, epsilon: 0.5 }',
};

function job(
  table: '3' | '4',
  { name, title, runs, data }: DataSet,
  model: keyof typeof models,
  loss: keyof typeof losses,
): [string, string] {
  const id = `table${table}-${name}-${model.replace('-', '')}-${loss}`.toLowerCase();
  const text = `# The paper's Table ${table}, row "${model} (${loss})", on ${title}. Made by \`node test/tools/makePaperJobs.ts\`.
apiVersion: segfleet.dev/v1alpha1
kind: TrainingJob
metadata:
  name: ${id}
  labels: { segfleet.dev/table: "${table}", segfleet.dev/dataset: ${name} }
  annotations: { segfleet.dev/runs: "${runs}" } # that the paper averages
spec:
  data:
    path: ../../data/${name}
${data.map(line => `    ${line}`).join('\n')}
  model: ${models[model]}
  loss: ${losses[loss]}
  training: ${training}
`;
  return [`${id}.yaml`, text];
}

const training = '{ epochs: 50, batch: 16, optimizer: { name: adam, learningRate: 1.0e-4 } }';

const searches = {
  '1': {
    title: 'Jaccard by omega and epsilon at gamma 0.1',
    parameters: ['loss.epsilon: { values: [0.3, 0.5, 1, 2] }', 'loss.omega: { values: [6, 8, 10, 12, 14, 16] }'],
    table: 'rows: loss.epsilon, cols: loss.omega',
  },
  '2': {
    title: 'Jaccard by gamma at omega 10 and epsilon 0.5',
    parameters: ['loss.gamma: { values: [0.08, 0.1, 0.12, 0.15, 0.2, 0.3] }'],
    table: 'rows: loss.name, cols: loss.gamma',
  },
};

/** Its numbers are of a data set that it does not name, nearest to those of ISIC 2018, and none of Table 3: so not at the size of Table 3. */
function sweep(table: keyof typeof searches): [string, string] {
  const { title, parameters, table: layout } = searches[table];
  const text = `# The paper's Table ${table}: ${title}, FocusNet, mean of 3 runs. Made by \`node test/tools/makePaperJobs.ts\`.
apiVersion: segfleet.dev/v1alpha1
kind: Sweep
metadata:
  name: paper-table${table}
  labels: { segfleet.dev/table: "${table}", segfleet.dev/dataset: isic2018 }
spec:
  objective: { metric: validation/jaccard }
  method: grid
  parameters:
${parameters.map(line => `    ${line}`).join('\n')}
  replicates: { count: 3 }
  baseline: { loss.name: dice }
  table: { ${layout}, cell: mean(validation/jaccard), reference: reference/table${table}.csv }
  base:
    spec:
      seed: 1
      data:
        path: ../../data/isic2018
        size: { height: 192, width: 256 }
        split: { validation: 0.2 }
      model: ${models.FocusNet}
      loss: ${losses.ALL}
      training: ${training}
`;
  return [`table${table}.yaml`, text];
}

/** All files by name. */
export function paperJobs(): Map<string, string> {
  const [modelNames, lossNames] = [Object.keys(models) as (keyof typeof models)[], Object.keys(losses) as (keyof typeof losses)[]];
  return new Map([
    sweep('1'),
    sweep('2'),
    ...dataSets.flatMap(set => modelNames.flatMap(model => lossNames.map(loss => job('3', set, model, loss)))),
    job('4', table4, 'FocusNet', 'ALL'),
  ]);
}

if (import.meta.main) {
  const folder = fileURLToPath(new URL('../../examples/paper', import.meta.url));
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) if (name.endsWith('.yaml')) await rm(join(folder, name));
  for (const [name, text] of paperJobs()) await writeFile(join(folder, name), text);
  console.log(`${paperJobs().size} files in ${folder}`);
}
