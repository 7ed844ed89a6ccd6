/**
 * A line of a log with the name of who wrote it in front.
 */
import { styleText } from 'node:util';
import type { LogLine } from '../../k8s/logs.ts';
import { shortName } from '../../k8s/pods.ts';
import { harmless } from './text.ts';

const colours = ['cyan', 'green', 'yellow', 'magenta', 'blue'] as const;

/** Where standard output is no terminal, without colours. */
export function logLine({ component, index, text }: LogLine): string {
  const who = shortName({ component, index }).padEnd('coordinator'.length);
  const colour = component === 'coordinator' ? 'bold' : colours[(index ?? 0) % colours.length];
  return `${styleText(colour, `${who} |`, { stream: process.stdout })} ${harmless(text)}`;
}
