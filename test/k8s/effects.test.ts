/**
 * What is carried out of a plan, against a real API server: never more than what was decided on what is there.
 */

import { beforeEach, describe, expect, test } from 'vitest';
import type { Api, Kind } from '../../k8s/api.ts';
import { isStatus } from '../../k8s/apiError.ts';
import { Effects, Rejection } from '../../k8s/effects.ts';
import { Expectations } from '../../k8s/expectations.ts';
import { KeySecrets } from '../../k8s/keySecrets.ts';
import { NotLeading } from '../../k8s/lease.ts';
import { apiVersion, childNames } from '../../k8s/names.ts';
import type { AnyObject, KubeObject, TrainingJob } from '../../k8s/objects.ts';
import type { EventDraft, Plan } from '../../k8s/plan.ts';
import { ownerReference } from '../../k8s/resources/owner.ts';
import { refTo } from '../../k8s/steer.ts';
import { keyOf } from '../../k8s/watch.ts';
import { onApiServer } from '../tools/apiServer.ts';
import { FakeClock } from '../tools/fakeClock.ts';
import { hasKubernetes } from '../tools/tools.ts';

describe.skipIf(!hasKubernetes())('what is carried out', () => {
  let api: Api;
  let job: TrainingJob;
  let numJobs = 0;
  const namespace = 'default';

  onApiServer(server => {
    ({ api } = server);
  });
  beforeEach(async () => {
    job = await makeJob(`job-${++numJobs}`);
  });

  const makeJob = async (name: string) =>
    (await api.create<AnyObject>({
      ...{ apiVersion, kind: 'TrainingJob', metadata: { name, namespace } },
      spec: { data: { path: 's3://data/nuclei' }, training: { batch: 8 } },
    })) as unknown as TrainingJob;
  const configMap = (value: string, metadata: Partial<KubeObject['metadata']> = {}): AnyObject => ({
    ...{ apiVersion: 'v1', kind: 'ConfigMap' },
    metadata: { name: `${job.metadata.name}-map`, namespace, ownerReferences: [ownerReference(job)], ...metadata },
    data: { value },
  });
  const stored = (kind: Kind, name: string) =>
    api.get<AnyObject & { data?: Record<string, string> }>(kind, name, { namespace }).catch(error => {
      if (isStatus(error, 404)) return undefined;
      throw error;
    });
  const storedMap = () => stored('ConfigMap', `${job.metadata.name}-map`);

  const nothing: Plan = { create: [], apply: [], remove: [], status: {}, events: [] };
  const news: EventDraft = { type: 'Normal', reason: 'News', message: 'there are some' };

  /** @param known what the watches have shown */
  function effects(known: readonly KubeObject[] = [], check = () => {}) {
    const clock = new FakeClock();
    const expectations = new Expectations();
    const told: EventDraft[] = [];
    const caches = {
      find: (kind: string, key: string) => known.find(object => object.kind === kind && keyOf(object) === key),
      isWatched: (kind: string) => kind !== 'Secret',
      observe: () => ({ children: [], pods: [], coordinator: undefined, workers: undefined }),
    };
    const recorder = { record: async (_: TrainingJob, event: EventDraft) => void told.push(event) };
    const secrets = new KeySecrets(api, clock);
    const carrying = new Effects({ api, caches, secrets, expectations, recorder, clock, check });
    const carryOut = (plan: Partial<Plan>) => carrying.carryOut(job, { ...nothing, status: job.status ?? {}, ...plan });
    return { carryOut, told, clock, secrets, waitMs: () => expectations.waitMs(keyOf(job), clock.now()) };
  }

  const failure = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => undefined,
      (error: unknown) => error,
    );

  test('an apply to an object that has changed since it was seen is refused', async () => {
    const seen = await api.apply<AnyObject>(configMap('1'));
    await api.patch(seen, { data: { by: 'another' } });
    const error = await failure(effects([seen]).carryOut({ apply: [configMap('2')] }));
    expect(isStatus(error, 409)).toBe(true);
    expect((await storedMap())!.data).toEqual({ value: '1', by: 'another' });
    const again = effects([(await storedMap())!]);
    await again.carryOut({ apply: [configMap('2')] });
    expect((await storedMap())!.data).toEqual({ value: '2', by: 'another' });
    expect(again.waitMs()).toBe(5000);
  });

  test('an apply to an object that is gone since it was seen makes it anew', async () => {
    const seen = await api.apply<AnyObject>(configMap('1'));
    await api.delete(seen);
    await effects([seen]).carryOut({ apply: [configMap('2')] });
    expect((await storedMap())!.data).toEqual({ value: '2' });
    expect((await storedMap())!.metadata.uid).not.toBe(seen.metadata.uid);
  });

  test('a field of a child that somebody else has set is set back: it is ours', async () => {
    await api.apply<AnyObject>(configMap('1'));
    const seen = await api.patch<AnyObject>(configMap(''), { data: { value: 'by hand' } }, undefined, { manager: 'hand' });
    await effects([seen]).carryOut({ apply: [configMap('2')] });
    expect((await storedMap())!.data).toEqual({ value: '2' });
  });

  test('an object that was not seen and is of somebody else is not overwritten', async () => {
    const { ownerReferences: _, ...metadata } = configMap('').metadata;
    await api.create<AnyObject>({ ...configMap('precious'), metadata }, { manager: 'hand' });
    const error = await failure(effects().carryOut({ apply: [configMap('2')], status: { phase: 'Pending' } }));
    expect(error).toBeInstanceOf(Rejection);
    expect(error).toMatchObject({ kind: 'ConfigMap', child: configMap('').metadata.name });
    expect((await storedMap())!.data).toEqual({ value: 'precious' });
    // What comes after it is not done.
    expect((await stored('TrainingJob', job.metadata.name))!.status).toBe(undefined);
  });

  test('of a Job that is there only what is said changes, and only if it is the one that was meant', async () => {
    const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'none.invalid/none:1' }] } };
    const name = `${job.metadata.name}-workers`;
    const made = await api.create<AnyObject>({
      ...{ apiVersion: 'batch/v1', kind: 'Job', metadata: { name, namespace, ownerReferences: [ownerReference(job)] } },
      spec: { completionMode: 'Indexed', completions: 2, parallelism: 2, suspend: true, template },
    });
    const change = (uid: string): AnyObject => ({
      ...{ apiVersion: 'batch/v1', kind: 'Job', metadata: { name, namespace, uid } },
      spec: { completions: 3, parallelism: 3 },
    });
    const seen = (await stored('Job', name))!;
    expect(await failure(effects([seen]).carryOut({ apply: [change('another')] }))).toBeInstanceOf(Error);
    expect(
      isStatus(
        await failure(
          effects([{ ...seen, metadata: { ...seen.metadata, resourceVersion: '1' } }]).carryOut({ apply: [change(seen.metadata.uid!)] }),
        ),
        409,
      ),
    ).toBe(true);
    expect((await stored('Job', name))!.spec).toMatchObject({ completions: 2 });
    await effects([(await stored('Job', name))!]).carryOut({ apply: [change(seen.metadata.uid!)] });
    const spec = (await stored('Job', name))!.spec as Record<string, unknown>;
    expect(spec).toEqual({ ...(made.spec as object), completions: 3, parallelism: 3 });
  });

  test('another object under the name of one that is to go stays', async () => {
    const seen = await api.apply<AnyObject>(configMap('1'));
    await api.delete(seen);
    const other = await api.apply<AnyObject>(configMap('other'));
    await effects([seen]).carryOut({ remove: [refTo(seen)] });
    expect((await storedMap())!.metadata.uid).toBe(other.metadata.uid);
    await effects([other]).carryOut({ remove: [{ ...refTo(other), metadata: { name: other.metadata.name, namespace } }] });
    expect(await storedMap()).toBe(undefined);
    // Gone already, as it should be.
    await effects([other]).carryOut({ remove: [refTo(other)] });
  });

  test('what is made once is not made again, and the keys that are there are not overwritten', async () => {
    const secret: AnyObject = {
      ...configMap('', { name: childNames(job.metadata.name).keys }),
      kind: 'Secret',
      data: undefined,
      stringData: { key: '1' },
    };
    const first = effects();
    expect(await first.carryOut({ create: [secret] })).toBe(0);
    const uid = (await stored('Secret', secret.metadata.name))!.metadata.uid;
    expect(first.secrets.of(job, [])?.metadata.uid).toBe(uid);
    const second = effects();
    expect(await second.carryOut({ create: [{ ...secret, stringData: { key: '2' } }] })).toBe(0);
    expect(second.secrets.of(job, [])?.metadata.uid).toBe(uid);
    expect(Buffer.from((await stored('Secret', secret.metadata.name))!.data!.key!, 'base64').toString()).toBe('1');
    // The same name, of a job that came later.
    await api.delete(job);
    job = await makeJob(job.metadata.name);
    const again = { ...secret, metadata: { ...secret.metadata, ownerReferences: [ownerReference(job)] } };
    const error = await failure(effects().carryOut({ create: [again] }));
    // Unless Kubernetes has collected the old one by now.
    if (error) expect(error).toBeInstanceOf(Rejection);
    else expect((await stored('Secret', secret.metadata.name))!.metadata.uid).not.toBe(uid);
  });

  test('a status is written on the version of the job that it was decided on, as a whole, and only if it is another', async () => {
    await effects().carryOut({ status: { phase: 'Pending', lanes: 4 } });
    const error = await failure(effects().carryOut({ status: { phase: 'Running' }, events: [news] }));
    expect(isStatus(error, 409)).toBe(true);
    job = (await stored('TrainingJob', job.metadata.name)) as unknown as TrainingJob;
    const { carryOut, waitMs } = effects([job]);
    await carryOut({ status: { phase: 'Running', workers: 1 } });
    expect(waitMs()).toBe(5000);
    const after = (await stored('TrainingJob', job.metadata.name)) as unknown as TrainingJob;
    expect(after.status).toEqual({ phase: 'Running', workers: 1 });
    job = after;
    const before = api.requests;
    expect(await effects().carryOut({ status: { workers: 1, phase: 'Running' } })).toBe(undefined);
    expect(api.requests).toBe(before);
  });

  test('a status that is not urgent waits for its turn, and news with it; none are lost where the status could not be written', async () => {
    const { carryOut, told, clock } = effects();
    const next = async () => {
      job = (await stored('TrainingJob', job.metadata.name)) as unknown as TrainingJob;
    };
    expect(await carryOut({ status: { step: 1 } })).toBe(undefined);
    await next();
    await clock.advance(2000);
    expect(await carryOut({ status: { step: 2 }, events: [news] })).toBe(3000);
    expect(told).toEqual([]);
    expect(job.status).toEqual({ step: 1 });
    await carryOut({ status: { phase: 'Running', step: 3 }, urgent: true });
    expect(told).toEqual([news]);
    // On a version that is not the newest any more.
    const later = { ...news, reason: 'Later' };
    expect(isStatus(await failure(carryOut({ status: { phase: 'Failed' }, urgent: true, events: [later] })), 409)).toBe(true);
    await next();
    expect(job.status).toEqual({ phase: 'Running', step: 3 });
    await carryOut({ status: { phase: 'Failed' }, urgent: true, events: [later] });
    expect(told).toEqual([news, later]);
  });

  test('a job that is deleted meanwhile, or made again under its name, is not written to', async () => {
    await api.delete(job);
    await effects().carryOut({ status: { phase: 'Pending' } });
    await makeJob(job.metadata.name);
    expect(isStatus(await failure(effects().carryOut({ status: { phase: 'Pending' } })), 409)).toBe(true);
    expect((await stored('TrainingJob', job.metadata.name))!.status).toBe(undefined);
  });

  test('one that does not lead does nothing of it, and nobody is blamed', async () => {
    const check = () => {
      throw new NotLeading({ namespace: 'n', name: 'l' });
    };
    const seen = await api.apply<AnyObject>(configMap('1'));
    for (const plan of [
      { create: [configMap('2')] },
      { apply: [configMap('2')] },
      { remove: [seen] },
      { status: { phase: 'Pending' } },
    ] as const) {
      expect(await failure(effects([seen], check).carryOut(plan))).toBeInstanceOf(NotLeading);
    }
    expect((await storedMap())!.metadata.resourceVersion).toBe(seen.metadata.resourceVersion);
    expect((await stored('TrainingJob', job.metadata.name))!.status).toBe(undefined);
  });
});
