/**
 * What must hold between scores of one confusion matrix, and between means of such scores over images, batches or runs. P precision, R recall, S
 * specificity, F Dice or F-measure, J Jaccard; all of one image or pool of images come from its four counts:
 *
 *   J = F / (2 - F)          convex in F, so a mean J is at least that of the mean F (Jensen), and at most the mean F
 *   F = 2 P R / (P + R)      concave in P and R, so a mean F is at most that of the means, and at least P + R - 1
 *   J <= R, J <= P           image by image, so of means too
 *   F <= 2 R / (1 + R)       where nothing is predicted in vain; concave in R, so of means too; the same with P
 *   foreground / background pixels = (1 - S) / (R / J - 1)      pooled: false positives over positives are R / J - 1
 *
 * The bounds hold however scores were averaged, as long as all of a row were averaged alike, over the same images, none left out; the equalities only
 * where they are pooled over all pixels.
 */
import { type Interval, meets, type Printed, rising, widened } from './printed.ts';
import type { Entry, ScoreName } from './results.ts';

/** - violation: cannot be, as it is printed  - remark: can be, and has to be known to read the number rightly */
export type Severity = 'violation' | 'remark';

export const rules = {
  range: 'a score lies between 0 and 1',
  jaccardOfDice: 'J = F / (2 - F) of pooled counts; a mean J is at least that of the mean F, and at most the mean F',
  jaccardBelowRecall: 'J is at most recall, and at most precision',
  diceBelowRecall: 'F is at most 2 R / (1 + R), and at most 2 P / (1 + P)',
  diceOfPrecisionAndRecall: 'F = 2 P R / (P + R) of pooled counts; a mean F is at most that of the mean P and R, and at least P + R - 1',
  jaccardOfPrecisionAndRecall: '1 / J = 1 / P + 1 / R - 1 of pooled counts; a mean J is at least P + R - 1',
  foregroundShare: 'pooled over the same images, recall, specificity and Jaccard imply one share of foreground, that of the images',
  baseline: 'the number that results are compared with is a result too',
  spread: 'a mean of runs has a spread',
  margin: 'a difference that is smaller than what chance makes of equal methods is not one',
  selection: 'the best of n equal cells is above their mean by chance',
  claim: 'what the text says is what the tables say',
} as const;
export type RuleName = keyof typeof rules;

export interface Finding {
  readonly severity: Severity;
  readonly rule: RuleName;
  readonly file?: string;
  readonly line?: number;
  /** What tells the row from others: a method, or parameters. */
  readonly row?: string;
  readonly columns?: readonly string[];
  readonly sentence: string;
  /** The numbers in the sentence, as shares. */
  readonly numbers: Readonly<Record<string, number>>;
}

export const labelOf = ({ keys, dataset }: Pick<Entry, 'keys' | 'dataset'>): string =>
  [...Object.entries(keys).map(([name, value]) => (/^[\d.]/.test(value) ? `${name} ${value}` : value)), dataset].filter(Boolean).join(', ');

/** In percent, as papers print them. */
export const shown = (share: number, digits = 2): string => (100 * share).toFixed(digits);

export const jaccardOfDice = (f: number): number => f / (2 - f);
export const diceOf = (p: number, r: number): number => (p + r > 0 ? (2 * p * r) / (p + r) : 0);
const jaccardOf = (p: number, r: number): number => jaccardOfDice(diceOf(p, r));
const mostDice = (r: number): number => (2 * r) / (1 + r);

const between = (a: Interval, b: Interval, f: (x: number, y: number) => number): Interval => ({
  low: f(a.low, b.low),
  high: f(a.high, b.high),
});

const inside = (x: Interval): Interval => ({ low: Math.min(Math.max(x.low, 0), 1), high: Math.min(Math.max(x.high, 0), 1) });

/** The findings of one row on one data set. */
export function auditEntry(entry: Entry): Finding[] {
  const outside = [...outsideRange(entry)];
  // What is no share obeys nothing else.
  return outside.length > 0 ? outside : [...ofDiceAndJaccard(entry), ...ofRecall(entry), ...ofPrecisionAndRecall(entry)];
}

type Made = Omit<Finding, 'file' | 'line' | 'row' | 'columns'>;
const at = (entry: Entry, names: readonly ScoreName[], made: Made): Finding => ({
  ...made,
  file: entry.file,
  line: entry.scores[names[0]]?.line ?? entry.line,
  row: labelOf(entry),
  columns: names.map(name => entry.scores[name]!.column),
});

function* outsideRange(entry: Entry): Generator<Finding> {
  for (const [name, score] of Object.entries(entry.scores) as [ScoreName, Printed][]) {
    if (score.high >= 0 && score.low <= 1) continue;
    const sentence = `${name} is ${score.text}, and no ${name} is below 0 or above ${Number(score.text) === score.value ? '1' : '100 %'}`;
    yield at(entry, [name], { severity: 'violation', rule: 'range', sentence, numbers: { [name]: score.value } });
  }
}

/**
 * What an average over runs of pooled scores may differ from the function of the averages: half the largest second derivative times the variance
 * between the runs, twice over. One run differs by nothing.
 */
const slackOfRuns = (bend: number, ...sds: readonly (number | undefined)[]): number =>
  sds.reduce<number>((sum, sd = 0) => sum + bend * sd ** 2, 0);

function* ofDiceAndJaccard(entry: Entry): Generator<Finding> {
  const { dice, jaccard } = entry.scores;
  if (!dice || !jaccard) return;
  const names = ['dice', 'jaccard'] as const;
  const implied = rising(inside(dice), jaccardOfDice);
  const numbers = { dice: dice.value, jaccard: jaccard.value, implied: jaccardOfDice(dice.value) };
  const of = (severity: Severity, sentence: string) => at(entry, names, { severity, rule: 'jaccardOfDice', sentence, numbers });
  const given = `F ${shown(dice.value)} and Jaccard ${shown(jaccard.value)}`;
  if (jaccard.high < implied.low) {
    yield of(
      'violation',
      `${given}: F / (2 - F) is ${shown(numbers.implied)}, and because it is convex no average of images, batches or runs has a smaller Jaccard`,
    );
  } else if (jaccard.low > dice.high) {
    yield of('violation', `${given}: no Jaccard is above the Dice of the same counts, and no mean of them either`);
  } else if (entry.aggregation !== 'perImage' && !meets(jaccard, widened(implied, slackOfRuns(4, dice.sd, jaccard.sd)))) {
    const curvature = 4 / (2 - dice.value) ** 3;
    const needed = Math.sqrt((2 * (jaccard.value - numbers.implied)) / curvature);
    yield of(
      entry.aggregation === 'pooled' ? 'violation' : 'remark',
      `${given}: pooled counts of F ${shown(dice.value)} have a Jaccard of ${shown(numbers.implied)}. These are means over images or batches${entry.aggregation ? ', not pooled' : ''}${entry.runs && entry.runs > 1 ? `, or the ${entry.runs} runs differ by ${shown(needed, 1)} points (sd) of F` : ''}`,
    );
  }
}

function* ofRecall(entry: Entry): Generator<Finding> {
  const { jaccard, dice } = entry.scores;
  for (const name of ['recall', 'precision'] as const) {
    const score = entry.scores[name];
    if (!score) continue;
    if (jaccard && jaccard.low > score.high) {
      yield at(entry, ['jaccard', name], {
        severity: 'violation',
        rule: 'jaccardBelowRecall',
        sentence: `Jaccard ${shown(jaccard.value)} is above ${name} ${shown(score.value)}: it is the hits over truth and prediction together, ${name} over the ${name === 'recall' ? 'truth' : 'prediction'} alone, so these are not scores of the same predictions`,
        numbers: { jaccard: jaccard.value, [name]: score.value },
      });
    }
    const most = rising(inside(score), mostDice);
    if (dice && dice.low > most.high) {
      yield at(entry, ['dice', name], {
        severity: 'violation',
        rule: 'diceBelowRecall',
        sentence: `F ${shown(dice.value)} with ${name} ${shown(score.value)}: the largest possible is ${shown(most.high)}`,
        numbers: { dice: dice.value, [name]: score.value, most: mostDice(score.value) },
      });
    }
  }
}

function* ofPrecisionAndRecall(entry: Entry): Generator<Finding> {
  const { precision, recall, dice, jaccard } = entry.scores;
  if (!precision || !recall) return;
  const [p, r] = [inside(precision), inside(recall)];
  const least = p.low + r.low - 1;
  // Second derivatives of F by P and R are at most 4 / (P + R) in size.
  const slack = slackOfRuns(4 / Math.max(p.low + r.low, 1e-9), precision.sd, recall.sd);
  const given = `precision ${shown(precision.value)}, recall ${shown(recall.value)}`;
  const numbers = { precision: precision.value, recall: recall.value };
  if (dice) {
    const implied = between(p, r, diceOf);
    const value = diceOf(precision.value, recall.value);
    const of = (severity: Severity, sentence: string) =>
      at(entry, ['dice', 'precision', 'recall'], {
        severity,
        rule: 'diceOfPrecisionAndRecall',
        sentence,
        numbers: { ...numbers, dice: dice.value, implied: value },
      });
    if (dice.low > implied.high) {
      yield of(
        'violation',
        `${given}: their harmonic mean is ${shown(value)}, and because it is concave no average has a larger F; ${shown(dice.value)} is printed`,
      );
    } else if (dice.high < least) {
      yield of(
        'violation',
        `${given}: no average of images has an F below their sum less 1, ${shown(least)}; ${shown(dice.value)} is printed`,
      );
    } else if (entry.aggregation !== 'perImage' && !meets(dice, widened(implied, slack + slackOfRuns(4, dice.sd)))) {
      yield of(
        entry.aggregation === 'pooled' ? 'violation' : 'remark',
        `${given}: pooled counts have an F of ${shown(value)}, ${shown(dice.value)} is printed. These are means over images or batches${entry.aggregation ? ', not pooled' : ''}`,
      );
    }
  }
  if (jaccard) {
    const implied = between(p, r, jaccardOf);
    const value = jaccardOf(precision.value, recall.value);
    const of = (severity: Severity, sentence: string) =>
      at(entry, ['jaccard', 'precision', 'recall'], {
        severity,
        rule: 'jaccardOfPrecisionAndRecall',
        sentence,
        numbers: { ...numbers, jaccard: jaccard.value, implied: value },
      });
    if (jaccard.high < least) {
      yield of(
        'violation',
        `${given}: no average of images has a Jaccard below their sum less 1, ${shown(least)}; ${shown(jaccard.value)} is printed`,
      );
    } else if (entry.aggregation === 'pooled' && !meets(jaccard, widened(implied, 2 * slack + slackOfRuns(4, jaccard.sd)))) {
      yield of('violation', `${given}: pooled counts have a Jaccard of ${shown(value)}, ${shown(jaccard.value)} is printed`);
    }
  }
}

/** False positives over positives, from recall and one more score of pooled counts. */
function falsePositives({ recall, jaccard, dice, precision }: Entry['scores']): { over: Interval; from: ScoreName } | undefined {
  if (!recall) return undefined;
  const r = inside(recall);
  if (jaccard && jaccard.low > 0) return { over: { low: r.low / jaccard.high - 1, high: r.high / jaccard.low - 1 }, from: 'jaccard' };
  if (precision && precision.low > 0)
    return { over: { low: r.low * (1 / precision.high - 1), high: r.high * (1 / precision.low - 1) }, from: 'precision' };
  // FP/P = 2R/F - R - 1, which rises with R where F is below 2.
  if (dice && dice.low > 0)
    return { over: { low: (2 * r.low) / dice.high - r.low - 1, high: (2 * r.high) / dice.low - r.high - 1 }, from: 'dice' };
  return undefined;
}

interface Implied {
  readonly entry: Entry;
  readonly from: ScoreName;
  /** Share of foreground pixels. */
  readonly share: Interval;
  /** Specificity where the share is known. */
  readonly specificity?: Interval;
}

/**
 * Whether specificity can be that of the pixels that the other scores are of.
 *
 * @param foreground the true share of a data set, where it is known
 */
export function auditForeground(entries: readonly Entry[], foreground: ReadonlyMap<string, number>): Finding[] {
  const groups = Map.groupBy(
    entries.filter(({ aggregation }) => aggregation !== 'perImage'),
    ({ file, dataset, aggregation }) => JSON.stringify([file, dataset, aggregation]),
  );
  return [...groups.values()].flatMap(group => {
    const known = foreground.get(group[0].dataset);
    const implied = group.flatMap(entry => impliedBy(entry, known) ?? []);
    if (implied.length === 0) return [];
    const severity = group[0].aggregation === 'pooled' ? 'violation' : 'remark';
    const columnsOf = ({ from }: Implied) => ['recall', 'specificity', from] as const;
    if (known !== undefined) {
      const wrong = implied.filter(({ entry, specificity }) => !meets(entry.scores.specificity!, specificity!));
      const [worst] = [...wrong].sort((a, b) => distanceOf(b) - distanceOf(a));
      if (!worst) return [];
      const { entry, from, specificity } = worst;
      const { recall, specificity: printed } = entry.scores;
      return [
        at(entry, columnsOf(worst), {
          severity,
          rule: 'foregroundShare',
          sentence: `recall ${shown(recall!.value)} and ${from} ${shown(entry.scores[from]!.value)} of pooled pixels, ${shown(known, 1)} % of them foreground, give a specificity of ${shown(middle(specificity!), 1)}; ${shown(printed!.value)} is printed (${wrong.length} of ${implied.length} rows of ${entry.dataset || 'this table'} differ)`,
          numbers: {
            recall: recall!.value,
            [from]: entry.scores[from]!.value,
            specificity: printed!.value,
            implied: middle(specificity!),
            foreground: known,
          },
        }),
      ];
    }
    const lowest = implied.reduce((a, b) => (b.share.high < a.share.high ? b : a));
    const highest = implied.reduce((a, b) => (b.share.low > a.share.low ? b : a));
    if (lowest.share.high >= highest.share.low) return [];
    const percent = ({ share: { low, high } }: Implied) => `${shown(low, 1)} to ${shown(high, 1)} %`;
    return [
      at(highest.entry, columnsOf(highest), {
        severity,
        rule: 'foregroundShare',
        sentence: `were the scores pooled over all pixels, ${percent(highest)} of them would be foreground by this row and ${percent(lowest)} by ${labelOf(lowest.entry)}: specificity is an average of another kind than the rest, or not of the same images`,
        numbers: { highest: middle(highest.share), lowest: middle(lowest.share) },
      }),
    ];
  });
}

const middle = ({ low, high }: Interval): number => (low + high) / 2;
const distanceOf = ({ entry, specificity }: Implied): number => Math.abs(entry.scores.specificity!.value - middle(specificity!));

function impliedBy(entry: Entry, known: number | undefined): Implied | undefined {
  const specificity = entry.scores.specificity;
  const found = falsePositives(entry.scores);
  if (!specificity || !found || found.over.low <= 0) return undefined;
  const s = inside(specificity);
  const share = (odds: number) => odds / (1 + odds);
  const odds = { low: (1 - s.high) / found.over.high, high: (1 - s.low) / found.over.low };
  const ratio = known === undefined ? undefined : known / (1 - known);
  return {
    entry,
    from: found.from,
    share: rising(odds, share),
    ...(ratio !== undefined && { specificity: { low: 1 - ratio * found.over.high, high: 1 - ratio * found.over.low } }),
  };
}
