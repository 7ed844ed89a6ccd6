/**
 * Stands in front of an API server and does to its clients what networks and busy servers do: refuses, answers for it, says nothing, cuts in the
 * middle of a line. Whoever comes to it is let in as the user of the given kubeconfig.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface Asked {
  readonly method: string;
  /** With the query. */
  readonly url: string;
  /** `performance.now()` */
  readonly at: number;
}

/** What is done instead of, or to, the answer of the server. */
export type Fault =
  | { readonly answer: number; readonly headers?: Record<string, string>; readonly body?: string }
  /** Taken, and never answered. */
  | 'hang'
  /** The connection ends without a word. */
  | 'drop';

export class FaultyProxy implements AsyncDisposable {
  readonly asked: Asked[] = [];
  /** Asked of every request. */
  fault: (asked: Asked) => Fault | undefined = () => undefined;
  readonly #server: Server;
  readonly #agent: Agent;
  readonly #upstream: string;
  readonly #open = new Map<ServerResponse, { isSilent: boolean }>();
  #refuses = false;

  /** @param kubeconfig as JSON, with a client certificate */
  constructor(kubeconfig: string) {
    const { clusters, users } = JSON.parse(readFileSync(kubeconfig, 'utf8'));
    const bytes = (text: string) => Buffer.from(text, 'base64');
    this.#upstream = clusters[0].cluster.server;
    this.#agent = new Agent({
      keepAlive: true,
      ca: bytes(clusters[0].cluster['certificate-authority-data']),
      cert: bytes(users[0].user['client-certificate-data']),
      key: bytes(users[0].user['client-key-data']),
    });
    this.#server = createServer((asked, response) => this.#handle(asked, response));
    this.#server.on('connection', socket => this.#refuses && socket.destroy());
  }

  async start(): Promise<this> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A kubeconfig that leads here. */
  writeKubeconfig(path: string): string {
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'proxy', cluster: { server: this.url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'proxy', user: {} }],
      contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'proxy' } }],
      'current-context': 'proxy',
    };
    writeFileSync(path, JSON.stringify(kubeconfig));
    return path;
  }

  /** Connections that are there are cut, new ones too, until told otherwise. */
  refuse(refuses: boolean): void {
    this.#refuses = refuses;
    if (refuses) this.#server.closeAllConnections();
  }

  /** Answers that have begun say nothing more, and stay open. */
  silence(): void {
    for (const state of this.#open.values()) state.isSilent = true;
  }

  /** Puts something into all answers that are open, and ends them there if asked to. */
  say(text: string, { cut = false } = {}): void {
    for (const response of this.#open.keys()) response.write(text, () => cut && response.destroy());
  }

  /** Answers under way: the watches. */
  get open(): number {
    return this.#open.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
  }

  #handle(message: IncomingMessage, response: ServerResponse): void {
    const asked = { method: message.method!, url: message.url!, at: performance.now() };
    this.asked.push(asked);
    const fault = this.fault(asked);
    if (fault === 'drop') return void response.destroy();
    if (fault === 'hang') return;
    if (fault) return void response.writeHead(fault.answer, { 'content-type': 'application/json', ...fault.headers }).end(fault.body ?? '');
    const { host: _, connection: __, ...headers } = message.headers;
    const upstream = request(new URL(asked.url, this.#upstream), { method: asked.method, headers, agent: this.#agent });
    const state = { isSilent: false };
    upstream.on('error', () => response.destroy());
    upstream.on('response', answer => {
      this.#open.set(response, state);
      response.writeHead(answer.statusCode!, answer.headers);
      response.flushHeaders();
      answer.on('data', chunk => !state.isSilent && response.write(chunk));
      answer.on('end', () => !state.isSilent && response.end());
      answer.on('error', () => response.destroy());
    });
    response.on('close', () => {
      this.#open.delete(response);
      upstream.destroy();
    });
    message.pipe(upstream);
  }
}
