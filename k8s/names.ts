/**
 * What things are called on a cluster: the group of our kinds, labels, child objects of a job, ports and places in a pod.
 */
import { hash } from 'node:crypto';
import { sweepLabel, trialLabel } from '../trainer/tracking/trialLabels.ts';

export const group = 'segfleet.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

/** Of server-side apply, and of `managedBy` where a job names nobody else. */
export const fieldManager = 'segfleet-operator';
/** Of what a user sets from the command line. */
export const userManager = 'segfleet';
/** By its name alone; in which namespace it lies is up to whoever installs. */
export const defaultLease = 'segfleet-operator';
export const operatorName = `${group}/operator`;

export const labels = {
  app: 'app.kubernetes.io/name',
  managedBy: 'app.kubernetes.io/managed-by',
  /** The name of the TrainingJob, or what is left of it in 63 characters. */
  job: `${group}/job`,
  component: `${group}/component`,
  /** Of a job that is a trial: the name of its Sweep, its number from 0, and which of its replicates it is, from 1. */
  sweep: sweepLabel,
  trial: trialLabel,
  replicate: `${group}/replicate`,
  /** Of the operator's own pods. */
  role: 'app.kubernetes.io/component',
  /** Kueue's: passed on to the Job of the workers. */
  queue: 'kueue.x-k8s.io/queue-name',
} as const;

export const annotations = {
  /** The hash of what was applied: an object that has it needs no second apply. */
  applied: `${group}/applied`,
  /** Of a Job: the uid of the Secret with the keys that its pods have. */
  keys: `${group}/keys`,
  /** Of a job that is compared with others: the metric. */
  objective: `${group}/objective`,
  /** Of a job that is a trial: its choice, as JSON, and the stage that it was chosen for. */
  parameters: `${group}/parameters`,
  group: `${group}/group`,
  /** Why its sweep has ended it before its time. */
  stopped: `${group}/stopped`,
  /** It is suspended as its sweep is, or rests, and its sweep lets it go on. */
  suspended: `${group}/suspended-by-sweep`,
  /** The epoch after which it rests until its search lets it go on. One without goes to its end. */
  until: `${group}/until`,
} as const;

export type Component = 'coordinator' | 'worker';

/** Selects all that the operator made. */
export const managedSelector = `${labels.managedBy}=${fieldManager}`;

export const ports = { control: 5555, progress: 8080, operator: 8081 } as const;

/** In every container of a job. */
export const places = {
  job: '/etc/segfleet/job/job.yaml',
  keys: '/etc/segfleet/keys/keys.json',
  aws: '/etc/segfleet/aws',
  tensorflow: '/opt/tensorflow',
  state: '/var/lib/segfleet',
  run: '/var/lib/segfleet/run',
  cache: '/var/lib/segfleet/cache',
  temporary: '/tmp',
  terminationLog: '/dev/termination-log',
} as const;

/** Longest name of a Job whose indexed pods must still be host names: `<job>-<index>` in 63 characters, the index up to four digits. */
const longestChild = 58;

export interface ChildNames {
  readonly coordinator: string;
  readonly workers: string;
  readonly service: string;
  readonly keys: string;
  readonly job: string;
  readonly network: string;
  readonly disruptionBudget: string;
}

/** The same for the same job, whoever asks; of two jobs never the same. */
export function childNames(job: string): ChildNames {
  const child = (suffix: string) => `${shortened(job, longestChild - suffix.length - 1)}-${suffix}`;
  return {
    coordinator: child('coordinator'),
    workers: child('workers'),
    // The name of a Service begins with a letter; that of a job may begin with a digit.
    service: /^[a-z]/.test(job) ? child('coordinator') : `j-${digestOf(job)}-coordinator`,
    keys: child('keys'),
    job: child('job'),
    network: child('network'),
    disruptionBudget: child('workers'),
  };
}

/** A name that is too long ends in a hash of the whole. */
function shortened(name: string, length: number): string {
  if (name.length <= length) return name;
  const digest = digestOf(name);
  return `${name.slice(0, length - digest.length - 1).replace(/-+$/, '')}-${digest}`;
}

const digestOf = (name: string) => hash('sha256', name).slice(0, 8);
