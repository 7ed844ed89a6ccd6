/**
 * Puts rules to the objects of a schema that they are about.
 */
import type { PlacedRule } from './rules.ts';
import type { Rule, Structural } from './structural.ts';

export function place(schema: Structural, rules: readonly PlacedRule[]): void {
  for (const { at, ...rule } of rules) addRules(nodeAt(schema, at), [rule]);
}

export function addRules(schema: Structural, rules: Iterable<Rule>): void {
  schema['x-kubernetes-validations'] = [...(schema['x-kubernetes-validations'] ?? []), ...rules];
}

/** @param path `loss.terms[].of`; '' for the schema itself */
export function nodeAt(schema: Structural, path: string): Structural {
  let node = schema;
  for (const part of path === '' ? [] : path.split('.')) {
    const name = part.replace('[]', '');
    const field: Structural | undefined = node.properties?.[name];
    const inner = part === name ? field : field?.items;
    if (!inner) throw new Error(`${path}: there is no ${part}`);
    node = inner;
  }
  return node;
}
