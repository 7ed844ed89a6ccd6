/**
 * What happened, one line each.
 */
import { styleText } from 'node:util';
import type { EventNews } from '../../k8s/followJob.ts';
import { harmless } from './text.ts';

export function eventLine({ at, type, reason, object, message, count }: EventNews): string {
  const when = at ? new Date(at).toISOString().slice(0, 19).replace('T', ' ') : '-'.padEnd(19);
  const kind = type === 'Warning' ? styleText('yellow', type, { stream: process.stdout }) : type;
  const times = count > 1 ? ` (${count} times)` : '';
  return `${when}  ${kind.padEnd(7)}  ${harmless(`${object}  ${reason}: ${message.replaceAll('\n', ' ')}${times}`)}`;
}
