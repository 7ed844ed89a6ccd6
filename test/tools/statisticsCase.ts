/**
 * What scipy, statsmodels and our statistics are all given. Their answers are in test/fixtures/statistics.json, made by
 * `npm run fixtures:statistics`.
 */
import { uniform } from './numbers.ts';

/** Differences as scores have them: small, more often above 0 than below. */
const differences = (length: number, purpose: string, low = -0.06): number[] => [...uniform(length, purpose, low, 0.1)];

/** The same, rounded to hundredths: with ties, and some are 0. */
const rounded = (length: number, purpose: string): number[] => differences(length, purpose).map(value => Math.round(value * 100) / 100);

/** `how` tells scipy which way to take; ours chooses by itself, and must choose the same. */
export const signedRankCases: {
  readonly name: string;
  readonly how: 'exact' | 'asymptotic' | 'permutations';
  readonly differences: number[];
}[] = [
  { name: '6 differences, all above 0', how: 'exact', differences: [0.01, 0.02, 0.05, 0.04, 0.03, 0.06] },
  { name: '10 differences', how: 'exact', differences: differences(10, 'ten') },
  { name: '20 differences, balanced', how: 'exact', differences: differences(20, 'twenty', -0.1) },
  { name: '50 differences', how: 'exact', differences: differences(50, 'fifty') },
  { name: '12 differences with ties', how: 'permutations', differences: [1, 1, -1, 2, 2, 2, -3, 4, 5, -5, 6, 7] },
  { name: '51 differences', how: 'asymptotic', differences: differences(51, 'fifty-one') },
  { name: '80 differences with ties and zeros', how: 'asymptotic', differences: rounded(80, 'eighty') },
  { name: '500 differences, far from balanced', how: 'asymptotic', differences: differences(500, 'five hundred', -0.02) },
];

export const intervalCases: number[][] = [differences(20, 'twenty', -0.1), differences(200, 'two hundred')];

export const holmCases: number[][] = [
  [0.01, 0.04, 0.03, 0.005],
  [0.5, 0.9, 0.04],
  [0.001, 0.001, 0.2, 0.011, 0.8, 0.013],
];
