/**
 * RESULTS.md: one section a bench, replaced when the bench is run again.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const file = new URL('RESULTS.md', import.meta.url);
const title =
  '# Results\n\nEach section is written by the command it names. Ratios compare within one run; times hold for that machine on that day.\n';

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function writeResults(section: string, machine: string, command: string, text: string): void {
  const before = existsSync(file) ? readFileSync(file, 'utf8') : title;
  const [head, ...sections] = before.split(/^(?=## )/m);
  const kept = sections.filter(old => !old.startsWith(`## ${section}\n`));
  const date = new Date().toISOString().slice(0, 10);
  const own = `## ${section}\n\n${date}, ${machine}. \`${command}\`\n\n${text.trim()}`;
  const whole = [head, ...kept, own].map(part => part.trim()).join('\n\n');
  writeFileSync(file, `${whole}\n`);
}
