/**
 * What an audit found: violations, then remarks, each with where it stands.
 */
import { basename } from 'node:path';
import { styleText } from 'node:util';
import type { Audit, PaperAudit } from '../../trainer/report/audit/audit.ts';
import { type Finding, rules } from '../../trainer/report/audit/rules.ts';
import { harmless } from './text.ts';

/** Remarks of one rule and file, in text; JSON has all. */
const shown = 3;

const colours = { violation: 'red', remark: 'yellow' } as const;

const placeOf = ({ file, line, row, columns }: Finding): string =>
  [file && basename(file), line && `line ${line}`, row, columns?.join(' / ')].filter(Boolean).join(', ');

export function* auditLines(audit: Audit | PaperAudit): Generator<string> {
  for (const alike of Map.groupBy(audit.findings, ({ severity, rule, file }) => `${severity} ${rule} ${file}`).values()) {
    const seen = alike[0].severity === 'violation' ? alike : alike.slice(0, shown);
    for (const finding of seen) {
      yield `${styleText(colours[finding.severity], finding.severity, { stream: process.stdout })}: ${harmless(placeOf(finding))}`;
      yield `  ${harmless(finding.sentence)}`;
    }
    if (alike.length > seen.length) yield `  and ${alike.length - seen.length} more such remarks (all with --json)`;
  }
  const used = new Set(audit.findings.map(({ rule }) => rule));
  if (used.size > 0) yield '\nRules:';
  for (const rule of used) yield `  ${rules[rule]}`;
  if ('claims' in audit) {
    const held = audit.claims.filter(({ verdict }) => verdict === 'holds');
    yield '\nOf the text, and so in the tables:';
    for (const { quote, because } of held) yield `  "${quote}": ${because}`;
    yield `\nNot stated: ${audit.notStated.join('; ')}.`;
    const { total, ...runs } = audit.runs;
    yield `Trainings behind the tables: ${Object.entries(runs)
      .map(([name, count]) => `${count} (${name})`)
      .join(' + ')} = ${total}.`;
  }
  yield `\n${audit.files.length} files, ${audit.entries} rows, ${audit.violations} violations, ${audit.remarks} remarks`;
}
