/**
 * The CustomResourceDefinition of a TrainingJob: the job file as a kind of Kubernetes.
 */
import { jobSpecSchema } from '../../trainer/spec.ts';
import { statusSchema } from '../status.ts';
import { definitionOf, structuralOf, unchangeable } from './definition.ts';
import { addRules, nodeAt, place } from './place.ts';
import { laneRules, say, specRules } from './rules.ts';
import type { Rule, Structural } from './structural.ts';

/** What may change below `spec` while the job is there, in words and by field. */
const mutable = ['suspend', 'activeDeadlineSeconds', 'ttlSecondsAfterFinished', 'restarts'];
const mutableWorkers = ['replicas', 'min'];
const cannotChange = `cannot be changed: of a job only ${[...mutableWorkers.map(field => `workers.${field}`), ...mutable].join(', ')} may; delete it, or make another job with another name`;

/** What a job says below `spec`, with all that can be checked without knowing what it was before. */
export function jobSpec(): Structural {
  const spec = structuralOf(jobSpecSchema.describe('The training: what a job file says.'));
  place(spec, specRules);
  const byName = { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] } as const;
  for (const list of ['pod.volumes', 'pod.env']) Object.assign(nodeAt(spec, list), byName);
  return spec;
}

function rules(): Rule[] {
  const frozen = { given: 'has(self.status) && has(self.status.lanes)', lanes: 'self.status.lanes' };
  const replicas = 'self.spec.workers.replicas';
  const max = 'self.status.maxWorkers';
  return [
    ...laneRules({ cel: 'self.spec', path: '.spec' }, frozen),
    {
      rule: `!has(self.status) || !has(${max}) || ${replicas} <= ${max}`,
      messageExpression: say`is ${replicas}, more than status.maxWorkers, ${max}: scaling never changes training.lanes, and a worker needs a lane at least; make another job with more lanes, with another name`,
      fieldPath: '.spec.workers.replicas',
    },
  ];
}

export function trainingJob() {
  const spec = jobSpec();
  const { workers, ...rest } = spec.properties!;
  const frozen = Object.keys(rest).filter(field => !mutable.includes(field));
  const frozenOfWorkers = Object.keys(workers.properties!).filter(field => !mutableWorkers.includes(field));
  addRules(spec, [...unchangeable(spec, frozen, cannotChange), ...unchangeable(workers, frozenOfWorkers, cannotChange, '.workers')]);

  const status = structuralOf(statusSchema);
  Object.assign(status.properties!.conditions, { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] });

  return definitionOf({
    kind: 'TrainingJob',
    plural: 'trainingjobs',
    shortNames: ['tj'],
    description:
      'A training of a segmentation network by any number of workers. The same file trains on one machine with `segfleet train`.',
    spec,
    status,
    rules: rules(),
    subresources: {
      scale: { specReplicasPath: '.spec.workers.replicas', statusReplicasPath: '.status.workers', labelSelectorPath: '.status.selector' },
    },
    columns: [
      { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'Where the job stands.' },
      { name: 'Workers', type: 'integer', jsonPath: '.status.workers', description: 'Worker pods that are ready.' },
      { name: 'Desired', type: 'integer', jsonPath: '.spec.workers.replicas', description: 'Workers that are wanted.', priority: 1 },
      { name: 'Epoch', type: 'string', jsonPath: '.status.progress', description: 'Epoch of epochs.' },
      { name: 'Objective', type: 'string', jsonPath: '.status.lossName', description: 'Name of the loss.', priority: 1 },
      { name: 'Loss', type: 'string', jsonPath: '.status.loss', description: 'Loss of the last step.' },
      { name: 'Metric', type: 'string', jsonPath: '.status.metric', description: 'Best validation Jaccard.' },
      { name: 'ETA', type: 'string', jsonPath: '.status.eta', description: 'Time until the last epoch is done.' },
      { name: 'Checkpoint', type: 'date', jsonPath: '.status.checkpointTime', description: 'Age of the newest checkpoint.' },
      { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age of the job.' },
    ],
  });
}
