/**
 * The same images as every arm sees them: the one that is hardest on average, the middle one and the easiest.
 */
import { storedShapeOf } from '../../course.ts';
import { dataPath, findCases } from '../../data/cases.ts';
import { labelsInside } from '../../data/fov.ts';
import { CaseStore } from '../../data/store.ts';
import { SegfleetError } from '../../errors.ts';
import type { PartOfRun } from '../../evaluateRun.ts';
import { countsOfImage, meanMetrics, metricsOf } from '../../metrics/counts.ts';
import { openRun } from '../../openRun.ts';
import { segment } from '../../segment.ts';
import type { Arm, Study } from '../arms.ts';
import { html } from '../html.ts';
import { predictedLabels, renderAgreement } from '../overlay.ts';
import { type Picture, type PictureRow, plural, type Section } from '../section.ts';
import { scoresOf } from './comparison.ts';
import { foremost } from './convergence.ts';

export interface ShownCase {
  readonly kind: 'Hardest' | 'Middle' | 'Easiest';
  readonly id: string;
  /** Mean over arms. */
  readonly jaccard: number;
}

/** By mean Jaccard over arms; ties go to the lower id, so that the choice is the same every time. */
export function shownCases(arms: readonly Pick<Arm, 'name' | 'runs'>[]): ShownCase[] {
  const tables = arms
    .map(arm => scoresOf(arm, ['jaccard']))
    .map(({ ids, values }) => new Map(ids.map((id, i) => [id, values.get('jaccard')![i]])));
  const shared = [...tables[0].keys()].filter(id => tables.every(table => table.has(id)));
  const sorted = shared
    .map(id => ({ id, jaccard: tables.reduce((sum, table) => sum + table.get(id)!, 0) / tables.length }))
    .sort((a, b) => a.jaccard - b.jaccard || (a.id < b.id ? -1 : 1));
  const places = new Map<number, ShownCase['kind']>([
    [0, 'Hardest'],
    [sorted.length - 1, 'Easiest'],
    [Math.floor((sorted.length - 1) / 2), 'Middle'],
  ]);
  if (sorted.length < 3) places.delete(sorted.length - 1);
  return [...places].sort(([a], [b]) => a - b).flatMap(([at, kind]) => (sorted[at] ? [{ kind, ...sorted[at] }] : []));
}

export async function overlays(study: Study, which: PartOfRun): Promise<Section> {
  const arms = foremost(study.arms);
  const shown = shownCases(study.arms);
  const section = { id: `${study.id}-overlays`, title: 'Overlays' };
  const words = (sentence: string) => ({ ...section, parts: [{ kind: 'text', text: html`<p>${sentence}</p>` }] as const });
  if (shown.length === 0) return words('The runs held out different images, so there is none that all were scored on.');
  try {
    const columns: Picture[][][] = [];
    for (const arm of arms) columns.push(await picturesOf(arm, shown, which, columns.length === 0));
    const rows = shown.map(
      ({ kind, id, jaccard }, i): PictureRow => ({
        title: `${kind}: ${id}, Jaccard ${jaccard.toFixed(3)} on average`,
        pictures: columns.flatMap(column => column[i]),
      }),
    );
    const several = arms.some(({ runs }) => runs.length > 1) ? ' Of an arm with several runs, the one with the lowest seed is shown.' : '';
    const left = arms.length < study.arms.length ? ` Shown are the ${plural(arms.length, 'arm')} with the highest mean Jaccard.` : '';
    return {
      ...section,
      parts: [
        { kind: 'pictures', title: 'Prediction against truth', rows, note: `Images by mean Jaccard over all arms.${several}${left}` },
      ],
    };
  } catch (error) {
    if (!(error instanceof SegfleetError)) throw error;
    return words(`There are no pictures: ${error.message}.`);
  }
}

/** @returns for each case the picture, behind the bare image where that is wanted */
async function picturesOf(arm: Arm, shown: readonly ShownCase[], { select }: PartOfRun, withImage: boolean): Promise<Picture[][]> {
  const [{ path }] = arm.runs;
  const { job, program } = await openRun(path, select);
  try {
    const { data, training } = job.spec;
    const cases = await findCases(dataPath(path, data.path));
    const indices = shown.map(({ id }) => cases.findIndex(found => found.id === id));
    if (indices.includes(-1)) throw new SegfleetError('notFound', `${data.path} of ${path} no longer has all images that it was scored on`);
    const store = new CaseStore(cases, storedShapeOf(job), data);
    const { classes, exclusive, image } = program.options;
    const rows: Picture[][] = [];
    for await (const { source, logits } of segment(program, store.read(indices), { batch: training.batch })) {
      const { id } = shown[rows.length];
      const truth = labelsInside(source);
      const shape = { ...source.size, channels: image.channels };
      const counts = countsOfImage(logits, truth, classes, exclusive);
      const foreground = exclusive ? counts.slice(1) : counts;
      const [tp, fp, fn] = (['tp', 'fp', 'fn'] as const).map(kind => foreground.reduce((sum, count) => sum + count[kind], 0));
      const jaccard = meanMetrics(counts.map(metricsOf)).jaccard.toFixed(3);
      const detail = `Jaccard ${jaccard}; TP ${tp}, FP ${fp}, FN ${fn}`;
      const predicted = predictedLabels(logits, classes, exclusive);
      rows.push([
        ...(withImage
          ? [
              {
                caption: 'Image',
                detail: `${shape.width} × ${shape.height} pixels`,
                description: `The image ${id}`,
                ...(await renderAgreement(source.image, shape)),
              },
            ]
          : []),
        {
          caption: arm.name,
          detail,
          description: `${id} as ${arm.name} segments it: ${tp} pixels hit, ${fp} false alarms, ${fn} missed`,
          ...(await renderAgreement(source.image, shape, { predicted, truth })),
        },
      ]);
    }
    return rows;
  } finally {
    await program.close();
  }
}
