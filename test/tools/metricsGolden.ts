/**
 * Python's answers to the cases of metricsCase.ts, read from the fixture.
 */
import { expect } from 'vitest';
import fixture from '../fixtures/metrics.json' with { type: 'json' };
import { digestOfCases, type MetricsCase, metricsCases } from './metricsCase.ts';

export interface SurfaceAnswers {
  /** Of prediction and truth. */
  readonly edges: readonly [readonly string[], readonly string[]];
  readonly hd95: number;
  readonly hausdorff: number;
  readonly averageSurfaceDistance: number;
  readonly surfaceDice: number;
  readonly boundaryF: number;
}

export interface Answers {
  /** Null where there is no foreground. */
  readonly squaredDistances: readonly string[] | null;
  readonly signedDistance: readonly string[];
  readonly components: readonly [readonly string[], readonly string[]];
  readonly skeletons: readonly [readonly string[], readonly string[]];
  /** TP, FP and FN at each threshold. */
  readonly objects: readonly (readonly [number, number, number])[];
  readonly overlap: Readonly<Record<'jaccard' | 'dice' | 'precision' | 'recall' | 'accuracy', number>>;
  readonly auc: number | null;
  /** Absent where a mask is empty, as are the next. */
  readonly surface?: SurfaceAnswers;
  readonly clDice?: readonly [precision: number, sensitivity: number, clDice: number];
}

export interface GoldenCase extends MetricsCase {
  readonly answers: Answers;
}

export const goldenCases: readonly GoldenCase[] = metricsCases().map(metricsCase => ({
  ...metricsCase,
  answers: (fixture.cases as unknown as Record<string, Answers>)[metricsCase.name],
}));

/** Those in which neither mask is empty. */
export const goldenPairs = goldenCases.filter(
  (golden): golden is GoldenCase & { answers: Required<Answers> } => golden.answers.surface !== undefined,
);

export const { calibration, keras } = fixture;

/** The fixture answers the cases that there are. */
export const expectSameCases = (): void => expect(digestOfCases(goldenCases)).toBe(fixture.inputs);

/** The numbers of an array that the fixture keeps as a string a row. */
export const numbersOf = (rows: readonly string[]): number[] => rows.flatMap(row => row.split(' ').map(Number));

/** A picture of 0 and 1, a string a row. */
export const drawnRows = (mask: ArrayLike<number>, width: number): string[] =>
  Array.from({ length: mask.length / width }, (_, y) =>
    Array.from({ length: width }, (_, x) => (mask[y * width + x] ? '#' : '.')).join(''),
  );

/** The reverse: 1 where a character is neither a dot nor a space. */
export const maskOf = (...rows: readonly string[]): Uint8Array =>
  Uint8Array.from(rows.flatMap(row => [...row].map(character => (character === '.' ? 0 : 1))));
