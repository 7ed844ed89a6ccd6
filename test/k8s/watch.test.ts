/**
 * A watch against a real API server that fails in all the ways in which they do. What it knows must be what is there, and what it reported must add up to
 * the same.
 */
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Api, connect } from '../../k8s/api.ts';
import { type Clock, systemClock } from '../../k8s/clock.ts';
import type { AnyObject, KubeObject } from '../../k8s/objects.ts';
import { type Change, keyOf, type RestartReason, Watch, type WatchOptions } from '../../k8s/watch.ts';
import { type ControlPlane, startControlPlane } from '../tools/controlPlane.ts';
import { FaultyProxy } from '../tools/faultyProxy.ts';
import { hasKubernetes } from '../tools/tools.ts';

const soon = { timeout: 30_000, interval: 20 };
const label = { watched: 'yes' };

describe.skipIf(!hasKubernetes())('a watch', () => {
  let controlPlane: ControlPlane;
  let proxy: FaultyProxy;
  /** Past the proxy. */
  let direct: Api;
  let viaProxy: Api;
  const running: (() => Promise<void>)[] = [];
  let namespace = '';
  let namespaces = 0;

  beforeAll(async () => {
    controlPlane = await startControlPlane({ scheduler: false });
    direct = await connect({ kubeconfig: controlPlane.kubeconfig });
    proxy = await new FaultyProxy(controlPlane.kubeconfig).start();
    viaProxy = await connect({ kubeconfig: proxy.writeKubeconfig(join(controlPlane.folder, 'proxy.kubeconfig')) });
  });
  afterAll(async () => {
    await direct.close();
    await viaProxy.close();
    await proxy[Symbol.asyncDispose]();
    await controlPlane[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    namespace = `watched-${++namespaces}`;
    await direct.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    proxy.asked.length = 0;
  });
  afterEach(async () => {
    proxy.fault = () => undefined;
    proxy.refuse(false);
    for (const end of running.splice(0)) await end();
  });

  const configMap = (name: string, value = ''): AnyObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace, labels: label },
    data: { value },
  });
  const ref = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace } });
  const put = (name: string, value: string) => direct.patch(ref(name), { data: { value } });

  /** What adds up from what was reported; a report that does not fit what was known is an error. */
  function watching(api: Pick<Api, 'list' | 'watch'>, options: Partial<WatchOptions<KubeObject>> = {}) {
    const known = new Map<string, KubeObject>();
    const changes: string[] = [];
    const restarts: RestartReason[] = [];
    const watch = new Watch<KubeObject>({
      api,
      kind: 'ConfigMap',
      selection: { namespace, labelSelector: 'watched=yes' },
      clock: systemClock,
      random: Math.random,
      backOff: { firstMs: 50, longestMs: 400 },
      onChange({ type, object }: Change<KubeObject>) {
        const key = keyOf(object);
        if (known.has(key) !== (type !== 'added')) throw new Error(`${key} is ${type}, and was ${known.has(key) ? '' : 'not '}there`);
        if (type === 'removed') known.delete(key);
        else known.set(key, object);
        changes.push(`${type} ${object.metadata.name}`);
      },
      onRestart: reason => restarts.push(reason),
      ...options,
    });
    const stop = new AbortController();
    const ended = watch.run(stop.signal);
    const end = async () => {
      stop.abort();
      await ended;
    };
    running.push(end);
    return { watch, known, changes, restarts, end };
  }

  const versions = (objects: Iterable<KubeObject>) =>
    Object.fromEntries([...objects].map(({ metadata }) => [metadata.name, `${metadata.uid} ${metadata.resourceVersion}`]).sort());

  /** It, and the sum of its reports, come to agree with the server. */
  const agrees = ({ watch, known }: ReturnType<typeof watching>) =>
    vi.waitFor(async () => {
      const { items } = await direct.list('ConfigMap', { namespace, labelSelector: 'watched=yes' });
      expect(versions(watch.values())).toEqual(versions(items));
      expect(versions(known.values())).toEqual(versions(items));
    }, soon);

  test('lists what is there, then follows what changes, and only what was selected', async () => {
    await direct.create(configMap('a'));
    await direct.create({ ...configMap('other'), metadata: { name: 'other', namespace } });
    const seen = watching(direct);
    await seen.watch.synced;
    expect(seen.changes).toEqual(['added a']);
    await direct.create(configMap('b'));
    await put('b', '1');
    await direct.patch(ref('a'), { metadata: { labels: { watched: null } } });
    await direct.delete(ref('b'));
    await direct.create(configMap('c'));
    await agrees(seen);
    expect(seen.changes).toEqual(['added a', 'added b', 'changed b', 'removed a', 'removed b', 'added c']);
    expect(seen.watch.get(`${namespace}/c`)).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1', data: { value: '' } });
    expect(seen.watch.get(`${namespace}/c`)!.metadata).not.toHaveProperty('managedFields');
    expect(seen.watch.get(`${namespace}/a`)).toBe(undefined);
    expect(seen.restarts).toEqual([]);
  });

  test('finds objects by their group, which may change', async () => {
    const groupOf = (object: KubeObject) => (object as AnyObject & { data?: { value?: string } }).data?.value || undefined;
    const seen = watching(direct, { groupOf });
    await direct.create(configMap('a', 'x'));
    await direct.create(configMap('b', 'x'));
    await direct.create(configMap('c'));
    await agrees(seen);
    const group = (name: string) => seen.watch.group(name).map(({ metadata }) => metadata.name);
    expect([group('x'), group('y')]).toEqual([['a', 'b'], []]);
    await put('a', 'y');
    await direct.delete(ref('b'));
    await agrees(seen);
    expect([group('x'), group('y')]).toEqual([[], ['a']]);
  });

  test('an API server that is killed and comes back: nothing is missed, deletions neither', async () => {
    for (const name of ['stays', 'changes', 'goes', 'is-replaced']) await direct.create(configMap(name));
    // It comes back when all has happened.
    let isHeld = false;
    const gate = Promise.withResolvers<void>();
    const after: Clock['after'] = (ms, run) => {
      if (!isHeld) return systemClock.after(ms, run);
      let isWanted = true;
      void gate.promise.then(() => isWanted && run());
      return () => {
        isWanted = false;
      };
    };
    const seen = watching(direct, { clock: { ...systemClock, after } });
    await agrees(seen);
    seen.changes.length = 0;
    isHeld = true;
    await controlPlane.killApiServer();
    await vi.waitFor(() => expect(seen.restarts.length).toBe(1), soon);
    await controlPlane.startApiServer();
    await Promise.all([
      put('changes', '1'),
      direct.delete(ref('goes')),
      direct.create(configMap('comes')),
      direct.delete(ref('is-replaced')),
    ]);
    await direct.create(configMap('is-replaced'));
    isHeld = false;
    gate.resolve();
    await agrees(seen);
    expect(seen.changes.sort()).toEqual(['added comes', 'added is-replaced', 'changed changes', 'removed goes', 'removed is-replaced']);
    await direct.delete(ref('stays'));
    await agrees(seen);
  });

  test('while the network is cut everything changes, and all of it is reported when it is back', async () => {
    for (const name of ['stays', 'changes', 'goes', 'is-replaced']) await direct.create(configMap(name));
    const seen = watching(viaProxy);
    await agrees(seen);
    seen.changes.length = 0;
    proxy.refuse(true);
    await put('changes', '1');
    await direct.delete(ref('goes'));
    await direct.delete(ref('is-replaced'));
    await direct.create(configMap('is-replaced'));
    await direct.create(configMap('comes'));
    await direct.create(configMap('comes-and-goes'));
    await direct.delete(ref('comes-and-goes'));
    expect(seen.changes).toEqual([]);
    proxy.refuse(false);
    await agrees(seen);
    expect(seen.changes.sort()).toEqual(['added comes', 'added is-replaced', 'changed changes', 'removed goes', 'removed is-replaced']);
  });

  test('a server that refuses connections is not asked again and again, and never given up', async () => {
    proxy.refuse(true);
    const seen = watching(viaProxy, { backOff: { firstMs: 100, longestMs: 400 } });
    await new Promise(resolve => setTimeout(resolve, 3000));
    // At least 50 + 100 + 200 + 200 ... ms apart: at most 16 in 3 s; at most 100 + 200 + 400 + 400 ... ms: at least 8.
    expect(seen.restarts.length).toBeGreaterThanOrEqual(6);
    expect(seen.restarts.length).toBeLessThanOrEqual(16);
    expect(seen.watch.isSynced).toBe(false);
    proxy.refuse(false);
    await seen.watch.synced;
    await direct.create(configMap('a'));
    await agrees(seen);
  });

  test.each<[what: string, reason: RestartReason, inject: () => void]>([
    ['says that its version is too old, in the middle', 'expired', () => proxy.say(`${JSON.stringify(expired)}\n`)],
    ['says something that is not JSON', 'garbled', () => proxy.say('{"type":"ADDED", oh\n')],
    ['is cut in the middle of a line', 'unanswered', () => proxy.say('{"type":"ADDED","object":{"metadata":{', { cut: true })],
    ['is silent, though the connection is there', 'silent', () => proxy.silence()],
  ])('one that %s begins anew and has missed nothing', async (_, reason, inject) => {
    await direct.create(configMap('goes'));
    const seen = watching(viaProxy, { silentMs: 2000 });
    await agrees(seen);
    await vi.waitFor(() => expect(proxy.open).toBe(1), soon);
    inject();
    await direct.delete(ref('goes'));
    await direct.create(configMap('comes'));
    await agrees(seen);
    expect(seen.restarts[0]).toBe(reason);
  });

  test('a version that the server has forgotten: it lists again', async () => {
    await direct.create(configMap('a'));
    let lists = 0;
    const old: Pick<Api, 'list' | 'watch'> = {
      async list<T extends KubeObject>(...given: Parameters<Api['list']>) {
        const answer = await direct.list<T>(...given);
        // The first is as old as the cluster.
        return ++lists === 1 ? { ...answer, resourceVersion: '1' } : answer;
      },
      watch: direct.watch.bind(direct),
    };
    const seen = watching(old);
    await seen.watch.synced;
    await direct.create(configMap('b'));
    await agrees(seen);
    expect(seen.restarts).toEqual(['expired']);
    expect(seen.changes).toEqual(['added a', 'added b']);
  });

  test('an API server that is stopped, so that connections stand and nothing comes', async () => {
    await direct.create(configMap('a'));
    const seen = watching(direct, { silentMs: 2000 });
    await agrees(seen);
    controlPlane.pauseApiServer();
    try {
      await vi.waitFor(() => expect(seen.restarts).toContain('silent'), soon);
    } finally {
      controlPlane.resumeApiServer();
    }
    await direct.delete(ref('a'));
    await direct.create(configMap('b'));
    await agrees(seen);
  });

  test.each<[what: string, reason: RestartReason, fault: { answer: number; headers?: Record<string, string> }]>([
    ['500', 'refused', { answer: 500 }],
    ['503', 'refused', { answer: 503 }],
    ['403', 'refused', { answer: 403 }],
    ['429 and when to come again', 'refused', { answer: 429, headers: { 'retry-after': '1' } }],
  ])('a server that answers %s for a while is asked now and then until it answers well', async (_, reason, fault) => {
    proxy.fault = () => fault;
    const seen = watching(viaProxy, { backOff: { firstMs: 200, longestMs: 400 } });
    await new Promise(resolve => setTimeout(resolve, 2500));
    expect(proxy.asked.length).toBeGreaterThanOrEqual(2);
    expect(proxy.asked.length).toBeLessThanOrEqual(16);
    proxy.fault = () => undefined;
    await seen.watch.synced;
    await direct.create(configMap('a'));
    await agrees(seen);
    expect(new Set(seen.restarts).size === 0 || seen.restarts[0] === reason).toBe(true);
  });

  test('a server that ends every watch at once is not asked in a hot loop', async () => {
    proxy.fault = ({ url }) => (url.includes('watch=true') ? { answer: 200, body: '' } : undefined);
    const seen = watching(viaProxy, { backOff: { firstMs: 200, longestMs: 400 } });
    await new Promise(resolve => setTimeout(resolve, 3000));
    expect(new Set(seen.restarts)).toEqual(new Set(['ended']));
    expect(proxy.asked.length).toBeLessThanOrEqual(32);
    proxy.fault = () => undefined;
    await direct.create(configMap('a'));
    await agrees(seen);
  });

  test('all are listed again now and then, whatever the watch says', async () => {
    await direct.create(configMap('goes'));
    const seen = watching(viaProxy, { resyncMs: 1000 });
    await agrees(seen);
    await vi.waitFor(() => expect(proxy.open).toBe(1), soon);
    proxy.silence();
    await direct.delete(ref('goes'));
    await agrees(seen);
    expect(new Set(seen.restarts)).toEqual(new Set(['resync']));
  });

  test('a list of more than a page is whole, and reported once', async () => {
    const names = Array.from({ length: 620 }, (_, i) => `many-${i}`);
    for (let i = 0; i < names.length; i += 20) await Promise.all(names.slice(i, i + 20).map(name => direct.create(configMap(name))));
    const seen = watching(viaProxy);
    await seen.watch.synced;
    expect(seen.changes.length).toBe(620);
    expect(seen.watch.size).toBe(620);
    await agrees(seen);
    expect(proxy.asked.filter(({ url }) => url.includes('limit=500')).length).toBe(2);
  });

  test('one that is told to end leaves no request behind', async () => {
    const seen = watching(viaProxy);
    await seen.watch.synced;
    await vi.waitFor(() => expect(proxy.open).toBe(1), soon);
    await seen.end();
    await vi.waitFor(() => expect(proxy.open).toBe(0), soon);
    proxy.refuse(true);
    const other = watching(viaProxy, { backOff: { firstMs: 60_000, longestMs: 60_000 } });
    await vi.waitFor(() => expect(other.restarts.length).toBe(1), soon);
    await other.end();
  });
});

const expired = {
  type: 'ERROR',
  object: { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: 'too old resource version', reason: 'Expired', code: 410 },
};
