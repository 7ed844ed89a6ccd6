/**
 * What a check of a cluster found, one line each, and below it what to do.
 */
import { styleText } from 'node:util';
import type { Finding } from '../../k8s/checks/finding.ts';
import { harmless } from './text.ts';

const colours = { ok: 'green', warning: 'yellow', missing: 'red' } as const;

export function* findingLines(findings: readonly Finding[]): Generator<string> {
  const width = Math.max(...findings.map(({ name }) => name.length));
  for (const { name, state, found, fix } of findings) {
    const mark = styleText(colours[state], state.padEnd(7), { stream: process.stdout });
    yield `${mark}  ${name.padEnd(width)}  ${harmless(found)}`;
    if (fix) yield `${' '.repeat(width + 11)}${harmless(fix)}`;
  }
}
