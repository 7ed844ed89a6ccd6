/**
 * A sweep file as it is read: its search, and the job that all trials are made of, which stands in it or in a file of its own.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { stringify } from 'yaml';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { withPathsFrom } from '../runRecord.ts';
import { type SweepFile, type SweepSpec, sweepFileSchema } from '../search/sweepSpec.ts';
import { describeIssue, type LoadedJob, pathOf, readDocument, settleJob, type YamlDocument } from '../spec.ts';

export interface LoadedSweep {
  readonly name: string;
  /** Of a cluster. */
  readonly namespace?: string;
  /** All defaults written out, the job in it. */
  readonly spec: SweepSpec;
  /** The sweep file, for sentences. */
  readonly file: string;
  readonly base: {
    readonly job: LoadedJob;
    readonly source: Pick<YamlDocument, 'file' | 'at'>;
    /** That paths in the job are relative to. */
    readonly folder: string;
  };
}

/**
 * @param settings of the job, as `--set` of `train` has them
 * @throws usage: file, line and column, field, what was expected, and what to try
 */
export function loadSweep(file: string, settings: readonly string[] = []): LoadedSweep {
  return parseSweep(readText(file, 'sweep file'), file, settings);
}

export function parseSweep(text: string, file: string, settings: readonly string[] = []): LoadedSweep {
  return settle(readDocument(text, file, 'sweep'), settings);
}

/** Whether a file says that it is a sweep; what is wrong with it is said by whoever reads it. @throws notFound: it cannot be read */
export const isSweepFile = (file: string): boolean => /^kind:\s*["']?Sweep\b/m.test(readText(file, 'job file'));

/** A sweep that is no file, and has its job in it. @param source what it is called in sentences @throws usage */
export const checkSweep = (value: Record<string, unknown>, source: string): LoadedSweep =>
  settle({ file: source, value, at: path => (path[1] === 'base' ? 'its job' : source) }, []);

function settle(document: YamlDocument, settings: readonly string[]): LoadedSweep {
  const { file } = document;
  const given = document.value as { metadata?: { name?: unknown }; spec?: Record<string, unknown> };
  const base = given.spec?.base;
  // The job has its own sentences: what is wrong in it is told as `train` would.
  const outline = base === undefined || typeof base === 'string' ? given : { ...given, spec: { ...given.spec, base: 'in this file' } };
  const parsed = sweepFileSchema.safeParse(outline);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new SegfleetError('usage', `${document.at(pathOf(issue))}: ${describeIssue(issue, given, sweepFileSchema)}`);
  }
  const { metadata, spec } = parsed.data;
  return settleSweep({ metadata, spec }, file, typeof base === 'string' ? fromFile(file, base, settings) : inline(document, settings));
}

/** @param base the file of the job */
function fromFile(file: string, base: string, settings: readonly string[]): LoadedSweep['base'] {
  const path = resolve(dirname(file), base);
  const source = readDocument(readText(path, `${file}: base`), path, 'job');
  return { job: settleJob(source.value, settings, source), source, folder: dirname(path) };
}

function inline(document: YamlDocument, settings: readonly string[]): LoadedSweep['base'] {
  const { apiVersion, metadata, spec } = document.value as { apiVersion: string; metadata: { name: string }; spec: { base: unknown } };
  const source = { file: document.file, at: (path: readonly string[]) => document.at(['spec', 'base', ...path]) };
  const template = spec.base as { metadata?: Record<string, unknown>; spec?: unknown };
  if (typeof template !== 'object' || template === null || Array.isArray(template)) {
    throw new SegfleetError('usage', `${source.at([])}: base must be a job (spec: ...), or the path of a job file`);
  }
  const { metadata: more, ...rest } = template;
  const value = { apiVersion, kind: 'TrainingJob', metadata: { ...more, name: metadata.name }, ...rest };
  return { job: settleJob(value, settings, source), source, folder: dirname(document.file) };
}

function settleSweep({ metadata, spec }: Pick<SweepFile, 'metadata' | 'spec'>, file: string, base: LoadedSweep['base']): LoadedSweep {
  const { labels, annotations } = base.job.job.metadata;
  const template = { ...((labels || annotations) && { metadata: { labels, annotations } }), spec: base.job.job.spec };
  const { name, namespace } = metadata;
  return { name, ...(namespace !== undefined && { namespace }), spec: { ...spec, base: template }, file, base };
}

/** The spec with paths that are right when read from `folder`. */
export function specFrom({ spec, base }: Pick<LoadedSweep, 'spec' | 'base'>, folder: string): SweepSpec {
  const { job } = base.job;
  return { ...spec, base: { ...spec.base, spec: withPathsFrom(job, base.folder, resolve(folder)).spec } };
}

/** As a file that gives the same sweep again when it lies in `folder`. */
export function renderSweep(sweep: LoadedSweep, folder: string): string {
  const { name } = sweep;
  const file = { apiVersion: 'segfleet.dev/v1alpha1', kind: 'Sweep', metadata: { name }, spec: specFrom(sweep, folder) };
  return stringify(file, { lineWidth: 0, compat: 'yaml-1.1', aliasDuplicateObjects: false });
}

function readText(file: string, what: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw fromSystemError(error, `${what} ${file}`);
  }
}
