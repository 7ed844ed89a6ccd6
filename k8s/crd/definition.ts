/**
 * A CustomResourceDefinition of ours: what both kinds have in common.
 */
import { z } from 'zod';
import { metadataSchema } from '../../trainer/spec.ts';
import { group, version } from '../names.ts';
import { addRules } from './place.ts';
import { type JsonSchema, type Rule, type Structural, structural } from './structural.ts';

export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  readonly description: string;
  /** 1: with `-o wide` only. */
  readonly priority?: 1;
}

export interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly spec: Structural;
  readonly status: Structural;
  /** Of the whole object. */
  readonly rules: Iterable<Rule>;
  readonly subresources: Readonly<Record<string, object>>;
  readonly columns: readonly Column[];
}

export type Definition = ReturnType<typeof definitionOf>;

export const structuralOf = (schema: z.ZodType): Structural => structural(z.toJSONSchema(schema, { io: 'input' }) as JsonSchema);

const [nameIssue] = metadataSchema.shape.name.safeParse('').error!.issues;

/** The API server alone would let names be as long as 253, with dots: too much for a label, or for the names of pods. */
const nameRule: Rule = {
  rule: "self.size() <= 63 && !self.contains('.')",
  message: nameIssue.message,
};

export function definitionOf({ kind, plural, shortNames, description, spec, status, rules, subresources, columns }: Kind) {
  const singular = kind.toLowerCase();
  const schema: Structural = {
    description,
    type: 'object',
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: `${group}/${version}` },
      kind: { type: 'string', description: kind },
      metadata: { type: 'object', properties: { name: { type: 'string', maxLength: 253, 'x-kubernetes-validations': [nameRule] } } },
      spec,
      status: { ...status, description: 'What the operator has seen; nobody else writes it.' },
    },
  };
  addRules(schema, rules);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames, categories: ['segfleet'] },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: schema },
          subresources: { status: {}, ...subresources },
          additionalPrinterColumns: columns,
        },
      ],
    },
  };
}

/** The fields of an object, which may come or stay away, but not change while the object is there. */
export function unchangeable(object: Structural, fields: readonly string[], message: string, path = ''): Rule[] {
  const self = `self${path}`;
  const old = `oldSelf${path}`;
  return fields.map(field => {
    const isAlwaysThere = object.required?.includes(field) || object.properties![field].default !== undefined;
    const same = `${self}.${field} == ${old}.${field}`;
    const has = `has(${self}.${field})`;
    return {
      rule: isAlwaysThere ? same : `${has} == has(${old}.${field}) && (!${has} || ${same})`,
      message,
      fieldPath: `${path}.${field}`,
      reason: 'FieldValueForbidden',
    };
  });
}
