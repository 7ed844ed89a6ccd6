/**
 * A curve in plain characters, for terminals.
 */
export function plotText(points: readonly (readonly [x: number, y: number])[], width = 64, height = 12): string {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [low, high] = [Math.min(0, ...ys), Math.max(...ys)];
  const rows = Array.from({ length: height }, () => new Array<string>(width).fill(' '));
  for (const [x, y] of points) {
    const column = Math.round(((x - left) / (right - left || 1)) * (width - 1));
    const row = Math.round(((high - y) / (high - low || 1)) * (height - 1));
    rows[row][column] = '•';
  }
  const label = (value: number) => String(Number(value.toPrecision(3))).padStart(8);
  const lines = rows.map((row, i) => `${i === 0 ? label(high) : i === height - 1 ? label(low) : ' '.repeat(8)} │${row.join('')}`);
  return [
    ...lines,
    `${' '.repeat(9)}└${'─'.repeat(width)}`,
    `${' '.repeat(10)}${label(left)
      .trim()
      .padEnd(width - 8)}${label(right)}`,
  ].join('\n');
}
