/**
 * What the paper's text says, held against its tables (Kaul, Pears, Manandhar 2019). Sentences are quoted; numbers come from the tables.
 */

import { deviation } from '../../averages.ts';
import { adaptiveLogAt } from '../../losses/adaptiveLog.ts';
import type { Selection } from './chance.ts';
import type { Entry, ScoreName } from './results.ts';
import { type Finding, type Severity, shown } from './rules.ts';

export interface Claim {
  readonly section: string;
  readonly quote: string;
  readonly verdict: 'holds' | 'contradicted' | 'not supported';
  readonly because: string;
  readonly numbers: Readonly<Record<string, number>>;
}

/** What the paper does not say, each needed to do it again. */
export const notStated = [
  'size of the images of ISIC 2018 and of the Data Science Bowl',
  'size, number and stride of the patches of DRIVE',
  'how the 80:20 split was drawn, and whether by image or by patch',
  'dropout of U-Net, and the details of FocusNet',
  'parameters of the Tversky, focal and combo loss',
  'smoothing of the Dice loss, and whether it is pooled over the batch or taken by image',
  'whether scores are pooled or means over images, and at which size',
  'which epoch is reported, and the spread between runs',
  'the data set of Tables 1 and 2',
  'the draw of Table 4: the code of the paper that the split is from fixes no seed',
] as const;

/** Trainings behind the tables: the cell at gamma 0.1 of Table 2 is one of Table 1. */
export const paperRuns = { table1: 24 * 3, table2: 5 * 3, baseline: 3, table3: 12 * (3 + 5 + 2), table4: 3 } as const;

export const networks = ['U-Net', 'FocusNet'] as const;
const paperLoss = { gamma: 0.1, omega: 10, epsilon: 0.5, continuity: 'paper' } as const;

interface Tables {
  readonly table1: readonly Entry[];
  readonly table2: readonly Entry[];
  readonly table3: readonly Entry[];
}

export function paperClaims({ table1, table2, table3 }: Tables): Claim[] {
  const of = (network: string, dataset: string, score: ScoreName) =>
    table3
      .filter(({ keys, dataset: its }) => keys.method.startsWith(`${network} (`) && its === dataset)
      .map(({ keys, scores }) => ({ loss: /\((.*)\)/.exec(keys.method)![1], value: scores[score]!.value }))
      .sort((a, b) => b.value - a.value);

  /** Whether ALL has the highest score, in each network. */
  const isBest = (section: string, quote: string, dataset: string, score: ScoreName): Claim => {
    const ranked = networks.map(network => ({ network, rows: of(network, dataset, score) }));
    const told = ranked.map(({ network, rows }) => {
      const all = rows.find(({ loss }) => loss === 'ALL')!;
      const best = rows.find(({ loss }) => loss !== 'ALL')!;
      return {
        network,
        margin: all.value - best.value,
        words: `with ${network} ${shown(all.value)} against ${shown(best.value)} of ${best.loss}`,
      };
    });
    const lost = told.some(({ margin }) => margin < 0);
    return {
      section,
      quote,
      verdict: lost ? 'contradicted' : 'holds',
      because: told.map(({ words, margin }) => `${words} (${margin < 0 ? '-' : '+'}${shown(Math.abs(margin))})`).join(', '),
      numbers: Object.fromEntries(told.map(({ network, margin }) => [`margin ${network}`, margin])),
    };
  };

  const valuesOf = (entries: readonly Entry[]) => entries.map(({ scores }) => scores.jaccard!.value);
  const range = (values: readonly number[]) => Math.max(...values) - Math.min(...values);
  const grid = valuesOf(table1);
  const best = Math.max(...grid);
  const gammas = valuesOf(table2);
  // The cell at gamma 0.1 was taken for being the best of Table 1.
  const others = gammas.filter(value => value !== best);
  const slopes = {
    atZero: adaptiveLogAt(0, paperLoss).derivative,
    below: paperLoss.omega / (paperLoss.epsilon + paperLoss.gamma),
    above: adaptiveLogAt(paperLoss.gamma, paperLoss).derivative,
  };
  const at = adaptiveLogAt(paperLoss.gamma, paperLoss).value;
  const largest = adaptiveLogAt(1, paperLoss).value;
  const overDice = ['ISIC 2018', 'DSB 2018', 'DRIVE'].flatMap(dataset =>
    networks.map(network => {
      const rows = of(network, dataset.toLowerCase(), 'jaccard');
      return rows.find(({ loss }) => loss === 'ALL')!.value - rows.find(({ loss }) => loss === 'DL')!.value;
    }),
  );
  const optimum = table1.find(({ scores }) => scores.jaccard!.value === best)!.keys;

  return [
    {
      section: '2',
      quote: 'C ... is used to make the loss function differentiable and smooth',
      verdict: 'contradicted',
      because: `at omega 10, epsilon 0.5, gamma 0.1 both branches are ${at.toFixed(4)} at gamma (C = ${(paperLoss.gamma - at).toFixed(4)}), and the slope jumps there from ${slopes.below.toFixed(2)} to ${slopes.above} (it is ${slopes.atZero} at 0): continuous, not differentiable`,
      numbers: { ...slopes, valueAtGamma: at },
    },
    {
      section: '2',
      quote: 'the optimal values for the hyperparameters to be gamma = 0.1, omega = 10.0 and epsilon = 0.5',
      verdict: optimum.omega === '10' && optimum.epsilon === '0.5' && Math.max(...gammas) === best ? 'holds' : 'contradicted',
      because: `${shown(best)} at epsilon ${optimum.epsilon}, omega ${optimum.omega} is the highest of Table 1, and of Table 2 at gamma 0.10`,
      numbers: { best },
    },
    {
      section: '3',
      quote: "the loss isn't affected a lot by changes in omega or epsilon, but even small changes in gamma can cause significant changes",
      verdict: 'not supported',
      because: `Table 1 spans ${shown(range(grid))} points (sd ${shown(deviation(grid))}), Table 2 ${shown(range(gammas))}; without the cell that was chosen as the best of 24, the other five of Table 2 span ${shown(range(others))} (sd ${shown(deviation(others))})`,
      numbers: { rangeTable1: range(grid), sdTable1: deviation(grid), rangeTable2: range(gammas), sdOthers: deviation(others) },
    },
    isBest('4', 'the results are fairly even for this dataset [ISIC 2018], though our loss get the best IoU', 'isic 2018', 'jaccard'),
    isBest(
      '4',
      'The nuclei segmentation dataset ... our loss shows significantly superior performance compared to all the other losses',
      'dsb 2018',
      'jaccard',
    ),
    isBest('4', '[DRIVE] an improved F-measure score', 'drive', 'dice'),
    isBest('4', '[DRIVE] and the best in class IoU', 'drive', 'jaccard'),
    {
      section: '4',
      quote: 'Our loss shows significantly better performance than the baseline dice loss for all three datasets',
      verdict: Math.min(...overDice) > 0 ? 'holds' : 'contradicted',
      because: `Jaccard is ${shown(Math.min(...overDice))} to ${shown(Math.max(...overDice))} higher; without a spread, significance cannot be told`,
      numbers: { least: Math.min(...overDice), most: Math.max(...overDice) },
    },
    {
      section: '3',
      quote:
        'we compute the intersection over union (IoU) overlap, recall, specificity, F-measure and the area under the receiver operator characteristics curve',
      verdict: 'not supported',
      because: 'no table has an area; the two figures of curves are of the best models only',
      numbers: {},
    },
    {
      section: '4',
      quote: 'our loss always converged faster than JL, DL, TL and CL',
      verdict: 'not supported',
      because: `no curve and no number of epochs is shown; values of the losses cannot be compared (ALL of a Dice loss of 1 is ${largest.toFixed(3)}, the Dice loss itself at most 1)`,
      numbers: { largest },
    },
  ];
}

const severities: Readonly<Record<Exclude<Claim['verdict'], 'holds'>, Severity>> = { contradicted: 'violation', 'not supported': 'remark' };

export const findingOf = ({ verdict, section, quote, because, numbers }: Claim): Finding[] =>
  verdict === 'holds'
    ? []
    : [
        {
          severity: severities[verdict],
          rule: 'claim',
          row: `text, section ${section}`,
          sentence: `"${quote}" is ${verdict}: ${because}`,
          numbers,
        },
      ];

/** The spread of a mean of three runs, for tables that print none. */
export const noiseOf = ({ noise }: Selection) => ({ sd: noise, from: `the spread of Table 1 (${shown(noise)})` });
