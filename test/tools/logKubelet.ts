/**
 * The part of a kubelet that a real API server asks for the logs of pods: a test says what they write. It registers a node of its own, on which pods
 * are put by name; nothing runs there.
 */
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Api } from '../../k8s/api.ts';
import type { KubeObject } from '../../k8s/objects.ts';
import { CertificateAuthority } from './certificates.ts';
import { type TemporaryFolder, temporaryFolder } from './temporaryFolder.ts';

interface Log {
  readonly lines: { readonly time: string; readonly text: string }[];
  readonly followers: Set<{ readonly response: ServerResponse; readonly timestamps: boolean }>;
  hasEnded: boolean;
}

export class LogKubelet implements AsyncDisposable {
  readonly node = 'log-node';
  /** Whether it refuses to tell. */
  isBroken = false;
  /** Every question, as it was asked. */
  readonly asked: URL[] = [];
  readonly #server: Server;
  readonly #folder: TemporaryFolder;
  readonly #logs = new Map<string, Log>();

  private constructor(server: Server, folder: TemporaryFolder) {
    this.#server = server;
    this.#folder = folder;
    server.on('request', ({ url = '' }, response) => this.#answer(new URL(url, 'https://kubelet'), response));
  }

  static async start(api: Api): Promise<LogKubelet> {
    const folder = temporaryFolder('kubelet');
    const { certificate, key } = new CertificateAuthority(folder.path).forServer(['127.0.0.1']);
    const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
    const kubelet = new LogKubelet(server, folder);
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: kubelet.node } };
    await api.create<KubeObject>(node);
    const addresses = [{ type: 'InternalIP', address: '127.0.0.1' }];
    await api.patch(node, { status: { addresses, daemonEndpoints: { kubeletEndpoint: { Port: port } } } }, 'status');
    return kubelet;
  }

  write(pod: string, time: string, text: string): void {
    const log = this.#logOf(pod);
    log.lines.push({ time, text });
    for (const { response, timestamps } of log.followers) response.write(written({ time, text }, timestamps));
  }

  /** The container has ended. */
  end(pod: string): void {
    const log = this.#logOf(pod);
    log.hasEnded = true;
    for (const { response } of log.followers) response.end();
    log.followers.clear();
  }

  followersOf(pod: string): number {
    return this.#logOf(pod).followers.size;
  }

  /** Breaks all connections. */
  cut(): void {
    for (const { followers } of this.#logs.values()) {
      for (const { response } of followers) response.destroy();
      followers.clear();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await this.#folder[Symbol.asyncDispose]();
  }

  #logOf(pod: string): Log {
    const log = this.#logs.get(pod) ?? { lines: [], followers: new Set(), hasEnded: false };
    this.#logs.set(pod, log);
    return log;
  }

  #answer(url: URL, response: ServerResponse): void {
    this.asked.push(url);
    const [, what, , pod] = url.pathname.split('/');
    if (what !== 'containerLogs' || this.isBroken) {
      response.writeHead(500).end('this node has no logs');
      return;
    }
    const log = this.#logOf(pod);
    const query = url.searchParams;
    const timestamps = query.get('timestamps') === 'true';
    const since = Date.parse(query.get('sinceTime') ?? '') || 0;
    const lines = log.lines.filter(({ time }) => Date.parse(time) >= since);
    const tail = query.get('tailLines');
    const shown = tail === null ? lines : Number(tail) === 0 ? [] : lines.slice(-Number(tail));
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.flushHeaders();
    for (const line of shown) response.write(written(line, timestamps));
    if (query.get('follow') !== 'true' || log.hasEnded) {
      response.end();
      return;
    }
    const follower = { response, timestamps };
    log.followers.add(follower);
    response.on('close', () => log.followers.delete(follower));
  }
}

const written = ({ time, text }: Log['lines'][number], timestamps: boolean) => `${timestamps ? `${time} ` : ''}${text}\n`;
