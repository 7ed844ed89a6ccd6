/**
 * From zod to the schema of a CRD, on schemas small enough to read.
 */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { structuralOf } from '../../../k8s/crd/definition.ts';

describe('a structural schema', () => {
  test.each<[string, z.ZodType, object]>([
    [
      'has the bounds of a number, and says them, as `kubectl explain` does not',
      z.number().positive().lt(1).describe('Share.'),
      { type: 'number', minimum: 0, exclusiveMinimum: true, maximum: 1, exclusiveMaximum: true, description: 'Share. Above 0, below 1.' },
    ],
    [
      'says nothing of the largest of all integers',
      z.int().min(3),
      { type: 'integer', minimum: 3, maximum: 2 ** 53 - 1, description: 'At least 3.' },
    ],
    ['has a text with its caps', z.string().min(1).max(8).regex(/^a+$/), { type: 'string', minLength: 1, maxLength: 8, pattern: '^a+$' }],
    [
      'has a few numbers as an enumeration',
      z.union([z.literal(1), z.literal(3)]).default(3),
      { type: 'integer', enum: [1, 3], default: 3 },
    ],
    [
      'has a number or a text as Kubernetes has its quantities',
      z.union([z.string().max(9), z.int().min(0)]),
      { 'x-kubernetes-int-or-string': true, maxLength: 9, minimum: 0 },
    ],
    [
      'has any value as one that is not looked at',
      z.unknown().describe('Any.'),
      { 'x-kubernetes-preserve-unknown-fields': true, description: 'Any.' },
    ],
    [
      'has a list',
      z.array(z.boolean()).min(1).max(4),
      { type: 'array', minItems: 1, maxItems: 4, 'x-kubernetes-list-type': 'atomic', items: { type: 'boolean' } },
    ],
    [
      'asks by rule for what OpenAPI cannot ask of the keys of a map',
      z.record(z.string().min(1).max(5).regex(/^a/), z.boolean()).meta({ maxProperties: 2 }),
      {
        type: 'object',
        maxProperties: 2,
        additionalProperties: { type: 'boolean' },
        'x-kubernetes-validations': [
          { rule: 'self.all(key, key.size() >= 1 && key.size() <= 5)', message: 'has a key that is not of 1 to 5 characters' },
          { rule: "self.all(key, key.matches(r'^a'))", message: 'has a key that does not match ^a' },
        ],
      },
    ],
    [
      'has the defaults within an object in the default of the object, where rules look for them',
      z
        .strictObject({
          a: z.boolean().default(true),
          b: z.boolean().optional(),
          c: z.strictObject({ d: z.int().default(2) }).prefault({}),
        })
        .prefault({}),
      { type: 'object', default: { a: true, c: { d: 2 } } },
    ],
  ])('%s', (_, schema, expected) => {
    expect(structuralOf(schema)).toMatchObject(expected);
  });

  test('makes one object of alternatives: rules say which fields a name knows, which it needs, and how far they go', () => {
    const shapes = z.discriminatedUnion('name', [
      z
        .strictObject({
          name: z.literal('circle'),
          filled: z.boolean().default(false),
          size: z.number().min(0).max(10).default(2).describe('Radius.'),
        })
        .describe('round'),
      z.strictObject({
        name: z.literal('square'),
        filled: z.boolean().default(false),
        size: z.number().min(1).max(5).default(1).describe('Side.'),
      }),
      z.strictObject({ name: z.literal('line'), filled: z.boolean().default(false), to: z.array(z.int()).max(2) }),
    ]);
    expect(structuralOf(shapes)).toEqual({
      type: 'object',
      required: ['name'],
      properties: {
        name: { type: 'string', enum: ['circle', 'square', 'line'], description: 'circle: round; square; line' },
        // All names have it, with the same default.
        filled: { type: 'boolean', default: false },
        // The default depends on the name: it is said, and not set.
        size: {
          type: 'number',
          minimum: 0,
          maximum: 10,
          description: 'circle: Radius. square: Side. Only with circle, square. From 0 to 10. By default 2 (circle), 1 (square).',
        },
        to: {
          type: 'array',
          maxItems: 2,
          'x-kubernetes-list-type': 'atomic',
          items: { type: 'integer', minimum: -(2 ** 53) + 1, maximum: 2 ** 53 - 1 },
          description: 'Only with line.',
        },
      },
      'x-kubernetes-validations': [
        {
          rule: "!has(self.size) || self.name != 'line'",
          message: 'is a field of circle, square only',
          fieldPath: '.size',
          reason: 'FieldValueForbidden',
        },
        {
          rule: "self.name != 'square' || !has(self.size) || self.size >= 1.0",
          message: 'must be at least 1 with square',
          fieldPath: '.size',
        },
        {
          rule: "self.name != 'square' || !has(self.size) || self.size <= 5.0",
          message: 'must be at most 5 with square',
          fieldPath: '.size',
        },
        {
          rule: "!has(self.to) || self.name == 'line'",
          message: 'is a field of line only',
          fieldPath: '.to',
          reason: 'FieldValueForbidden',
        },
        { rule: "self.name != 'line' || has(self.to)", message: 'is needed with line', fieldPath: '.to', reason: 'FieldValueRequired' },
      ],
    });
  });

  test.each<[string, z.ZodType, string]>([
    [
      'an object or a text',
      z.strictObject({ a: z.union([z.string(), z.strictObject({})]) }),
      '.a: no structural schema can say this choice of string, object',
    ],
    [
      'a field that is a number with one name and a text with another',
      z.discriminatedUnion('name', [
        z.strictObject({ name: z.literal('a'), x: z.number() }),
        z.strictObject({ name: z.literal('b'), x: z.string() }),
      ]),
      '.x: is another kind of field with another name',
    ],
  ])('cannot be made of %s, and says where that is', (_, schema, message) => {
    expect(() => structuralOf(schema)).toThrow(message);
  });
});
