import { describe, expect, test } from 'vitest';
import type { TrainingJob } from '../../../k8s/objects.ts';
import { accept, summaryOf } from '../../../k8s/policies/acceptance.ts';
import { fullJob, settings, trainingJob } from '../../tools/trainingJobs.ts';

function accepted(job: TrainingJob, more: Partial<typeof settings> = {}) {
  const result = accept(job, { ...settings, ...more });
  if ('refusal' in result) throw new Error(result.refusal);
  return result.job;
}

const refused = (spec: Record<string, unknown>, more: Partial<typeof settings> = {}, metadata = {}) => {
  const result = accept(trainingJob(spec, metadata), { ...settings, ...more });
  return 'refusal' in result ? result.refusal : undefined;
};

const claim = (mountPath: string, more = {}) => ({
  name: mountPath.replaceAll('/', '').slice(0, 9) || 'root',
  mountPath,
  claim: 'data',
  ...more,
});
const onVolume = (path: string, mountPath = '/data') => ({ data: { path }, pod: { volumes: [claim(mountPath)] } });

describe('a job is refused with a sentence', () => {
  test.each<[string, string | undefined]>([
    ['data/nuclei', 'data.path is data/nuclei, and file: URLs need a volume on a cluster'],
    ['file:data', 'data.path is file:data, and file: URLs need a volume on a cluster'],
    ['/elsewhere', 'data.path is /elsewhere, and file: URLs need a volume on a cluster'],
    ['/database', 'data.path is /database, and file: URLs need a volume on a cluster'],
    ['/data/../etc', 'data.path is /data/../etc, and file: URLs need a volume on a cluster'],
    ['gs://bucket/data', 'data.path is gs://bucket/data, and there is no storage gs:'],
    ['s3://', 'data.path is s3://; s3://bucket/prefix is expected'],
    ['s3:data', 'data.path is s3:data; s3://bucket/prefix is expected'],
    ['/data', undefined],
    ['/data/', undefined],
    ['/data/nuclei/manifest.csv', undefined],
    ['file:/data/shards', undefined],
    ['file:///data/shards', undefined],
    ['FILE:///data/shards', undefined],
    ['s3://bucket', undefined],
  ])('where its data are no place that pods reach: %s', (path, expected) => {
    const refusal = refused(onVolume(path));
    if (expected === undefined) expect(refusal).toBeUndefined();
    else expect(refusal).toContain(expected);
  });

  test.each<[string, Record<string, unknown>, string | undefined]>([
    ['an empty folder', { name: 'x', mountPath: '/data', emptyDir: {} }, 'the volume x is an empty folder that goes with its pod'],
    ['a ConfigMap, which may hold a manifest', { name: 'x', mountPath: '/data', configMap: 'list' }, undefined],
    ['a claim that is only read', { name: 'x', mountPath: '/data', claim: 'c', readOnly: true }, undefined],
  ])('where its data are in %s', (_, volume, expected) => {
    const refusal = refused({ data: { path: '/data/list.csv' }, pod: { volumes: [volume] } });
    if (expected === undefined) expect(refusal).toBeUndefined();
    else expect(refusal).toContain(expected);
  });

  test('where the innermost of several volumes is the wrong one', () => {
    const volumes = [claim('/data'), { name: 'scratch', mountPath: '/data/scratch', emptyDir: {} }];
    expect(refused({ data: { path: '/data/scratch/x' }, pod: { volumes } })).toContain('the volume scratch is an empty folder');
    expect(refused({ data: { path: '/data/x' }, pod: { volumes } })).toBeUndefined();
  });

  test.each<[string, string, Record<string, unknown> | undefined, string | undefined]>([
    ['relative', 'file:checkpoints', claim('/run'), 'checkpoint.url is file:checkpoints, and file: URLs need a volume on a cluster'],
    ['on no volume', '/run', undefined, 'checkpoint.url is /run, and file: URLs need a volume on a cluster'],
    ['read only', '/run/x', claim('/run', { readOnly: true }), 'the volume run cannot be written to'],
    ['in a Secret', '/run/x', { name: 'run', mountPath: '/run', secret: 's' }, 'the volume run cannot be written to'],
    [
      'gone with the pod',
      '/run/x',
      { name: 'run', mountPath: '/run', emptyDir: {} },
      'the volume run is an empty folder that goes with its pod',
    ],
    ['on a claim', 'file:///run/x', claim('/run'), undefined],
  ])('where its checkpoints are %s', (_, url, volume, expected) => {
    const refusal = refused({ checkpoint: { url }, pod: { volumes: volume ? [volume] : [] } });
    if (expected === undefined) expect(refusal).toBeUndefined();
    else expect(refusal).toContain(expected);
  });

  test('where it says no place for checkpoints and the operator has none', () => {
    expect(refused({}, { store: undefined })).toBe(
      'checkpoint.url is missing, and the operator has no store for jobs without one (--store); give s3://bucket/prefix',
    );
    expect(refused({ checkpoint: { url: 's3://mine/run' } }, { store: undefined })).toBeUndefined();
  });

  test('where its split is a file that pods do not reach', () => {
    expect(refused({ data: { path: 's3://b/d', split: { file: 'split.csv' } } })).toContain(
      'data.split.file is split.csv, and file: URLs need a volume',
    );
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['unknown fields', { trainnig: {} }, 'unknown field trainnig; did you mean training?'],
    ['a field deep inside', { training: { batch: 0 } }, 'training.batch is 0; at least 1 is expected'],
    [
      'fields that do not go together',
      { workers: { replicas: 3 } },
      'training.batch is 8, which is not divisible by training.lanes, 3; try 9',
    ],
    ['another loss', { loss: { name: 'dise' } }, 'did you mean dice?'],
    ['no data', { data: undefined }, 'data is missing'],
  ])('by the schema: %s', (_, spec, expected) => {
    expect(refused(spec)).toContain(expected);
  });

  test.each(['a'.repeat(64), 'nuclei.v2', 'Nuclei', '-a', '../x', '$(reboot)', 'a\nb'])('for the name %j', name => {
    expect(refused({}, {}, { name })).toBe('metadata.name must be lower-case letters, digits and dashes, at most 63 (a Kubernetes name)');
  });

  test('that is short, however long what is wrong', () => {
    expect(refused({ model: { name: 'x'.repeat(1_000_000) } })!.length).toBeLessThan(1100);
    expect(refused({ pod: { labels: { ['x'.repeat(300)]: 'y' } } })!.length).toBeLessThan(1100);
  });

  test.each<[string, Record<string, unknown>, string]>([
    [
      'two volumes of one name',
      { volumes: [claim('/data'), claim('/data/', { name: 'data', claim: 'b' })] },
      'pod.volumes has two volumes of the same name',
    ],
    [
      'two volumes in one place',
      { volumes: [claim('/data'), claim('/data/', { name: 'b' })] },
      'pod.volumes has the mountPath /data twice',
    ],
    ["a name of the operator's", { volumes: [claim('/x', { name: 'segfleet-keys' })] }, "names with segfleet- are the operator's"],
    [
      'the keys covered',
      { volumes: [claim('/etc/segfleet/keys')] },
      "pod.volumes has the mountPath /etc/segfleet/keys, and /etc/segfleet is the operator's",
    ],
    ['all of /etc covered', { volumes: [claim('/etc')] }, "/etc/segfleet is the operator's"],
    ['everything covered', { volumes: [claim('/')] }, "/etc/segfleet is the operator's"],
    ['a way around', { volumes: [claim('/x/../tmp', { name: 'x' })] }, "/tmp is the operator's"],
    ['a variable twice', { env: [{ name: 'A' }, { name: 'A', value: 'b' }] }, 'pod.env has two variables of the same name'],
    ["a variable of the operator's", { env: [{ name: 'HOME', value: '/' }] }, 'pod.env has HOME, which the operator sets itself'],
    [
      'credentials in variables',
      { env: [{ name: 'AWS_CONFIG_FILE', value: '/x' }] },
      'pod.env has AWS_CONFIG_FILE, which the operator sets itself',
    ],
    ['no label', { labels: { 'a b': 'c' } }, 'pod.labels has the name "a b"; a name such as team or example.com/team is expected'],
    ['no value of a label', { labels: { a: 'b c' } }, 'pod.labels has a: "b c"; at most 63 letters'],
    ['a long value of a label', { labels: { a: 'b'.repeat(64) } }, 'pod.labels has a: '],
    [
      "a label of the operator's",
      { labels: { 'segfleet.dev/component': 'coordinator' } },
      'pod.labels has segfleet.dev/component, which the operator',
    ],
    ["a label of Kubernetes's", { labels: { 'batch.kubernetes.io/job-name': 'x' } }, 'pod.labels has batch.kubernetes.io/job-name'],
    ['no node label', { nodeSelector: { '/': 'x' } }, 'pod.nodeSelector has the name "/"'],
    ['no annotation', { annotations: { '{{x}}': '' } }, 'pod.annotations has the name "{{x}}"'],
  ])('where pods cannot be made as it says: %s', (_, pod, expected) => {
    expect(refused({ pod })).toContain(expected);
  });

  test.each<[string, Record<string, unknown>]>([
    ['a cache that stays', { volumes: [claim('/var/lib/segfleet/cache')] }],
    ['a library of its own', { volumes: [claim('/opt/tensorflow')] }],
    [
      'labels and annotations',
      { labels: { team: 'a.b_c-d', 'example.com/x': '' }, annotations: { 'example.com/note': 'any text: {{ }}' } },
    ],
  ])('and accepted where they can: %s', (_, pod) => {
    expect(refused({ pod })).toBeUndefined();
  });

  test('where its library would be hidden by the one of the operator', () => {
    expect(refused({ pod: { volumes: [claim('/opt/tensorflow')] } }, { libraryClaim: 'tf' })).toContain(
      "/opt/tensorflow is the operator's",
    );
  });
});

describe('what follows is frozen', () => {
  test('lanes and the most workers follow from replicas at first, and from what was frozen later', () => {
    const { spec } = accepted(trainingJob({ workers: { replicas: 2 } }));
    expect([spec.training.lanes, spec.workers.max]).toEqual([2, 2]);
    const scaled = { ...trainingJob({ workers: { replicas: 3, min: 2 }, training: { batch: 8 } }), status: { lanes: 4, maxWorkers: 4 } };
    expect(accepted(scaled).spec).toMatchObject({ training: { lanes: 4 }, workers: { replicas: 3, min: 2, max: 4 } });
  });

  test.each([
    { replicas: 9, expected: 4 },
    { replicas: 1, expected: 2 },
  ])('of $replicas replicas there are $expected where 2 to 4 are possible', ({ replicas, expected }) => {
    const scaled = { ...trainingJob({ workers: { replicas, min: 2 } }), status: { lanes: 4, maxWorkers: 4 } };
    expect(accepted(scaled).spec.workers.replicas).toBe(expected);
  });

  test.each<[Record<string, unknown> | undefined, number | undefined]>([
    [undefined, undefined],
    [{ limits: { memory: '4Gi' } }, undefined],
    [{ limits: { cpu: 2 } }, 2],
    [{ limits: { cpu: '1500m' } }, 2],
    [{ limits: { cpu: '100m' } }, 1],
    [{ limits: { cpu: '2.5' } }, 3],
    [{ limits: { cpu: '1e1' } }, 10],
    [{ limits: { cpu: '0' } }, 1],
    [{ limits: { cpu: '2k' } }, 1024],
    [{ limits: { cpu: '1Ki' } }, 1024],
    [{ requests: { cpu: '3' } }, 3],
    [{ requests: { cpu: '1' }, limits: { cpu: '4' } }, 4],
  ])('threads of pods with %j are %s', (resources, threads) => {
    expect(accepted(trainingJob({ pod: { resources } })).spec.training.threads).toBe(threads);
  });

  test('threads that a job names are those', () => {
    const job = trainingJob({ training: { batch: 8, threads: 7 }, pod: { resources: { limits: { cpu: 2 } } } });
    expect(accepted(job).spec.training.threads).toBe(7);
  });

  test('checkpoints of two jobs of one name lie in two places', () => {
    const urlOf = (job: TrainingJob, store?: string) => accepted(job, store === undefined ? {} : { store }).spec.checkpoint.url;
    expect(urlOf(trainingJob())).toBe('s3://runs/models/team/nuclei-0d9f4b1c');
    expect(urlOf(trainingJob({}, { uid: 'ffffffff-0000' }))).toBe('s3://runs/models/team/nuclei-ffffffff');
    expect(urlOf(trainingJob(), 's3://runs/')).toBe('s3://runs/team/nuclei-0d9f4b1c');
    expect(urlOf(trainingJob({ checkpoint: { url: 's3://mine/x' } }))).toBe('s3://mine/x');
  });

  test('of metadata only the name goes into the file of the job', () => {
    const job = trainingJob({}, { labels: { a: 'b' }, annotations: { c: 'd'.repeat(100_000) } });
    expect(accepted(job).metadata).toEqual({ name: 'nuclei' });
  });
});

test('what was accepted is said in a few words', () => {
  expect(summaryOf(accepted(trainingJob()))).toBe('1 lane, at most 1 worker, checkpoints in s3://runs/models/team/nuclei-0d9f4b1c');
  expect(summaryOf(accepted(fullJob))).toBe('3 lanes, at most 3 workers, checkpoints in s3://runs/models/team/nuclei-0d9f4b1c');
});
