/**
 * What a real API server lets users do with jobs that are there: see them, scale them, change of them what may change.
 */

import { beforeAll, describe, expect, test } from 'vitest';
import type { Api } from '../../../k8s/api.ts';
import { trainingJob } from '../../../k8s/crd/trainingJob.ts';
import { apiVersion } from '../../../k8s/names.ts';
import type { TrainingJob } from '../../../k8s/objects.ts';
import type { JobStatus } from '../../../k8s/status.ts';
import { onApiServer } from '../../tools/apiServer.ts';
import type { ControlPlane } from '../../tools/controlPlane.ts';
import { jobWith } from '../../tools/crds.ts';
import { hasKubernetes } from '../../tools/tools.ts';

type Spec = Record<string, unknown>;

const { openAPIV3Schema } = trainingJob().spec.versions[0].schema;

describe.skipIf(!hasKubernetes())('TrainingJobs of an API server', () => {
  let controlPlane: ControlPlane;
  let api: Api;
  onApiServer(server => {
    ({ api, controlPlane } = server);
  });

  const kubectl = async (...words: string[]) => {
    const { code, stdout, stderr } = await controlPlane.kubectl(...words);
    expect({ words, code, stderr }).toEqual({ words, code: 0, stderr: '' });
    return stdout;
  };
  const create = (name: string, spec: Spec = {}) =>
    api.create<TrainingJob>({ ...jobWith(spec, name), metadata: { name, namespace: 'default' } } as unknown as TrainingJob);
  const ref = (name: string) => ({ apiVersion, kind: 'TrainingJob', metadata: { name, namespace: 'default' } });
  const setStatus = (name: string, status: JobStatus) => api.patch<TrainingJob>(ref(name), { status }, 'status');

  test('shows phase, workers, epoch, loss, metric, time left and age of the checkpoint', async () => {
    await create('shown', { workers: { replicas: 4, min: 2 } });
    await setStatus('shown', {
      phase: 'Running',
      workers: 3,
      progress: '7/50',
      lossName: 'adaptiveLog(dice)',
      loss: '0.3127',
      metric: '0.8014',
      eta: '2h10m',
      checkpointTime: new Date(Date.now() - 5 * 60_000).toISOString(),
    });
    const table = async (...flags: string[]) =>
      (await kubectl('get', 'tj', 'shown', ...flags))
        .trim()
        .split('\n')
        .map(line => line.split(/ {2,}/));
    const age = expect.stringMatching(/^\d+s$/);
    expect(await table()).toEqual([
      ['NAME', 'PHASE', 'WORKERS', 'EPOCH', 'LOSS', 'METRIC', 'ETA', 'CHECKPOINT', 'AGE'],
      ['shown', 'Running', '3', '7/50', '0.3127', '0.8014', '2h10m', expect.stringMatching(/^5m\d*s?$/), age],
    ]);
    expect(await table('--output=wide')).toEqual([
      ['NAME', 'PHASE', 'WORKERS', 'DESIRED', 'EPOCH', 'OBJECTIVE', 'LOSS', 'METRIC', 'ETA', 'CHECKPOINT', 'AGE'],
      ['shown', 'Running', '3', '4', '7/50', 'adaptiveLog(dice)', '0.3127', '0.8014', '2h10m', expect.stringMatching(/^5m\d*s?$/), age],
    ]);
    expect(await kubectl('get', 'segfleet', '--output=name')).toContain('trainingjob.segfleet.dev/shown');
  });

  test('scales workers, up to as many as were possible when the job began', async () => {
    await create('scaled', { training: { lanes: 4 }, workers: { replicas: 2 } });
    await kubectl('scale', 'trainingjob/scaled', '--replicas=3');
    await setStatus('scaled', { lanes: 4, maxWorkers: 4, workers: 3, selector: 'segfleet.dev/job=scaled' });
    await kubectl('scale', 'trainingjob/scaled', '--replicas=4');
    const scale = JSON.parse(await kubectl('get', '--raw', `/apis/${apiVersion}/namespaces/default/trainingjobs/scaled/scale`));
    expect([scale.spec, scale.status]).toEqual([{ replicas: 4 }, { replicas: 3, selector: 'segfleet.dev/job=scaled' }]);
    const { code, stderr } = await controlPlane.kubectl('scale', 'trainingjob/scaled', '--replicas=5');
    expect([code, stderr]).toEqual([1, expect.stringContaining('spec.workers.replicas: Invalid value: is 5, and training.lanes is 4')]);
  });

  test('lets lanes be what they were when the job began, whatever the number of workers', async () => {
    await create('frozen', { workers: { replicas: 4 } });
    await setStatus('frozen', { lanes: 4, maxWorkers: 4 });
    // A batch of 16 in 3 lanes would be refused: there are 4 still.
    await kubectl('scale', 'trainingjob/frozen', '--replicas=3');
    const { stderr } = await controlPlane.kubectl('scale', 'trainingjob/frozen', '--replicas=5');
    expect(stderr).toContain(
      'spec.workers.replicas: Invalid value: is 5, more than status.maxWorkers, 4: scaling never changes training.lanes, and a worker needs a lane at least; make another job with more lanes, with another name',
    );
  });

  test('explains each field', async () => {
    const words = async (field: string) => (await kubectl('explain', field)).replace(/\s+/g, ' ');
    expect(await words('trainingjob.spec.loss.gamma')).toContain(
      'FIELD: gamma <number> DESCRIPTION: Errors below it are in the logarithmic branch; in the unit of the wrapped loss. Only with adaptiveLog. Above 0. By default 0.1.',
    );
    expect(await words('tj.spec.workers')).toContain(
      'replicas <integer> Worker processes that share a step. It does not change the result. From 1 to 64.',
    );
    expect(await words('tj')).toContain('A training of a segmentation network by any number of workers.');
  });

  describe('where a job is there', () => {
    const changes: [field: string, spec: Spec][] = [
      ['seed', { seed: 2 }],
      ['data', { data: { path: 'other' } }],
      ['data', { data: { ignore: 255 } }],
      ['model', { model: { width: 16 } }],
      ['loss', { loss: { name: 'dice' } }],
      ['loss', { loss: { of: { name: 'jaccard' } } }],
      ['deepSupervision', { model: { name: 'attentionUnet' }, deepSupervision: {} }],
      ['training', { training: { epochs: 51 } }],
      ['training', { training: { clipNorm: 1 } }],
      ['checkpoint', { checkpoint: { url: 's3://other/place' } }],
      ['pod', { pod: { image: 'other:1' } }],
      ['pod', { pod: { labels: { a: 'c' } } }],
      ['priorityClassName', { priorityClassName: null }],
      ['managedBy', { managedBy: 'kueue.x-k8s.io/multikueue' }],
      ['workers.max', { workers: { max: 4 } }],
    ];
    beforeAll(() => create('there', { workers: { replicas: 2 }, pod: { labels: { a: 'b' } }, priorityClassName: 'low' }));

    test.each(changes)('%s cannot change: %j', async (field, spec) => {
      await expect(api.patch(ref('there'), { spec })).rejects.toThrow(
        `${field} cannot be changed: of a job only workers.replicas, workers.min, suspend, activeDeadlineSeconds, ttlSecondsAfterFinished, restarts may; delete it, or make another job with another name`,
      );
    });

    const mutable: Spec[] = [
      { suspend: true },
      { workers: { replicas: 1 } },
      { workers: { replicas: 2, min: 2 } },
      { activeDeadlineSeconds: 60 },
      { activeDeadlineSeconds: null },
      { ttlSecondsAfterFinished: 60 },
      { restarts: { errors: 0, disruptions: 3 } },
    ];
    test.each(mutable.map(spec => [spec]))('%j may change', async spec => {
      const changed = await api.patch<{ spec: Spec } & TrainingJob>(ref('there'), { spec });
      expect(changed.spec).toMatchObject(JSON.parse(JSON.stringify(spec, (_, value) => value ?? undefined)));
    });

    test('no field is forgotten', () => {
      const { spec } = openAPIV3Schema.properties!;
      const { workers, ...others } = spec.properties!;
      const all = [...Object.keys(others), ...Object.keys(workers.properties!).map(field => `workers.${field}`)];
      const asked = mutable.flatMap(one =>
        Object.entries(one).flatMap(([key, value]) =>
          key === 'workers' ? Object.keys(value as object).map(field => `workers.${field}`) : [key],
        ),
      );
      expect([...new Set([...changes.map(([field]) => field), ...asked])].sort()).toEqual(all.sort());
    });

    test('its status does not change with the job, nor the job with its status', async () => {
      await setStatus('there', { phase: 'Running', step: 5 });
      const job = await api.get<TrainingJob>('TrainingJob', 'there', { namespace: 'default' });
      const forged = await api.replace({ ...job, spec: { ...job.spec, suspend: false }, status: { phase: 'Succeeded' } } as TrainingJob);
      expect([forged.spec.suspend, forged.status]).toEqual([false, { phase: 'Running', step: 5 }]);
      const told = await api.patch<TrainingJob>(ref('there'), { spec: { suspend: true }, status: { step: 6 } }, 'status');
      expect([told.spec.suspend, told.status]).toEqual([false, { phase: 'Running', step: 6 }]);
    });

    test('its status is what the operator may write, and nothing else', async () => {
      const write = (status: object) => api.patch(ref('there'), { status }, 'status');
      await expect(write({ phase: 'Flying' })).rejects.toThrow('status.phase: "Flying": supported values: "Pending"');
      await expect(write({ checkpointTime: 'yesterday' })).rejects.toThrow('status.checkpointTime: "yesterday"');
      const condition = { type: 'Failed', status: 'False', reason: 'A', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' };
      await expect(write({ conditions: [condition, condition] })).rejects.toThrow(
        'status.conditions[1]: Duplicate value: {"type":"Failed"}',
      );
    });
  });
});
