/**
 * Functions whose least values are known, turned so that larger is better (S. Surjanovic, D. Bingham, "Virtual library of simulation experiments").
 */

/** x in [-5, 10], y in [0, 15]; highest -0.397887 at three places. */
export const branin = (x: number, y: number): number =>
  -((y - (5.1 / (4 * Math.PI ** 2)) * x ** 2 + (5 / Math.PI) * x - 6) ** 2 + 10 * (1 - 1 / (8 * Math.PI)) * Math.cos(x) + 10);

const weights = [1, 1.2, 3, 3.2];
const scales = [
  [10, 3, 17, 3.5, 1.7, 8],
  [0.05, 10, 17, 0.1, 8, 14],
  [3, 3.5, 1.7, 10, 17, 8],
  [17, 8, 0.05, 10, 0.1, 14],
];
const centers = [
  [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
  [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
  [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.665],
  [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
];

/** Six numbers in [0, 1]; highest 3.32237 at (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573). */
export const hartmann6 = (x: readonly number[]): number =>
  weights.reduce((sum, weight, i) => {
    const distance = x.reduce((inner, xj, j) => inner + scales[i][j] * (xj - centers[i][j]) ** 2, 0);
    return sum + weight * Math.exp(-distance);
  }, 0);
