/**
 * The CustomResourceDefinition of a Sweep: the sweep file, with its job in it, as a kind of Kubernetes.
 */
import { endlessMethods, sweepSpecSchema } from '../../trainer/search/sweepSpec.ts';
import { sweepStatusSchema } from '../sweepStatus.ts';
import { definitionOf, structuralOf, unchangeable } from './definition.ts';
import { addRules, nodeAt, place } from './place.ts';
import { laneRules, type PlacedRule } from './rules.ts';
import type { Rule, Structural } from './structural.ts';
import { jobSpec } from './trainingJob.ts';

const mutable = ['suspend', 'limits', 'table'];
const cannotChange = `cannot be changed: of a sweep only ${mutable.join(', ')} may; delete it, or make another sweep with another name`;

const needed = (method: string, field: string): PlacedRule => ({
  at: '',
  rule: `self.method != '${method}' || has(self.${field})`,
  message: `is needed with the method ${method}`,
  fieldPath: `.${field}`,
  reason: 'FieldValueRequired',
});

/** Whether a grid can take all values of a map of parameters. */
const hasEnd = (space: string) =>
  `${space}.all(key, !has(${space}[key].distribution) || ${space}[key].distribution == 'uniform' && has(${space}[key].step))`;
const endless = 'has numbers without end, and a grid takes all of them; give it values, or uniform with a step';

const specRules: readonly PlacedRule[] = [
  needed('hyperband', 'hyperband'),
  needed('pbt', 'pbt'),
  needed('staged', 'stages'),
  {
    at: '',
    rule: "self.method != 'asha' || has(self.earlyStop) && self.earlyStop.type == 'asha'",
    message: 'must be there with the type asha, with the method asha',
    fieldPath: '.earlyStop',
  },
  {
    at: '',
    rule: "!(self.method in ['hyperband', 'pbt']) || !has(self.earlyStop) || self.earlyStop.type != 'asha'",
    message: 'is asha, and hyperband and pbt end trials themselves; use median',
    fieldPath: '.earlyStop.type',
  },
  {
    at: '',
    rule: "!(self.method in ['hyperband', 'pbt']) || !has(self.earlyStop) || self.earlyStop.timeMetric != 'step'",
    message: 'is step, and hyperband and pbt count in epochs; use epoch',
    fieldPath: '.earlyStop.timeMetric',
  },
  {
    at: '',
    rule: `!(self.method in [${endlessMethods.map(method => `'${method}'`).join(', ')}]) || has(self.limits.maxTrials)`,
    message: 'is needed with the methods random, sobol, tpe and asha, which could go on for ever',
    fieldPath: '.limits.maxTrials',
    reason: 'FieldValueRequired',
  },
  {
    at: '',
    rule: `!(self.method in ['grid', 'staged']) || ${hasEnd('self.parameters')}`,
    message: endless,
    fieldPath: '.parameters',
  },
  {
    at: '',
    rule: `!(self.method in ['grid', 'staged']) || !has(self.stages) || self.stages.all(s, !has(s.parameters) || ${hasEnd('s.parameters')})`,
    message: endless,
    fieldPath: '.stages',
  },
  {
    at: 'stages',
    // Whether that stage is an earlier one would cost too much to ask here.
    rule: "self.all(s, !has(s.fixFrom) || self.exists(other, s.fixFrom == other.name + '.best'))",
    message: 'has a fixFrom that is not the name of a stage, and .best',
  },
];

/** Of one parameter. */
const parameterRules: readonly Rule[] = [
  {
    rule: "!has(self.distribution) || !(self.distribution in ['uniform', 'logUniform']) || has(self.min) && has(self.max) && self.min < self.max",
    message: 'must be there, and below max, with uniform and logUniform',
    fieldPath: '.min',
  },
  {
    rule: "!has(self.distribution) || self.distribution != 'logUniform' || has(self.min) && self.min > 0.0",
    message: 'must be above 0 with logUniform',
    fieldPath: '.min',
  },
  {
    rule: "!has(self.distribution) || !(self.distribution in ['normal', 'logNormal']) || has(self.mean) && has(self.deviation)",
    message: 'must be there, and deviation too, with normal and logNormal',
    fieldPath: '.mean',
  },
];

export function sweep() {
  const spec = structuralOf(sweepSpecSchema.describe('The search: what a sweep file says.'));
  place(spec, specRules);
  for (const parameters of [nodeAt(spec, 'parameters'), nodeAt(spec, 'stages[].parameters')]) {
    const parameter = parameters.additionalProperties!;
    addRules(parameter, parameterRules);
    // CEL does not see fields of any type.
    parameter.oneOf = ['value', 'values', 'distribution'].map(source => ({ required: [source] }));
  }
  Object.assign(nodeAt(spec, 'stages'), { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] });
  const frozen = Object.keys(spec.properties!).filter(field => !mutable.includes(field));
  addRules(spec, unchangeable(spec, frozen, cannotChange));

  const job: Structural = jobSpec();
  addRules(job, laneRules({ cel: 'self', path: '' }));
  const base = nodeAt(spec, 'base');
  base.properties!.spec = job;

  const status = structuralOf(sweepStatusSchema);
  Object.assign(status.properties!.conditions, { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] });

  return definitionOf({
    kind: 'Sweep',
    plural: 'sweeps',
    shortNames: ['sw'],
    description:
      'A search: many TrainingJobs that differ in some fields, and what comes out best. The same file is for `segfleet sweep run`.',
    spec,
    status,
    rules: [],
    subresources: {},
    columns: [
      { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'Where the sweep stands.' },
      { name: 'Method', type: 'string', jsonPath: '.spec.method', description: 'How parameters are chosen.' },
      { name: 'Stage', type: 'string', jsonPath: '.status.stage', description: 'The stage under way.', priority: 1 },
      { name: 'Trials', type: 'string', jsonPath: '.status.progress', description: 'Trials that ended, of all that are known.' },
      { name: 'Running', type: 'integer', jsonPath: '.status.trials.running', description: 'Trials under way.' },
      { name: 'Failed', type: 'integer', jsonPath: '.status.trials.failed', description: 'Trials that ended badly.' },
      { name: 'Best', type: 'string', jsonPath: '.status.best.value', description: 'Best value of the objective.' },
      { name: 'Job', type: 'string', jsonPath: '.status.best.job', description: 'The TrainingJob with that.', priority: 1 },
      { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age of the sweep.' },
    ],
  });
}
