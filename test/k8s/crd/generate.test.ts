/**
 * The files that `npm run generate` writes: they are what the schemas say now, nothing is missing in them, and they are fit for API servers.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { generatedFiles, staleFiles } from '../../../k8s/crd/generate.ts';
import type { JsonSchema, Structural } from '../../../k8s/crd/structural.ts';
import { sweep } from '../../../k8s/crd/sweep.ts';
import { trainingJob } from '../../../k8s/crd/trainingJob.ts';
import { statusSchema } from '../../../k8s/status.ts';
import { sweepStatusSchema } from '../../../k8s/sweepStatus.ts';
import { sweepSpecSchema } from '../../../trainer/search/sweepSpec.ts';
import { jobSpecSchema } from '../../../trainer/spec.ts';
import { hasHelm, helm } from '../../tools/tools.ts';

const root = join(import.meta.dirname, '..', '..', '..');

describe('generated files', () => {
  test('are what would be written now (`npm run generate`)', () => {
    expect(staleFiles()).toEqual([]);
  });

  test('are named where they differ, or are not there', () => {
    const folder = mkdtempSync(join(tmpdir(), 'segfleet-generated-'));
    try {
      const files = generatedFiles();
      for (const { file, contents } of files) {
        mkdirSync(dirname(join(folder, file)), { recursive: true });
        writeFileSync(join(folder, file), contents);
      }
      expect(staleFiles(files, folder)).toEqual([]);
      appendFileSync(join(folder, 'k8s/crd/sweep.yaml'), '# by hand\n');
      rmSync(join(folder, 'charts/segfleet/templates/crds/trainingjob.yaml'));
      expect(staleFiles(files, folder)).toEqual(['charts/segfleet/templates/crds/trainingjob.yaml', 'k8s/crd/sweep.yaml']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.runIf(hasHelm())('are the same to Helm, which keeps them, if it is not told otherwise', () => {
    const rendered = (...flags: string[]) => {
      const words = ['template', 'segfleet', join(root, 'charts', 'segfleet'), ...flags];
      const documents = execFileSync(helm, words, { encoding: 'utf8' }).split(/^---$/m);
      return documents.map(text => parse(text, { version: '1.1' })).filter(object => object?.kind === 'CustomResourceDefinition');
    };
    const plain = ['sweep', 'trainingjob'].map(name => parse(readFileSync(join(root, 'k8s', 'crd', `${name}.yaml`), 'utf8')));
    const byDefault = rendered();
    expect(byDefault.map(({ spec }) => spec)).toEqual(plain.map(({ spec }) => spec));
    expect(byDefault.map(({ metadata }) => metadata.annotations)).toEqual(plain.map(() => ({ 'helm.sh/resource-policy': 'keep' })));
    expect(rendered('--set=crds.keep=false').map(({ metadata }) => metadata.annotations)).toEqual([undefined, undefined]);
    expect(rendered('--set=crds.install=false')).toEqual([]);
  });
});

describe.each([
  ['TrainingJob', trainingJob(), jobSpecSchema, statusSchema],
  ['Sweep', sweep(), sweepSpecSchema, sweepStatusSchema],
])('the definition of a %s', (_, definition, specSchema, zodStatus) => {
  const { properties } = definition.spec.versions[0].schema.openAPIV3Schema;
  const { spec, status } = properties!;

  test.each([
    ['spec', spec, specSchema],
    ['status', status, zodStatus],
  ])('has every field of the schema of its %s, and no other', (_, structural, schema) => {
    const json = z.toJSONSchema(schema, { io: 'input' }) as JsonSchema;
    expect([...fieldsOf(structural)].sort()).toEqual([...new Set(fieldsOfJson(json))].sort());
  });

  test('says what each field is', () => {
    const silent = [...nodesOf(spec, 'spec'), ...nodesOf(status, 'status')].filter(({ node, isField }) => isField && !node.description);
    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  test('has a cap on every text, list and map, but for the values of a search', () => {
    const uncapped = [...nodesOf(spec, 'spec'), ...nodesOf(status, 'status')].filter(({ node }) => !isCapped(node));
    const free = ['spec.baseline', 'spec.parameters{}.value', 'spec.parameters{}.values[]', 'status.best.parameters'];
    const inStages = free.filter(path => path.includes('{}')).map(path => path.replace('parameters', 'stages[].parameters'));
    expect(uncapped.map(({ path }) => path).sort()).toEqual(definition.spec.names.kind === 'Sweep' ? [...free, ...inStages].sort() : []);
  });

  test('is small enough for `kubectl apply`, which keeps a copy of it in an annotation of at most 256 KiB', () => {
    expect(JSON.stringify(definition).length).toBeLessThan(200_000);
  });
});

interface Node {
  readonly path: string;
  readonly node: Structural;
  /** Rather than an item of a list or of a map. */
  readonly isField: boolean;
}

function* nodesOf(node: Structural, path: string, isField = true): Generator<Node> {
  yield { path, node, isField };
  for (const [name, inner] of Object.entries(node.properties ?? {})) yield* nodesOf(inner, `${path}.${name}`);
  if (node.items) yield* nodesOf(node.items, `${path}[]`, false);
  if (node.additionalProperties) yield* nodesOf(node.additionalProperties, `${path}{}`, false);
}

const fieldsOf = (schema: Structural) => new Set([...nodesOf(schema, '')].map(({ path }) => path));

function* fieldsOfJson(schema: JsonSchema, path = ''): Generator<string> {
  yield path;
  for (const alternative of schema.oneOf ?? []) yield* fieldsOfJson(alternative, path);
  for (const [name, inner] of Object.entries(schema.properties ?? {})) yield* fieldsOfJson(inner, `${path}.${name}`);
  if (schema.items) yield* fieldsOfJson(schema.items, `${path}[]`);
  const { additionalProperties } = schema;
  // Of a map of values of any type, Kubernetes knows no more than that.
  if (typeof additionalProperties === 'object' && additionalProperties.type) yield* fieldsOfJson(additionalProperties, `${path}{}`);
  if (typeof additionalProperties === 'object' && additionalProperties.anyOf) yield `${path}{}`;
}

function isCapped(node: Structural): boolean {
  if (node['x-kubernetes-preserve-unknown-fields']) return false;
  if (node.type === 'string') return node.maxLength !== undefined || node.enum !== undefined;
  if (node.type === 'array') return node.maxItems !== undefined;
  if (node.additionalProperties) return node.maxProperties !== undefined;
  return node['x-kubernetes-int-or-string'] ? node.maxLength !== undefined : true;
}
