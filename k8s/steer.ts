/**
 * From what is asked of a Job to what is written: it is made once, and of one that is there only the size and whether it is suspended are changed. Its
 * pods are never made otherwise than the first time, whatever the operator is by then: workers of two kinds would not compute the same.
 */
import { type Crew, isFinished, queueOf } from './fleet.ts';
import type { AnyObject, BatchJob, ObjectRef } from './objects.ts';
import type { Plan } from './plan.ts';
import type { Ask } from './policies/suspend.ts';

export type Changes = Pick<Plan, 'create' | 'apply' | 'remove'>;

export const noChanges: Changes = { create: [], apply: [], remove: [] };

/**
 * @param size of the workers
 * @param make undefined: it cannot be made yet
 */
export function steer(crew: Crew, ask: Ask, { size, make }: { size?: number; make?: () => AnyObject }): Changes {
  const { job } = crew;
  switch (ask) {
    case 'keep':
      return noChanges;
    case 'remove':
      return job ? { ...noChanges, remove: [refTo(job)] } : noChanges;
    case 'run':
      if (job) return change(job, { size, suspend: false });
      // Pods of the Job before it may still hold what the new ones need.
      return make && !crew.isTaken && crew.live.length === 0 ? { ...noChanges, create: [make()] } : noChanges;
    case 'suspend':
      return job ? change(job, { size, suspend: true }) : noChanges;
    case 'end':
      return job ? change(job, { size: size && job.spec.completions, suspend: job.spec.suspend ?? false, isOver: true }) : noChanges;
    default:
      ask satisfies never;
      return noChanges;
  }
}

export const refTo = ({ apiVersion, kind, metadata: { name, namespace, uid } }: ObjectRef): ObjectRef => ({
  apiVersion,
  kind,
  metadata: { name, namespace, uid },
});

/** Kubernetes has no word for it: a Job whose time is up deletes the pods that run, keeps the others, and is over. */
const timeIsUp = 1;

function change(job: BatchJob, wanted: { size?: number; suspend: boolean; isOver?: boolean }): Changes {
  if (isFinished(job)) return noChanges;
  const { spec } = job;
  const fields = {
    ...(wanted.size !== undefined && { parallelism: wanted.size, completions: wanted.size }),
    // Of a Job in a queue that is Kueue's.
    ...(queueOf(job) === undefined && { suspend: wanted.suspend }),
    ...(wanted.isOver && { activeDeadlineSeconds: timeIsUp }),
  };
  const isSo = Object.entries(fields).every(([name, value]) => (spec[name as keyof typeof fields] ?? false) === value);
  return isSo ? noChanges : { ...noChanges, apply: [{ ...refTo(job), spec: fields }] };
}

export const together = (...all: readonly Partial<Changes>[]): Changes => ({
  create: all.flatMap(({ create = [] }) => create),
  apply: all.flatMap(({ apply = [] }) => apply),
  remove: all.flatMap(({ remove = [] }) => remove),
});
