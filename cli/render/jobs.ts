/**
 * Jobs of a cluster: as rows of a table, and one of them with all that is known of it.
 */
import type { Pod, TrainingJob } from '../../k8s/objects.ts';
import { shortName, stateOf, whoIs } from '../../k8s/pods.ts';
import type { FirstFailure } from '../../k8s/status.ts';
import { age, harmless, progressBar, table } from './text.ts';

const phaseOf = ({ status }: TrainingJob): string => status?.phase ?? 'Pending';
const wantedBy = ({ spec }: TrainingJob): number => spec.workers?.replicas ?? 1;
const since = (time: string | undefined, now: Date): string => (time ? age((now.getTime() - Date.parse(time)) / 1000) : '-');
const epochOf = ({ status: { epoch, epochs } = {} }: TrainingJob): string => (epoch === undefined ? '-' : `${epoch}/${epochs ?? '?'}`);

/** In a few words: Running, epoch 3/50. */
export function standing(job: TrainingJob): string {
  const epoch = epochOf(job);
  return `${phaseOf(job)}${epoch === '-' ? '' : `, epoch ${epoch}`}`;
}

export function jobTable(jobs: readonly TrainingJob[], { now, withNamespace }: { now: Date; withNamespace: boolean }): string {
  const names = withNamespace ? ['namespace', 'name'] : ['name'];
  const rows = jobs.map(job => {
    const { metadata, status = {} } = job;
    return [
      ...(withNamespace ? [metadata.namespace ?? '-'] : []),
      metadata.name,
      phaseOf(job),
      `${status.workers ?? 0}/${wantedBy(job)}`,
      epochOf(job),
      status.loss ?? '-',
      status.metric ?? '-',
      status.eta ?? '-',
      since(status.checkpointTime, now),
      since(metadata.creationTimestamp, now),
    ].map(harmless);
  });
  return table([...names, 'phase', 'workers', 'epoch', 'loss', 'metric', 'left', 'checkpoint', 'age'], rows, names.length + 1);
}

/** The same for programs. */
export function outlineOf(job: TrainingJob) {
  const { metadata, status = {} } = job;
  const { name, namespace, creationTimestamp } = metadata;
  const { conditions: _, phase: _phase, seen: _seen, selector: _selector, workers = 0, ...rest } = status;
  return { name, namespace, phase: phaseOf(job), created: creationTimestamp, workers: { ready: workers, wanted: wantedBy(job) }, ...rest };
}

export function podOutline(pod: Pod) {
  const { status, spec } = pod;
  return { ...whoIs(pod), ...stateOf(pod), node: spec.nodeName, created: pod.metadata.creationTimestamp, address: status?.podIP };
}

/** How this program is called again, and where. */
export interface Hints {
  readonly now: Date;
  readonly program: string;
  /** Added to each command. */
  readonly hint: string;
}

export function jobReport(job: TrainingJob, pods: readonly Pod[], hints: Hints): string {
  const { metadata, status = {} } = job;
  const of = `${status.workers ?? 0} of ${wantedBy(job)} workers`;
  const parts = [
    `${metadata.name} in namespace ${metadata.namespace}: ${phaseOf(job)}, ${of}, made ${since(metadata.creationTimestamp, hints.now)} ago`,
    ...progressLines(job, hints.now),
    ...conditionLines(job),
    ...(status.firstFailure ? failureLines(status.firstFailure, hints.now) : []),
    restartLine(job),
    ...(pods.length > 0 ? [podTable(pods, hints.now), ...waitingLines(pods)] : ['no pods']),
    ...nextLines(job, hints),
  ];
  return harmless(parts.join('\n'));
}

function* progressLines({ status = {} }: TrainingJob, now: Date): Generator<string> {
  const { epoch, epochs, step, steps, lossName, loss, metric, eta, checkpointStep, checkpointTime, weightsDigest } = status;
  if (step !== undefined && steps) {
    const left = eta === undefined ? '' : `   ${eta} left`;
    yield `${progressBar(step / steps, 30)} epoch ${epoch ?? 0}/${epochs ?? '?'}, step ${step}/${steps}${left}`;
  }
  const numbers = [
    ...(loss === undefined ? [] : [`loss${lossName ? ` (${lossName})` : ''} ${loss}`]),
    ...(metric === undefined ? [] : [`best validation Jaccard ${metric}`]),
    ...(checkpointStep === undefined ? [] : [`checkpoint of step ${checkpointStep}, ${since(checkpointTime, now)} ago`]),
  ];
  if (numbers.length > 0) yield numbers.join(', ');
  if (weightsDigest) yield `weights digest ${weightsDigest}`;
}

function* conditionLines({ status = {} }: TrainingJob): Generator<string> {
  const conditions = status.conditions ?? [];
  const width = Math.max(...conditions.map(({ type }) => type.length));
  for (const { type, status: value, reason, message } of conditions) {
    yield `${type.padEnd(width)}  ${value.padEnd(7)}  ${reason}${message ? `: ${message}` : ''}`;
  }
}

function* failureLines(failure: FirstFailure, now: Date): Generator<string> {
  const { pod, node, reason, exitCode, time, message, log } = failure;
  const exit = exitCode === undefined ? '' : ` (exit ${exitCode})`;
  yield `first failure: ${pod}${node ? ` on ${node}` : ''}, ${since(time, now)} ago: ${reason}${exit}`;
  if (message) yield `  ${message}`;
  for (const line of log?.trimEnd().split('\n') ?? []) yield `  | ${line}`;
}

function restartLine({ spec, status = {} }: TrainingJob): string {
  const { errors = 0, outOfMemory = 0, disruptions = 0 } = status.restarts ?? {};
  const limits = { errors: 6, outOfMemory: 2, ...spec.restarts };
  const ofDisruptions = limits.disruptions === undefined ? '' : ` of ${limits.disruptions}`;
  return `restarts: ${errors} of ${limits.errors} after errors, ${outOfMemory} of ${limits.outOfMemory} out of memory, ${disruptions}${ofDisruptions} by disruptions`;
}

function podTable(pods: readonly Pod[], now: Date): string {
  const rows = pods.map(pod => {
    const { metadata, spec } = pod;
    return [shortName(whoIs(pod)), metadata.name, stateOf(pod).state, spec.nodeName ?? '-', since(metadata.creationTimestamp, now)];
  });
  return table(['', 'pod', 'state', 'node', 'age'], rows, 4);
}

function* waitingLines(pods: readonly Pod[]): Generator<string> {
  for (const pod of pods) {
    const { state, message } = stateOf(pod);
    if (message) yield `${shortName(whoIs(pod))}: ${state}: ${message}`;
  }
}

/** Time in which an operator that runs has looked at a new job. */
const operatorLooksAfterMs = 15_000;

function nextLines({ metadata, status = {} }: TrainingJob, { now, program, hint }: Hints): string[] {
  const command = (words: string) => `  ${program} ${words}${hint}`;
  const { name } = metadata;
  if (status.phase === undefined && now.getTime() - Date.parse(metadata.creationTimestamp ?? '') > operatorLooksAfterMs) {
    return ['no operator has looked at this job yet; next:', command('cluster check')];
  }
  switch (status.phase) {
    case 'Failed':
      return ['next:', command(`logs ${name}`), command(`events ${name}`)];
    case 'Succeeded':
      return ['next:', command(`logs ${name}`)];
    case 'Suspended':
      return ['next:', command(`resume ${name}`)];
    default:
      return ['next:', command(`logs ${name} --follow`), command(`events ${name}`)];
  }
}
