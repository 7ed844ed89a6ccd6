/**
 * `npm run generate` writes the files that follow from our schemas; `npm run verify` (`--check`) fails where one of them is not what would be written.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { referencePage } from '../../trainer/tracking/reference.ts';
import { generatedChartFiles } from '../chartValues.ts';
import { monitoringFiles } from '../monitoring/files.ts';
import type { Definition } from './definition.ts';
import { sweep } from './sweep.ts';
import { trainingJob } from './trainingJob.ts';

interface GeneratedFile {
  /** From the root of the repository. */
  readonly file: string;
  readonly contents: string;
}

const root = join(import.meta.dirname, '..', '..');
const heading = '# Written by `npm run generate`: what is changed here is lost.\n';

/** Programs read this as YAML 1.1: words that mean something else there come in quotes. */
const yaml = (value: unknown): string => stringify(value, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false });

/** In templates rather than in `crds/`, which Helm never upgrades. */
function template(definition: Definition): string {
  const { apiVersion, kind, metadata, spec } = definition;
  return [
    heading,
    '{{- if .Values.crds.install }}\n',
    yaml({ apiVersion, kind, metadata }),
    '  labels: {{- include "segfleet.labels" . | nindent 4 }}\n',
    '  {{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n',
    withoutActions(yaml({ spec })),
    '{{- end }}\n',
  ].join('');
}

/** What Helm would take for its own. */
const withoutActions = (text: string): string => text.replaceAll('{{', '{{ "{{" }}');

export function generatedFiles(): GeneratedFile[] {
  const definitions = { trainingjob: trainingJob(), sweep: sweep() };
  return [
    ...Object.entries(definitions).flatMap(([name, definition]) => [
      { file: `k8s/crd/${name}.yaml`, contents: heading + yaml(definition) },
      { file: `charts/segfleet/templates/crds/${name}.yaml`, contents: template(definition) },
    ]),
    ...generatedChartFiles(),
    ...monitoringFiles(),
    { file: 'docs/metrics.md', contents: referencePage() },
  ];
}

/** @returns those that are not as they would be written */
export const staleFiles = (files: readonly GeneratedFile[] = generatedFiles(), folder = root): string[] =>
  files
    .filter(({ file, contents }) => !existsSync(join(folder, file)) || readFileSync(join(folder, file), 'utf8') !== contents)
    .map(({ file }) => file);

if (import.meta.main) {
  if (process.argv.includes('--check')) {
    const stale = staleFiles();
    for (const file of stale) process.stderr.write(`${file} is not what \`npm run generate\` writes; run that\n`);
    process.exitCode = stale.length > 0 ? 12 : 0;
  } else {
    for (const { file, contents } of generatedFiles()) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), contents);
    }
  }
}
