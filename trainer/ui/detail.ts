/**
 * The page of one run: what it is made of, how it fares, its pictures and its ROC curve.
 */
import { flattened, textOf } from '../report/arms.ts';
import type { OverlayAnswer, RunDetail } from './api.ts';
import type { Run } from './fleet.ts';
import type { Source } from './source.ts';
import type { Steps } from './steps.ts';

/** Pictures that `evaluate` made of the best weights, or else those of the end of training. */
const overlayFolders = ['evaluation/best/overlays', 'overlays'] as const;
const kinds = ['best', 'median', 'worst'] as const;

export async function detailOf(source: Source, id: string, { summary, record }: Run, steps: Steps): Promise<RunDetail> {
  const { job, versions, machine, data, precision, threads, library } = record;
  // A record that was begun by another version may lack some.
  const facts: [string, unknown][] = [
    ['Folder', summary.path],
    ['Images', data && `${data.training} to train on, ${data.validation} to validate, ${data.test ?? 0} to test`],
    ['Data digest', data?.digest],
    ['Weights digest', record.weights?.digest],
    ['Precision', precision && `${precision}, ${threads} threads`],
    ['Machine', machine && `${machine.cpu}, ${machine.processors} processors`],
    ['Versions', versions && `segfleet ${versions.segfleet}, Node ${versions.node}, TensorFlow ${versions.tensorflow} (${library})`],
    ['Forked from', record.forkedFrom && `${record.forkedFrom.run}, epoch ${record.forkedFrom.epoch}`],
    ['Exit', record.exit && `${record.exit.code}${record.exit.error ? `, ${record.exit.error}` : ''}`],
  ];
  const lastSeconds = steps.parts(['seconds'], { axis: 'step', range: [steps.lastStep - 50, steps.lastStep], points: 1 }).series.seconds
    ?.mean[0];
  const provenance = (record.provenance ?? {}) as unknown as Readonly<Record<string, unknown>>;
  return {
    summary,
    facts: facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)] as const])),
    settings: [...flattened(job.spec)].map(([path, value]) => ({
      path,
      value: textOf(value),
      from: textOf(provenance[path] ?? provenance[`spec.${path}`] ?? 'default'),
    })),
    health: {
      checkpoint: steps.checkpoint,
      checkpoints: steps.checkpoints,
      restarts: (record.resumed ?? []).map(({ at, step, after }) => ({ at: Date.parse(at), step, after: after ?? 'not recorded' })),
      sizes: record.fleet?.sizes ?? (steps.workers === undefined ? [] : [{ fromStep: 0, workers: steps.workers }]),
      lost: record.fleet?.lost ?? [],
      latest: record.fleet?.latest,
      ...(lastSeconds != null && { stepSeconds: lastSeconds }),
      nonFinite: steps.nonFinite,
    },
    overlays: await overlaysOf(source, id),
    roc: await rocOf(source, id),
  };
}

async function overlaysOf(source: Source, id: string): Promise<OverlayAnswer[]> {
  for (const folder of overlayFolders) {
    const found = await Promise.all(
      kinds.map(async (kind): Promise<OverlayAnswer | undefined> => {
        const names = [`${kind}.png`, `${kind}.probability.png`, `${kind}.truth.png`].map(name => `${folder}/${name}`);
        const [picture, probability, truth] = await Promise.all(
          names.map(async (name): Promise<string | undefined> => ((await source.stamp(id, name)) ? name : undefined)),
        );
        return picture === undefined ? undefined : { kind, picture, ...(probability && truth && { probability, truth }) };
      }),
    );
    const there = found.filter(one => one !== undefined);
    if (there.length > 0) return there;
  }
  return [];
}

/** Only what a page may show of a run folder. */
export const isPicture = (name: string): boolean =>
  overlayFolders.some(folder => kinds.some(kind => ['', '.probability', '.truth'].some(part => name === `${folder}/${kind}${part}.png`)));

async function rocOf(source: Source, id: string): Promise<RunDetail['roc']> {
  const csv = (await source.read(id, 'evaluation/best/roc.csv'))?.toString();
  if (csv === undefined) return undefined;
  const classes: [number, number][][] = [];
  for (const line of csv.split('\n').slice(1)) {
    const [c, x, y] = line.split(',').map(Number);
    if (line === '' || !Number.isInteger(c) || !Number.isFinite(x + y)) continue;
    classes[c] ??= [];
    classes[c].push([x, y]);
  }
  const scores = (await source.read(id, 'evaluation/best/scores.json'))?.toString();
  const auc = /"auc":\s*{\s*"auc":\s*([\d.eE+-]+)/.exec(scores ?? '')?.[1];
  return { ...(auc !== undefined && { auc: Number(auc) }), classes: classes.map(points => points ?? []) };
}
