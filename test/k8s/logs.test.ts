/**
 * Logs of pods through a real API server: merged, continued where they are cut, and the pod that failed first at the beginning.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Api, connect } from '../../k8s/api.ts';
import { followLogs, type LogLine, readLogs } from '../../k8s/logs.ts';
import { type ControlPlane, startControlPlane } from '../tools/controlPlane.ts';
import { installKinds, jobOf, makePod, report, setPod } from '../tools/handOperator.ts';
import { LogKubelet } from '../tools/logKubelet.ts';
import { hasKubernetes } from '../tools/tools.ts';

const soon = { timeout: 60_000, interval: 50 };
const at = (second: number, fraction = '000000000') => `2026-11-26T05:00:${String(second).padStart(2, '0')}.${fraction}Z`;

describe.skipIf(!hasKubernetes())('logs', () => {
  let controlPlane: ControlPlane;
  let api: Api;
  let kubelet: LogKubelet;
  beforeAll(async () => {
    controlPlane = await startControlPlane({ scheduler: false });
    api = await connect({ kubeconfig: controlPlane.kubeconfig });
    await installKinds(api);
    kubelet = await LogKubelet.start(api);
  });
  afterAll(async () => {
    await kubelet[Symbol.asyncDispose]();
    await controlPlane[Symbol.asyncDispose]();
  });

  const begin = async (job: string, pod: string, index?: number) => {
    const component = index === undefined ? 'coordinator' : 'worker';
    await makePod(api, pod, { job, component, index, node: kubelet.node });
    await setPod(api, pod, 'Running', { running: { startedAt: at(0) } });
  };
  const read = async (job: string, tail?: number) => {
    const said: string[] = [];
    const options = { tail, say: (sentence: string) => said.push(sentence), signal: new AbortController().signal };
    return { lines: await Array.fromAsync(readLogs(api, { name: job, namespace: 'default' }, options)), said };
  };
  const follow = (job: string) => {
    const lines: LogLine[] = [];
    const said: string[] = [];
    const stop = new AbortController();
    const options = { say: (sentence: string) => said.push(sentence), signal: stop.signal };
    const ended = (async () => {
      for await (const line of followLogs(api, { name: job, namespace: 'default' }, options)) lines.push(line);
    })();
    const seen = () => lines.map(({ text }) => text);
    return { lines, said, stop, ended, seen };
  };

  test('of a job that runs come in the order of time, with who wrote them', async () => {
    await api.create(jobOf('running'));
    await begin('running', 'running-coordinator-0-aaaaa');
    await begin('running', 'running-workers-0-aaaaa', 0);
    await begin('running', 'running-workers-1-aaaaa', 1);
    await makePod(api, 'running-workers-2-aaaaa', { job: 'running', component: 'worker', index: 2, node: kubelet.node }); // is being created
    kubelet.write('running-coordinator-0-aaaaa', at(1), 'listening');
    kubelet.write('running-workers-0-aaaaa', at(2, '1'), 'worker 0 joins');
    kubelet.write('running-workers-1-aaaaa', at(2), 'worker 1 joins');
    kubelet.write('running-coordinator-0-aaaaa', at(3), 'step 1');
    const { lines, said } = await read('running');
    expect(said).toEqual([]);
    expect(lines.map(({ component, index, text }) => [component, index, text])).toEqual([
      ['coordinator', undefined, 'listening'],
      ['worker', 1, 'worker 1 joins'],
      ['worker', 0, 'worker 0 joins'],
      ['coordinator', undefined, 'step 1'],
    ]);
    expect((await read('running', 1)).lines.map(({ text }) => text)).toEqual(['worker 1 joins', 'worker 0 joins', 'step 1']);
  });

  test('of a job that has failed begin with the pod that failed first', async () => {
    await api.create(jobOf('failed'));
    await begin('failed', 'failed-coordinator-0-aaaaa');
    await begin('failed', 'failed-workers-1-aaaaa', 1);
    kubelet.write('failed-coordinator-0-aaaaa', at(1), 'listening');
    kubelet.write('failed-workers-1-aaaaa', at(2), 'reading');
    kubelet.write('failed-workers-1-aaaaa', at(4), 'error: no such bucket');
    kubelet.write('failed-coordinator-0-aaaaa', at(5), 'a worker is lost');
    const failure = {
      component: 'worker',
      cause: 'fatal',
      reason: 'notFound',
      time: at(4),
      log: 'reading\nerror: no such bucket\n',
    } as const;
    await report(api, 'failed', { phase: 'Failed', exitCode: 4, firstFailure: { ...failure, pod: 'failed-workers-1-aaaaa' } });
    const inOrder = ['reading', 'error: no such bucket', 'listening', 'a worker is lost'];
    expect((await read('failed')).lines.map(({ text }) => text)).toEqual(inOrder);
    // Followed, it is the same, and ends.
    const following = follow('failed');
    await following.ended;
    expect(following.seen()).toEqual(inOrder);

    // The pod is gone: what the operator kept.
    await api.delete({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'failed-workers-1-aaaaa', namespace: 'default' } });
    const force = ['delete', 'pod', 'failed-workers-1-aaaaa', '--force', '--grace-period=0', '--ignore-not-found'];
    await controlPlane.kubectl(...force);
    const { lines, said } = await read('failed');
    expect(lines.map(({ text }) => text)).toEqual(inOrder);
    expect(said).toEqual(['failed-workers-1-aaaaa, which failed first, is gone; these are its last lines, as failed keeps them']);
  });

  test('say why there are none', async () => {
    await api.create(jobOf('waiting'));
    expect(await read('waiting')).toEqual({ lines: [], said: ['waiting has no pods (Pending); `events waiting` says what happened'] });
    await makePod(api, 'waiting-workers-0-aaaaa', { job: 'waiting', component: 'worker', index: 0, node: kubelet.node });
    expect((await read('waiting')).said).toEqual(['no pod of waiting has begun yet; `status waiting` says what they wait for']);
    await expect(read('waitin')).rejects.toMatchObject({ code: 'notFound', message: expect.stringContaining('did you mean waiting?') });
  });

  test('of a node that cannot be asked are left out, which is said', async () => {
    await api.create(jobOf('unreachable'));
    await begin('unreachable', 'unreachable-workers-0-aaaaa', 0);
    kubelet.isBroken = true;
    const { lines, said } = await read('unreachable');
    kubelet.isBroken = false;
    expect(lines).toEqual([]);
    expect(said).toEqual([expect.stringContaining('log of unreachable-workers-0-aaaaa in namespace default: ')]);
  });

  test('are followed through new pods, broken connections and a restart of the API server, and end with the job', async () => {
    await api.create(jobOf('followed'));
    await begin('followed', 'followed-coordinator-0-aaaaa');
    kubelet.write('followed-coordinator-0-aaaaa', at(1), 'one');
    const following = follow('followed');
    await vi.waitFor(() => expect(following.seen()).toEqual(['one']), soon);
    kubelet.write('followed-coordinator-0-aaaaa', at(2), 'two');
    kubelet.write('followed-coordinator-0-aaaaa', at(2), 'two again');
    await vi.waitFor(() => expect(following.seen()).toEqual(['one', 'two', 'two again']), soon);

    await begin('followed', 'followed-workers-0-bbbbb', 0);
    kubelet.write('followed-workers-0-bbbbb', at(3), 'a new pod');
    await vi.waitFor(() => expect(following.seen().at(-1)).toBe('a new pod'), soon);

    kubelet.cut();
    kubelet.write('followed-coordinator-0-aaaaa', at(4), 'while it was cut');
    await vi.waitFor(() => expect(following.seen().at(-1)).toBe('while it was cut'), soon);
    expect(following.said).toEqual([]);

    await controlPlane.killApiServer();
    kubelet.write('followed-workers-0-bbbbb', at(5), 'while nobody could ask');
    await vi.waitFor(() => expect(following.said).toHaveLength(1), soon);
    await controlPlane.startApiServer();
    await vi.waitFor(() => expect(following.seen().at(-1)).toBe('while nobody could ask'), soon);
    await vi.waitFor(() => expect(following.said).toHaveLength(2), soon);
    expect(following.said).toEqual([
      expect.stringMatching(/the API server does not answer .*; still following$/),
      'the API server is back',
    ]);

    kubelet.write('followed-coordinator-0-aaaaa', at(6), 'last words');
    kubelet.end('followed-coordinator-0-aaaaa');
    kubelet.end('followed-workers-0-bbbbb');
    await setPod(api, 'followed-coordinator-0-aaaaa', 'Succeeded', { terminated: { exitCode: 0 } });
    await setPod(api, 'followed-workers-0-bbbbb', 'Succeeded', { terminated: { exitCode: 0 } });
    await report(api, 'followed', { phase: 'Succeeded' });
    await following.ended;
    // Each once.
    expect(following.seen()).toEqual(['one', 'two', 'two again', 'a new pod', 'while it was cut', 'while nobody could ask', 'last words']);
  });

  test('stop being followed when asked to, and let go of the pods', async () => {
    await api.create(jobOf('left'));
    await begin('left', 'left-workers-0-aaaaa', 0);
    const following = follow('left');
    await vi.waitFor(() => expect(kubelet.followersOf('left-workers-0-aaaaa')).toBe(1), soon);
    following.stop.abort();
    await following.ended;
    await vi.waitFor(() => expect(kubelet.followersOf('left-workers-0-aaaaa')).toBe(0), soon);
  });
});
