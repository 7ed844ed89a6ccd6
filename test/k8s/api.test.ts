/**
 * What goes over the wire to an API server, as a server of the test sees it.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { type Api, connect } from '../../k8s/api.ts';
import { NotLeading } from '../../k8s/lease.ts';
import { CertificateAuthority } from '../tools/certificates.ts';
import { temporaryFolder } from '../tools/temporaryFolder.ts';

const soon = { timeout: 20_000, interval: 20 };

async function connectTo(folder: string, cluster: Record<string, unknown>): Promise<Api> {
  const kubeconfig = join(folder, 'kubeconfig');
  const named = (name: string, more: object) => [{ name, ...more }];
  const file = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'c' },
    clusters: named('c', { cluster }),
    users: named('u', { user: { token: 't' } }),
    contexts: named('c', { context: { cluster: 'c', user: 'u' } }),
  };
  writeFileSync(kubeconfig, JSON.stringify(file));
  return await connect({ kubeconfig });
}

const configMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'n', uid: 'u' } };
const refuse = () => {
  throw new NotLeading({ namespace: 'n', name: 'l' });
};

/** Takes connections, writes down what comes, and answers nothing. */
async function listen() {
  const sockets: Socket[] = [];
  let said = '';
  const server = createServer(socket => {
    sockets.push(socket);
    socket.on('data', data => {
      said += data;
    });
    socket.on('error', () => {});
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    said: () => said,
    connections: () => sockets.length,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test.each<[what: string, request: (api: Api) => Promise<unknown>]>([
  ['create', api => api.create(configMap, { guard: refuse })],
  ['apply', api => api.apply(configMap, { guard: refuse })],
  ['patch', api => api.patch(configMap, { data: {} }, undefined, { guard: refuse })],
  ['delete', api => api.delete(configMap, { guard: refuse })],
])('a %s whose guard refuses is not sent, not even in part', async (_, request) => {
  await using folder = temporaryFolder('api');
  using server = await listen();
  const api = await connectTo(folder.path, { server: server.url, 'insecure-skip-tls-verify': true });
  await expect(request(api)).rejects.toBeInstanceOf(NotLeading);
  // There was a connection, on which it could have been sent.
  await vi.waitFor(() => expect(server.connections()).toBe(1), soon);
  expect(server.said()).toBe('');
  await api.close();
});

test('what a guard lets pass is sent whole', async () => {
  await using folder = temporaryFolder('api');
  using server = await listen();
  const api = await connectTo(folder.path, { server: server.url, 'insecure-skip-tls-verify': true });
  const deleted = api.delete(configMap, { guard() {} }).catch(() => {});
  const body = '{"propagationPolicy":"Background","preconditions":{"uid":"u"}}';
  await vi.waitFor(() => expect(server.said()).toContain(`content-length: ${body.length}\r\n\r\n${body}`), soon);
  expect(server.said()).toMatch(/^DELETE \/api\/v1\/namespaces\/n\/configmaps\/a HTTP\/1\.1\r\n/);
  await api.close();
  await deleted;
});

test('a guard is not asked before there is a connection', async () => {
  await using folder = temporaryFolder('api');
  const server = await listen();
  server[Symbol.dispose]();
  const api = await connectTo(folder.path, { server: server.url, 'insecure-skip-tls-verify': true });
  const guard = vi.fn();
  await expect(api.create(configMap, { guard })).rejects.toMatchObject({ code: 'unavailable' });
  expect(guard).not.toHaveBeenCalled();
  await api.close();
});

test('requests do not share one connection, though the server would like that', async () => {
  await using folder = temporaryFolder('api');
  mkdirSync(join(folder.path, 'certificates'));
  const authority = new CertificateAuthority(join(folder.path, 'certificates'));
  const { certificate, key } = authority.forServer(['127.0.0.1']);
  const versions: string[] = [];
  const server = createSecureServer({ allowHTTP1: true, cert: readFileSync(certificate), key: readFileSync(key) }, (request, response) => {
    versions.push(request.httpVersion);
    response.end('{}');
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve()));
  const { port } = server.address() as AddressInfo;
  const ca = readFileSync(authority.certificate).toString('base64');
  const api = await connectTo(folder.path, { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': ca });
  await api.raw('/version');
  await api.create(configMap, { guard() {} });
  expect(versions).toEqual(['1.1', '1.1']);
  await api.close();
  server.close();
});
