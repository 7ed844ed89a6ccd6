/**
 * Values that a JSON Schema describes, and values that are nearly so. Most fields that may be left out are, else some conflict would be in every value.
 */
import fc from 'fast-check';
import type { JsonSchema } from '../../k8s/crd/structural.ts';

export function arbitraryOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  const { oneOf, anyOf, enum: values, properties, items } = schema;
  if (oneOf) return fc.oneof(...oneOf.map(arbitraryOf));
  if (anyOf) return fc.oneof(...anyOf.map(arbitraryOf));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (values) return fc.constantFrom(...values);
  if (properties) return objectOf(properties, schema.required ?? []);
  if (typeof schema.additionalProperties === 'object') {
    const keys = textOf({ maxLength: 8, ...schema.propertyNames });
    return fc.dictionary(keys, arbitraryOf(schema.additionalProperties), { maxKeys: 3 });
  }
  if (items)
    return fc.array(arbitraryOf(items), { minLength: schema.minItems ?? 0, maxLength: Math.min(schema.maxItems ?? 3, 3), size: 'max' });
  switch (schema.type) {
    case 'string':
      return textOf(schema);
    case 'integer':
      return integerOf(schema);
    case 'number':
      return numberOf(schema);
    case 'boolean':
      return fc.boolean();
    default:
      return fc.oneof(fc.integer(), fc.string(), fc.boolean());
  }
}

function objectOf(properties: Readonly<Record<string, JsonSchema>>, required: readonly string[]): fc.Arbitrary<unknown> {
  const fields = Object.entries(properties).map(([key, field]) => [key, arbitraryOf(field)] as const);
  const needed = fields.filter(([key]) => required.includes(key));
  const optional = fields.filter(([key]) => !required.includes(key));
  return fc
    .subarray(optional, { maxLength: Math.min(optional.length, 3) })
    .chain(some => fc.record(Object.fromEntries([...needed, ...some])));
}

function textOf({ pattern, minLength = 0, maxLength = 100 }: JsonSchema): fc.Arbitrary<string> {
  const texts = pattern
    ? fc.stringMatching(new RegExp(pattern, 'u'), { maxLength: Math.min(maxLength, 100) })
    : fc.string({ minLength, maxLength: Math.min(maxLength, 20) });
  return texts.filter(text => text.length >= minLength && text.length <= maxLength);
}

/** Small ones, large ones, multiples of 16, and the ends. */
function integerOf({ minimum = 0, maximum = Number.MAX_SAFE_INTEGER }: JsonSchema): fc.Arbitrary<number> {
  const within = (value: number) => Math.min(Math.max(value, minimum), maximum);
  return fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 8 }).map(value => within(16 * value)) },
    { weight: 3, arbitrary: fc.integer({ min: minimum, max: within(minimum + 8) }) },
    { weight: 1, arbitrary: fc.constantFrom(minimum, maximum) },
  );
}

function numberOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: JsonSchema): fc.Arbitrary<number> {
  const ends = {
    min: exclusiveMinimum ?? minimum ?? -1000,
    max: exclusiveMaximum ?? maximum ?? 1000,
    minExcluded: exclusiveMinimum !== undefined,
    maxExcluded: exclusiveMaximum !== undefined,
  };
  return fc.double({ ...ends, noNaN: true });
}

/** The value with something else at one of its places, or with a field of another of its objects. */
export function spoiled(value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const others = [
    0,
    -1,
    1,
    2,
    17,
    0.5,
    1e12,
    '',
    'a',
    'b'.repeat(2000),
    true,
    [],
    {},
    ['a'],
    [1, 2],
    { name: 'dice' },
    { name: 'sum', terms: [] },
  ];
  return fc.tuple(value, fc.nat(), fc.nat(), fc.constantFrom(...others)).map(([value, at, name, other]) => {
    const copy = structuredClone(value);
    const places = [...placesIn(copy)];
    if (places.length === 0) return copy;
    const place = places[at % places.length];
    const keys = [...new Set(places.map(({ key }) => key))].filter(key => typeof key === 'string');
    // Half of the time the place stays, and the object gets a field that another one has.
    const key = name % 2 === 0 || Array.isArray(place.object) ? place.key : keys[(name >> 1) % keys.length];
    place.object[key as string] = other;
    return copy;
  });
}

interface Place {
  readonly object: Record<string, unknown>;
  readonly key: string | number;
}

function* placesIn(value: unknown): Generator<Place> {
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) {
    const object = value as Record<string, unknown>;
    yield { object, key: Array.isArray(value) ? Number(key) : key };
    yield* placesIn(object[key]);
  }
}
