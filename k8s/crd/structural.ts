/**
 * From the JSON Schema that zod writes to the structural schema that Kubernetes demands: every node has one type, and what a union of objects says by
 * alternatives is said by one flat object and rules. Bounds on single fields become OpenAPI, defaults stay where they are the same whatever else is
 * given; what several fields may say together is for rules.ts.
 */

/** A rule in CEL. The API server says `message`, or what `messageExpression` gives, of the field at `fieldPath`. */
export interface Rule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  /** Below the object that has the rule: `.of.name`. */
  readonly fieldPath?: string;
  readonly reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired' | 'FieldValueDuplicate';
}

/** Words that mean the same in JSON Schema and in OpenAPI v3. */
interface Words {
  type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean';
  description?: string;
  default?: unknown;
  enum?: unknown[];
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  required?: string[];
}

export interface JsonSchema extends Words {
  const?: unknown;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  additionalProperties?: boolean | JsonSchema;
  propertyNames?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
}

export interface Structural extends Words {
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  properties?: Record<string, Structural>;
  items?: Structural;
  additionalProperties?: Structural;
  oneOf?: { required: string[] }[];
  'x-kubernetes-int-or-string'?: true;
  'x-kubernetes-preserve-unknown-fields'?: true;
  'x-kubernetes-list-type'?: 'atomic' | 'map' | 'set';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: Rule[];
}

const words = [
  'type',
  'enum',
  'format',
  'pattern',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'maxProperties',
] as const satisfies (keyof Words)[];

/** The discriminator of all unions of objects. */
const discriminator = 'name';

/** @param path for the errors of those who change a schema */
export function structural(schema: JsonSchema, path = ''): Structural {
  const shape = shapeOf(schema, path);
  const said = [schema.description, ...rangeOf(shape)].filter(Boolean).join(' ');
  return given({ description: said || undefined, default: completed(schema.default, shape), ...shape });
}

/** With the defaults of the fields within, which rules would miss in a default. */
function completed(value: unknown, { properties }: Structural): unknown {
  if (!properties || typeof value !== 'object' || value === null) return value;
  const inner = Object.entries(properties).flatMap(([name, field]) => {
    const one = name in value ? (value as Record<string, unknown>)[name] : field.default;
    return one === undefined ? [] : [[name, completed(one, field)]];
  });
  return Object.fromEntries(inner);
}

function shapeOf(schema: JsonSchema, path: string): Structural {
  const { oneOf, anyOf, properties, items, additionalProperties, propertyNames } = schema;
  if (oneOf) return flatObject(oneOf, path);
  if (anyOf) return eitherOf(anyOf, path);
  if (schema.type === undefined) return { 'x-kubernetes-preserve-unknown-fields': true };
  const kept: Structural = {
    ...Object.fromEntries(words.flatMap(word => (schema[word] === undefined ? [] : [[word, schema[word]]]))),
    ...(schema.const !== undefined && { enum: [schema.const] }),
    ...(schema.exclusiveMinimum !== undefined && { minimum: schema.exclusiveMinimum, exclusiveMinimum: true }),
    ...(schema.exclusiveMaximum !== undefined && { maximum: schema.exclusiveMaximum, exclusiveMaximum: true }),
  };
  if (properties) {
    const inner = Object.entries(properties).map(([name, field]) => [name, structural(field, `${path}.${name}`)]);
    return { ...kept, ...(schema.required && { required: schema.required }), properties: Object.fromEntries(inner) };
  }
  if (typeof additionalProperties === 'object') {
    // CEL sees no map of values of any type; so it sees an object of fields that nobody knows.
    if (additionalProperties.type === undefined && !additionalProperties.anyOf)
      return { ...kept, 'x-kubernetes-preserve-unknown-fields': true };
    const rules = keyRules(propertyNames);
    return { ...kept, additionalProperties: structural(additionalProperties, `${path}{}`), ...withRules(rules) };
  }
  if (items) return { ...kept, 'x-kubernetes-list-type': 'atomic', items: structural(items, `${path}[]`) };
  return kept;
}

/** One value in two types, or one of a few values. */
function eitherOf(anyOf: readonly JsonSchema[], path: string): Structural {
  const types = new Set(anyOf.map(({ type }) => type));
  if (anyOf.every(one => one.const !== undefined) && types.size === 1) {
    const values = anyOf.map(one => one.const);
    return { type: values.every(Number.isInteger) ? 'integer' : anyOf[0].type, enum: values };
  }
  if (types.size === 2 && types.has('string') && types.has('integer')) {
    const { maximum: _, ...bounds } = Object.assign({}, ...anyOf.map(one => shapeOf(one, path)));
    delete bounds.type;
    return { ...bounds, 'x-kubernetes-int-or-string': true };
  }
  throw new Error(`${path}: no structural schema can say this choice of ${[...types].join(', ')}`);
}

/** `propertyNames` is a word that Kubernetes does not have. */
function keyRules({ minLength = 0, maxLength, pattern }: JsonSchema = {}): Rule[] {
  const tests = [
    ...(maxLength === undefined
      ? []
      : [{ test: `key.size() >= ${minLength} && key.size() <= ${maxLength}`, what: `is not of ${minLength} to ${maxLength} characters` }]),
    ...(pattern === undefined ? [] : [{ test: `key.matches(r'${pattern}')`, what: `does not match ${pattern}` }]),
  ];
  return tests.map(({ test, what }) => ({ rule: `self.all(key, ${test})`, message: `has a key that ${what}` }));
}

interface Variant {
  readonly name: string;
  readonly field: JsonSchema;
}

/** All fields that any of the alternatives has. Rules say which of them a name has, which it needs, and where its bounds are narrower than those of others. */
function flatObject(alternatives: readonly JsonSchema[], path: string): Structural {
  const nameOf = ({ properties }: JsonSchema) => String(properties![discriminator].const);
  const names = alternatives.map(nameOf);
  const variants = new Map<string, Variant[]>();
  for (const alternative of alternatives) {
    for (const [key, field] of Object.entries(alternative.properties!)) {
      if (key === discriminator) continue;
      variants.set(key, [...(variants.get(key) ?? []), { name: nameOf(alternative), field }]);
    }
  }
  const rules: Rule[] = [];
  const properties: Record<string, Structural> = {
    [discriminator]: {
      description: alternatives.map(one => [nameOf(one), one.description].filter(Boolean).join(': ')).join('; '),
      type: 'string',
      enum: names,
    },
  };
  for (const [key, all] of variants) {
    const ofAll = all.length === names.length;
    properties[key] = joined(all, ofAll, `${path}.${key}`);
    if (!ofAll) rules.push(knows(key, all, names));
    rules.push(...narrower(key, all, properties[key]));
  }
  for (const alternative of alternatives) {
    for (const key of alternative.required!.filter(key => key !== discriminator)) {
      rules.push({
        rule: `self.${discriminator} != '${nameOf(alternative)}' || has(self.${key})`,
        message: `is needed with ${nameOf(alternative)}`,
        fieldPath: `.${key}`,
        reason: 'FieldValueRequired',
      });
    }
  }
  return { type: 'object', required: [discriminator], properties, ...withRules(rules) };
}

/** One field for that of all variants: the widest bounds. Its default is said in words where it depends on the name. */
function joined(variants: readonly Variant[], ofAll: boolean, path: string): Structural {
  const shapes = variants.map(({ field }) => shapeOf(field, path));
  const [first] = shapes;
  const bounds = ['minimum', 'exclusiveMinimum', 'maximum', 'exclusiveMaximum'] as const;
  const rest = (shape: Structural) => JSON.stringify({ ...shape, ...Object.fromEntries(bounds.map(bound => [bound, undefined])) });
  if (shapes.some(shape => rest(shape) !== rest(first))) throw new Error(`${path}: is another kind of field with another ${discriminator}`);
  const shape = given({ ...first, ...edge(shapes, 'minimum', 'exclusiveMinimum', -1), ...edge(shapes, 'maximum', 'exclusiveMaximum', 1) });

  const sameForAll = (of: (field: JsonSchema) => unknown) => grouped(variants.map(({ name, field }) => ({ name, said: of(field) })));
  const descriptions = sameForAll(({ description }) => description);
  const defaults = sameForAll(field => field.default);
  const isDefault = ofAll && defaults.length === 1;
  const said = [
    descriptions.length === 1 ? descriptions[0].said : descriptions.map(({ names, said }) => `${listOf(names)}: ${said}`).join(' '),
    !ofAll && `Only with ${listOf(variants.map(({ name }) => name))}.`,
    ...rangeOf(shape),
    !isDefault && defaultsInWords(defaults),
  ];
  return given({ description: said.filter(Boolean).join(' ') || undefined, default: isDefault ? defaults[0].said : undefined, ...shape });
}

const given = <T extends object>(object: T): T =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;

interface Group {
  readonly names: string[];
  readonly said: unknown;
}

function grouped(said: readonly { name: string; said: unknown }[]): Group[] {
  const groups = new Map<string, Group>();
  for (const { name, said: what } of said) {
    const key = JSON.stringify(what) ?? '';
    const group = groups.get(key) ?? { names: [], said: what };
    group.names.push(name);
    groups.set(key, group);
  }
  return [...groups.values()];
}

const listOf = (names: readonly string[]) => names.join(', ');

function defaultsInWords(defaults: readonly Group[]): string | undefined {
  const some = defaults.filter(({ said }) => said !== undefined);
  if (some.length === 0) return undefined;
  const one = ({ said, names }: Group) => `${inWords(said)}${defaults.length > 1 ? ` (${listOf(names)})` : ''}`;
  return `By default ${some.map(one).join(', ')}.`;
}

/** Lists of objects with names are said by these. */
function inWords(value: unknown): string {
  if (Array.isArray(value)) return value.map(inWords).join(' and ');
  return typeof value === 'object' && value !== null && discriminator in value ? String(value[discriminator]) : String(value);
}

/** The outermost of the bounds; none where some shape has none. */
function edge<B extends 'minimum' | 'maximum', X extends 'exclusiveMinimum' | 'exclusiveMaximum'>(
  shapes: readonly Structural[],
  bound: B,
  exclusive: X,
  direction: 1 | -1,
): Pick<Structural, B | X> {
  const values = shapes.map(shape => shape[bound]);
  if (values.includes(undefined)) return { [bound]: undefined, [exclusive]: undefined } as Pick<Structural, B | X>;
  const outermost = direction * Math.max(...values.map(value => direction * value!));
  const isExclusive = shapes.filter(shape => shape[bound] === outermost).every(shape => shape[exclusive]);
  return { [bound]: outermost, [exclusive]: isExclusive || undefined } as Pick<Structural, B | X>;
}

/** The shorter of "is one of these" and "is none of those". */
function isOneOf(wanted: readonly string[], all: readonly string[]): string {
  const quoted = (names: readonly string[]) => names.map(name => `'${name}'`).join(', ');
  const others = all.filter(name => !wanted.includes(name));
  const name = `self.${discriminator}`;
  if (wanted.length === 1) return `${name} == '${wanted[0]}'`;
  if (others.length === 1) return `${name} != '${others[0]}'`;
  return wanted.length <= others.length ? `${name} in [${quoted(wanted)}]` : `!(${name} in [${quoted(others)}])`;
}

function knows(key: string, variants: readonly Variant[], all: readonly string[]): Rule {
  const names = variants.map(({ name }) => name);
  return {
    rule: `!has(self.${key}) || ${isOneOf(names, all)}`,
    message: `is a field of ${listOf(names)} only`,
    fieldPath: `.${key}`,
    reason: 'FieldValueForbidden',
  };
}

function narrower(key: string, variants: readonly Variant[], widest: Structural): Rule[] {
  return variants.flatMap(({ name, field }) => {
    const own = shapeOf(field, key);
    const ends = [
      {
        bound: own.minimum,
        isExclusive: own.exclusiveMinimum,
        widest: [widest.minimum, widest.exclusiveMinimum],
        compare: '>',
        words: ['at least', 'more than'],
      },
      {
        bound: own.maximum,
        isExclusive: own.exclusiveMaximum,
        widest: [widest.maximum, widest.exclusiveMaximum],
        compare: '<',
        words: ['at most', 'less than'],
      },
    ];
    return ends
      .filter(({ bound, isExclusive, widest }) => bound !== undefined && (bound !== widest[0] || isExclusive !== widest[1]))
      .map(({ bound, isExclusive, compare, words }) => ({
        rule: `self.${discriminator} != '${name}' || !has(self.${key}) || self.${key} ${compare}${isExclusive ? '' : '='} ${inCel(bound!, own.type)}`,
        message: `must be ${words[isExclusive ? 1 : 0]} ${bound} with ${name}`,
        fieldPath: `.${key}`,
      }));
  });
}

/** CEL tells integers from numbers by their writing. */
const inCel = (value: number, type: Structural['type']) =>
  type === 'number' && Number.isInteger(value) ? value.toFixed(1) : String(value);

/** What `kubectl explain` does not say by itself. */
function rangeOf({ type, minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Structural): string[] {
  if (type !== 'number' && type !== 'integer') return [];
  const hasMinimum = minimum !== undefined && minimum !== Number.MIN_SAFE_INTEGER;
  const hasMaximum = maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER;
  if (hasMinimum && hasMaximum && !exclusiveMinimum && !exclusiveMaximum) return [`From ${minimum} to ${maximum}.`];
  const ends = [
    ...(hasMinimum ? [`${exclusiveMinimum ? 'above' : 'at least'} ${minimum}`] : []),
    ...(hasMaximum ? [`${exclusiveMaximum ? 'below' : 'at most'} ${maximum}`] : []),
  ].join(', ');
  return ends === '' ? [] : [`${ends[0].toUpperCase()}${ends.slice(1)}.`];
}

const withRules = (rules: readonly Rule[]): Pick<Structural, 'x-kubernetes-validations'> =>
  rules.length > 0 ? { 'x-kubernetes-validations': [...rules] } : {};
