/**
 * What the fields of a job may not say together, in CEL: the rules of trainer/spec.ts, in the same sentences, as far as an API server can check them
 * when a job is applied.
 */
import { simpleLosses } from '../../trainer/losses/simple.ts';
import { modelSchema, models, numHeads, stride } from '../../trainer/models/catalogue.ts';
import type { Rule } from './structural.ts';

export interface PlacedRule extends Rule {
  /** The object that has the rule, from that of all: `data.split`, `loss.terms[]`. */
  readonly at: string;
}

/** A sentence with values in it, as CEL that makes it: strings are CEL, numbers are themselves. (A sum of texts would cost too much, by the estimate.) */
export function say(texts: TemplateStringsArray, ...values: (string | number)[]): string {
  const format = String.raw({ raw: texts }, ...values.map(value => (typeof value === 'number' ? value : '%s')));
  return `'${format}'.format([${values.filter(value => typeof value === 'string').join(', ')}])`;
}

const valueOr = (field: string, otherwise: string) => `(has(${field}) ? ${field} : ${otherwise})`;
/** `rule`, where something is so. */
const where = (conditions: readonly (string | undefined)[], rule: string) =>
  [...conditions.flatMap(one => (one ? [`!(${one})`] : [])), rule].join(' || ');

/** Where a job has losses, and in CEL whether it has them. */
const losses = [
  { path: 'loss', given: () => undefined },
  { path: 'deepSupervision.loss', given: (spec: string) => `has(${spec}.deepSupervision) && has(${spec}.deepSupervision.loss)` },
] as const;
const below = (...paths: readonly string[]) => losses.flatMap(({ path }) => paths.map(inner => `${path}${inner}`));
const allLosses = below('', '.of', '.of.terms[]', '.terms[]', '.terms[].of');
const wrappedLosses = below('.of', '.terms[].of');

const namesOf = (has: 'sortsPixels' | 'joinsClasses') =>
  Object.entries(simpleLosses).flatMap(([name, entry]) => ((entry as { [H in typeof has]?: boolean })[has] ? [`'${name}'`] : []));

/** Whether a loss, or one that it is made of, has one of these names. (What `of` and `terms` are by default has none of them.) */
function some(loss: string, names: readonly string[]): string {
  const is = (one: string) => `${one}.name in [${names.join(', ')}]`;
  const inOf = `has(${loss}.of) && (${is(`${loss}.of`)} || has(${loss}.of.terms) && ${loss}.of.terms.exists(t, ${is('t')}))`;
  const inTerms = `has(${loss}.terms) && ${loss}.terms.exists(t, ${is('t')} || has(t.of) && ${is('t.of')})`;
  return `(${is(loss)} || ${inOf} || ${inTerms})`;
}

const isMeasurable = (loss: string) =>
  `${loss}.name != 'boundary' && !(${loss}.name == 'combo' && has(${loss}.asReleased) && ${loss}.asReleased)`;

function* lossRules(): Generator<PlacedRule> {
  const smooth = valueOr('self.smooth', '1.0');
  const ofNumerator = valueOr('self.smoothNumerator', smooth);
  for (const at of allLosses) {
    yield {
      at,
      rule: where(
        ['has(self.smoothNumerator) || has(self.smoothDenominator)'],
        `${ofNumerator} <= ${valueOr('self.smoothDenominator', smooth)}`,
      ),
      message: 'must be at most that of the denominator, else a perfect overlap is above 1',
      fieldPath: '.smoothNumerator',
    };
  }
  for (const at of wrappedLosses) {
    const hasTerms = !at.includes('[]');
    yield {
      at,
      rule: `${isMeasurable('self')}${hasTerms ? ` && (!has(self.terms) || self.terms.all(t, ${isMeasurable('t')}))` : ''}`,
      messageExpression: say`is ${'self.name'}, whose least value is not known: adaptiveLog cannot measure from it`,
    };
  }
  for (const { path, given } of losses) {
    const weights = `self.${path}.classWeights`;
    const isGiven = [given('self'), `has(${weights})`];
    yield {
      at: '',
      rule: where(isGiven, `${weights}.size() == self.data.classes`),
      messageExpression: say`has ${`${weights}.size()`} numbers; one for each of data.classes, ${'self.data.classes'}, is expected`,
      fieldPath: `.${path}.classWeights`,
    };
    yield {
      at: '',
      rule: where(
        [...isGiven, `self.data.exclusive && ${weights}.size() == self.data.classes`],
        `!${some(`self.${path}`, namesOf('joinsClasses'))}`,
      ),
      messageExpression: say`cannot weigh the classes of ${`self.${path}.name`}, which joins exclusive classes itself; leave it out`,
      fieldPath: `.${path}.classWeights`,
    };
  }
}

function* dataRules(): Generator<PlacedRule> {
  for (const group of ['patches', 'size'] as const) {
    for (const side of ['height', 'width'] as const) {
      const value = `self.data.${group}.${side}`;
      yield {
        at: '',
        rule: where([`${group === 'size' ? '!' : ''}has(self.data.patches)`], `${value} % ${stride} == 0`),
        messageExpression: say`is ${value}, which is not divisible by ${stride} as ${'self.model.name'} needs; try ${`(${value} + ${stride / 2}) / ${stride} * ${stride}`}`,
        fieldPath: `.data.${group}.${side}`,
      };
    }
  }
  for (const part of ['validation', 'test'] as const) {
    const value = `self.${part}`;
    yield {
      at: 'data.split',
      // Above the integers that a number holds exactly, all are whole.
      rule: `${value} < 1.0 || ${value} > 9007199254740991.0 || ${value} == double(int(${value}))`,
      message: 'must be a share below 1 or a whole number of cases',
      fieldPath: `.${part}`,
    };
  }
  yield {
    at: 'data.split',
    rule: where(['has(self.file)'], 'self.test == 0.0'),
    messageExpression: say`is ${'self.test'}, and data.split.file has no test part; leave one of them out`,
    fieldPath: '.test',
  };
  yield {
    at: 'data',
    rule: where(['self.exclusive'], 'self.classes >= 2'),
    message: 'needs data.classes of at least 2 (background is one of them); with one class leave it out',
    fieldPath: '.exclusive',
  };
  yield {
    at: 'data.augmentation.elastic',
    rule: '2.0 * self.pixels < self.spacing',
    message: 'must be less than half of elastic.spacing, else the image may fold over itself; lower it or raise the spacing',
    fieldPath: '.pixels',
  };
}

/** The networks with outputs at coarser levels: all of them have a switch of that name, which is on by default. */
function* deepSupervisionRules(): Generator<PlacedRule> {
  const numbers = Object.keys(models).map(name => ({ name, heads: numHeads(modelSchema.parse({ name })) }));
  const withHeads = numbers.filter(({ heads }) => heads > 0);
  const isOn = `(!has(self.model.deepSupervision) || self.model.deepSupervision)`;
  yield {
    at: '',
    rule: where(['has(self.deepSupervision)'], `self.model.name in [${withHeads.map(({ name }) => `'${name}'`).join(', ')}] && ${isOn}`),
    messageExpression: say`is given, and ${'self.model.name'} has no outputs at coarser levels; leave it out`,
    fieldPath: '.deepSupervision',
  };
  for (const { name, heads } of withHeads) {
    const weights = 'self.deepSupervision.weights';
    yield {
      at: '',
      rule: where(
        [`has(self.deepSupervision) && has(${weights}) && self.model.name == '${name}' && ${isOn}`],
        `${weights}.size() == ${heads}`,
      ),
      messageExpression: say`has ${`${weights}.size()`} numbers; ${'self.model.name'} has ${heads} coarser outputs`,
      fieldPath: '.deepSupervision.weights',
    };
  }
}

function* workersRules(): Generator<PlacedRule> {
  yield {
    at: 'workers',
    rule: where(['has(self.max)'], 'self.replicas <= self.max'),
    messageExpression: say`is ${'self.replicas'}, more than workers.max, ${'self.max'}; raise that, or have fewer`,
    fieldPath: '.replicas',
  };
  yield {
    at: 'workers',
    rule: 'self.min <= self.replicas',
    messageExpression: say`is ${'self.min'}, more than workers.replicas, ${'self.replicas'}: the run would wait for ever`,
    fieldPath: '.min',
  };
  const maxDecides = 'has(self.workers.max) && self.workers.max > self.workers.replicas';
  for (const field of ['max', 'replicas'] as const) {
    const value = `self.workers.${field}`;
    yield {
      at: '',
      rule: where(['has(self.training.lanes)', field === 'max' ? maxDecides : `!(${maxDecides})`], `${value} <= self.training.lanes`),
      messageExpression: say`is ${value}, and training.lanes is ${'self.training.lanes'}: a worker needs a lane at least. More lanes (training.lanes: ${value}) are another training: each has its own dropout and batch statistics`,
      fieldPath: `.workers.${field}`,
    };
  }
}

function* podRules(): Generator<PlacedRule> {
  const sources = ['claim', 'secret', 'configMap', 'emptyDir'];
  yield {
    at: 'pod.volumes[]',
    rule: `[${sources.map(source => `has(self.${source})`).join(', ')}].filter(given, given).size() == 1`,
    message: `must have exactly one of ${sources.join(', ')}`,
  };
  yield {
    at: 'pod.volumes',
    rule: 'self.all(one, self.exists_one(other, other.mountPath == one.mountPath))',
    message: 'has two volumes at the same place',
  };
  const at = 'pod.tolerations[]';
  yield {
    at,
    rule: "has(self.key) || has(self.operator) && self.operator == 'Exists'",
    message: 'must be Exists where there is no key',
    fieldPath: '.operator',
  };
  yield {
    at,
    rule: "!has(self.value) || !has(self.operator) || self.operator != 'Exists'",
    message: 'cannot be there with Exists, which takes any',
    fieldPath: '.value',
  };
  yield {
    at,
    rule: "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
    message: 'must be NoExecute where there are tolerationSeconds',
    fieldPath: '.effect',
  };
}

/** Of the object below `spec`. */
export const specRules: readonly PlacedRule[] = [
  ...lossRules(),
  ...dataRules(),
  ...deepSupervisionRules(),
  ...workersRules(),
  ...podRules(),
];

/**
 * What depends on the number of lanes: the default of that is workers.max, whose default is workers.replicas, until it is frozen.
 *
 * @param spec the object in CEL, and the path to it
 * @param frozen the frozen number in CEL, and whether there is one
 */
export function* laneRules(spec: { cel: string; path: string }, frozen?: { given: string; lanes: string }): Generator<Rule> {
  const { cel, path } = spec;
  const derived = `has(${cel}.training.lanes) ? ${cel}.training.lanes : ${valueOr(`${cel}.workers.max`, `${cel}.workers.replicas`)}`;
  const lanes = frozen ? `(${frozen.given} ? ${frozen.lanes} : ${derived})` : `(${derived})`;
  const batch = `${cel}.training.batch`;
  yield {
    rule: `${batch} % ${lanes} == 0`,
    messageExpression: say`is ${batch}, which is not divisible by training.lanes, ${lanes}; try ${`(${batch} + ${lanes} - 1) / ${lanes} * ${lanes}`}`,
    fieldPath: `${path}.training.batch`,
  };
  yield {
    rule: where([`${cel}.training.wire == 'bfloat16'`], `${lanes} > 1`),
    message: 'is bfloat16, and with one lane (training.lanes) nothing travels; use float32, or more lanes',
    fieldPath: `${path}.training.wire`,
  };
  for (const { path: inner, given } of losses) {
    const loss = `${cel}.${inner}`;
    yield {
      rule: where([given(cel), `${loss}.pool == 'batch' && ${lanes} > 1`], `!${some(loss, namesOf('sortsPixels'))}`),
      messageExpression: say`is batch, and ${`${loss}.name`} sorts the pixels of a unit, which ${lanes} lanes have not in one place; use lane or image`,
      fieldPath: `${path}.${inner}.pool`,
    };
  }
}
