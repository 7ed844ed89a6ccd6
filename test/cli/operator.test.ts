/**
 * The operator as the chart starts it: a process of its own that is told by flags and ended by a signal. What it does is tested in test/k8s.
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import type { Api } from '../../k8s/api.ts';
import type { Lease } from '../../k8s/lease.ts';
import { apiVersion } from '../../k8s/names.ts';
import type { AnyObject, TrainingJob } from '../../k8s/objects.ts';
import { onApiServer } from '../tools/apiServer.ts';
import { segfleet } from '../tools/cli.ts';
import type { ControlPlane } from '../tools/controlPlane.ts';
import { hasKubernetes } from '../tools/tools.ts';

const soon = { timeout: 60_000, interval: 100 };

describe('an operator that cannot start', () => {
  const bare = { KUBECONFIG: '', HOME: '/nonexistent' };
  test.each<[what: string, words: string[], code: number, sentence: string]>([
    ['no image', [], 2, 'Missing required flag image'],
    ['a port alone', ['--image', 'i', '--listen', '8081'], 2, '--listen 8081: host:port is expected, such as 0.0.0.0:8081'],
    ['a port that does not exist', ['--image', 'i', '--listen', '0.0.0.0:65536'], 2, '--listen 0.0.0.0:65536: host:port is expected'],
    ['a lease without a namespace', ['--image', 'i', '--lease', 'x'], 2, '--lease x: namespace/name is expected'],
    ['a store that is none', ['--image', 'i', '--store', 'gs://b'], 2, '--store gs://b: s3://bucket/prefix is expected'],
    ['a port of the store that does not exist', ['--image', 'i', '--store-port', '0'], 2, '0'],
    ['an MLflow server that is none', ['--image', 'i', '--mlflow', 'mlflow:5000'], 2, '--mlflow mlflow:5000: an address such as http'],
    ['a password that all could read', ['--image', 'i', '--mlflow', 'http://a:b@c'], 2, 'use --mlflow-secret'],
    ['a policy that does not exist', ['--image', 'i', '--image-pull-policy', 'Sometimes'], 2, 'Sometimes'],
    ['no cluster', ['--image', 'i'], 4, 'there is no cluster to talk to'],
    ['no kubeconfig', ['--image', 'i', '--kubeconfig', '/nonexistent/file'], 4, 'the kubeconfig cannot be read'],
  ])('%s: says so', async (_, words, code, sentence) => {
    const said = await segfleet(['operator', ...words], { env: bare });
    expect(said.stderr).toContain(sentence);
    expect(said.code).toBe(code);
    expect(said.stdout).toBe('');
  });
});

describe.skipIf(!hasKubernetes())('an operator', () => {
  let controlPlane: ControlPlane;
  let api: Api;
  onApiServer(server => {
    ({ api, controlPlane } = server);
  });

  test('runs until it is told to end, takes what its flags say, and writes one JSON object a line', async () => {
    const lines: Record<string, unknown>[] = [];
    const stop = Promise.withResolvers<() => void>();
    const flags = [
      ...[
        '--image',
        'registry.example/segfleet:7',
        '--image-pull-policy',
        'Never',
        '--store',
        's3://runs/models',
        '--store-secret',
        'store',
      ],
      ...['--store-port', '9000', '--library-claim', 'library', '--prometheus-namespace', 'monitoring'],
      ...['--namespace', 'default', '--listen', '127.0.0.1:0', '--lease', 'kube-system/one', '--kubeconfig', controlPlane.kubeconfig],
    ];
    const run = segfleet(['operator', ...flags], {
      env: { POD_NAME: 'pod-1', POD_NAMESPACE: 'segfleet' },
      onLine: line => lines.push(JSON.parse(line)),
      onStart: child => stop.resolve(() => child.kill('SIGTERM')),
    });
    try {
      await vi.waitFor(() => expect(lines.some(({ message }) => message === 'this operator leads')).toBe(true), soon);
      const { port } = lines.find(({ message }) => message === 'the operator has started') as { port: number };
      expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
      const lease = await api.get<Lease>('Lease', 'one', { namespace: 'kube-system' });
      expect(lease.spec).toMatchObject({ holderIdentity: expect.stringMatching(/^pod-1_[\da-f-]{36}$/), leaseDurationSeconds: 15 });
      await api.create<AnyObject>({
        ...{ apiVersion, kind: 'TrainingJob', metadata: { name: 'nuclei', namespace: 'default' } },
        spec: { data: { path: 's3://data/nuclei' }, training: { batch: 8 } },
      });
      const { metadata } = await api.get<TrainingJob>('TrainingJob', 'nuclei', { namespace: 'default' });
      const written = await vi.waitFor(async () => {
        const { code, stdout } = await controlPlane.kubectl(
          'get',
          'job/nuclei-workers',
          'configmap/nuclei-job',
          'networkpolicy/nuclei-network',
          '--output=json',
        );
        expect(code).toBe(0);
        return stdout;
      }, soon);
      const [workers, job, network] = JSON.parse(written).items;
      const { containers, volumes } = workers.spec.template.spec;
      expect(containers[0]).toMatchObject({ image: 'registry.example/segfleet:7', imagePullPolicy: 'Never' });
      expect(volumes).toContainEqual(expect.objectContaining({ secret: expect.objectContaining({ secretName: 'store' }) }));
      expect(volumes).toContainEqual(expect.objectContaining({ persistentVolumeClaim: { claimName: 'library', readOnly: true } }));
      expect(job.data['job.yaml']).toContain(`s3://runs/models/default/nuclei-${metadata.uid!.slice(0, 8)}`);
      expect(network.spec.egress).toContainEqual({ ports: expect.arrayContaining([{ protocol: 'TCP', port: 9000 }]) });
      expect(JSON.stringify(network.spec.ingress)).toContain('"kubernetes.io/metadata.name":"monitoring"');
      expect(JSON.stringify(network.spec.ingress)).toContain('"kubernetes.io/metadata.name":"segfleet"');
    } finally {
      (await stop.promise)();
    }
    expect(await run).toMatchObject({ code: 0, stderr: '' });
    expect(lines.every(({ time, level, message }) => Boolean(time && level && message))).toBe(true);
    expect((await api.get<Lease>('Lease', 'one', { namespace: 'kube-system' })).spec!.holderIdentity).toBe(undefined);
  });

  test('a port that is taken: says so', async () => {
    const server = createServer();
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      const flags = ['--image', 'i', '--listen', `127.0.0.1:${port}`, '--kubeconfig', controlPlane.kubeconfig];
      const said = await segfleet(['operator', ...flags]);
      expect(said).toMatchObject({ code: 7, stderr: expect.stringContaining('something listens there already; name another port') });
    } finally {
      server.close();
    }
  });
});
