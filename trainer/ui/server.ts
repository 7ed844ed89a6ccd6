/**
 * The live page over HTTP, on this machine alone. Nothing can be changed through it.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { listenError } from '../tracking/servePages.ts';
import { type Answer, answers, type World } from './answers.ts';
import type { Changes } from './api.ts';
import { type Asset, readAssets } from './assets.ts';
import { Guard, makeToken, securityHeaders } from './guard.ts';

const pages = new Set(['/', '/run', '/sweep']);
const host = '127.0.0.1';
const heartbeatMs = 15_000;
const maxConnections = 256;
const compress = promisify(gzip);

export interface UiServer {
  /** With the token. */
  readonly url: string;
  close(): Promise<void>;
}

/** @param port 0 for any that is free @throws conflict: it is in use; notAllowed */
export async function serveFleet(world: World, port: number): Promise<UiServer> {
  const assets = readAssets();
  const streams = new Set<ServerResponse>();
  let guard: Guard;
  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, maxHeaderSize: 16_384 }, (request, response) => {
    void respond(request, response).catch(error => {
      if (!response.headersSent) refuse(response, 500, (error as Error).message);
      else response.destroy();
    });
  });
  server.maxConnections = maxConnections;
  server.listen(port, host);
  await once(server, 'listening').catch(error => {
    throw listenError(error, `--port ${port}`);
  });
  const { port: bound } = server.address() as AddressInfo;
  guard = new Guard(makeToken(), bound);

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    const { pathname, searchParams } = new URL(request.url ?? '/', `http://${host}`);
    const given = searchParams.get('token');
    const refusal = guard.refusalOf(request, given);
    if (refusal) return refuse(response, refusal.status, refusal.sentence);
    if (request.method !== 'GET') {
      response.setHeader('Allow', 'GET');
      return refuse(response, 405, 'Only GET: nothing can be changed here.');
    }
    if (given !== null) response.setHeader('Set-Cookie', guard.cookie);
    if (pathname === '/api/events') return stream(request, response, searchParams);
    const asset = assets.get(pages.has(pathname) ? '/shell' : pathname);
    if (asset) return giveAsset(request, response, asset);
    const ask = Object.hasOwn(answers, pathname) ? answers[pathname] : undefined;
    if (!ask) return refuse(response, 404, 'There is no such page.');
    await give(request, response, await ask(world, searchParams));
  }

  /** What has changed since the event that the browser had last; all there is, where it begins or this is another server than before. */
  function stream(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): void {
    const { fleet, boot } = world;
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    // The page says that it is connected before there is news.
    response.flushHeaders();
    const last = /^([\w-]{8})-(\d+)$/.exec(String(request.headers['last-event-id'] ?? query.get('after') ?? ''));
    const only = query.get('only');
    const known = last?.[1] === boot ? Number(last[2]) : undefined;
    const send = (all: Changes, sequence: number) => {
      const changes = only === null ? all : changesOf(all, only);
      if (isNothing(changes)) return;
      // Who does not read what is sent is no reader: the browser comes again.
      if (response.writableLength > 16 * 1024 * 1024) return void response.destroy();
      response.write(`id: ${boot}-${sequence}\ndata: ${JSON.stringify(changes)}\n\n`);
    };
    send(fleet.since(known), fleet.sequence);
    const unlisten = fleet.listen(send);
    const heartbeat = setInterval(() => response.write(':\n\n'), heartbeatMs);
    streams.add(response);
    response.once('close', () => {
      unlisten();
      clearInterval(heartbeat);
      streams.delete(response);
    });
  }

  return {
    url: `http://${host}:${bound}/?token=${guard.token}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const response of streams) response.end();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** What of it is about one run or sweep. */
function changesOf({ isWhole, runs, sweeps, problems, gone }: Changes, only: string): Changes {
  const isIt = ({ id }: { readonly id: string }) => id === only;
  return {
    isWhole,
    runs: runs.filter(isIt),
    sweeps: sweeps.filter(isIt),
    problems: problems.filter(isIt),
    gone: gone.filter(id => id === only),
  };
}

const isNothing = ({ isWhole, runs, sweeps, problems, gone }: Changes): boolean =>
  !isWhole && [runs, sweeps, problems, gone].every(({ length }) => length === 0);

async function giveAsset(request: IncomingMessage, response: ServerResponse, { type, body, etag }: Asset): Promise<void> {
  const headers = { 'Content-Type': type, ETag: etag, 'Cache-Control': 'no-cache' };
  if (request.headers['if-none-match'] === etag) response.writeHead(304, headers).end();
  else await giveBody(request, response, headers, body);
}

async function give(request: IncomingMessage, response: ServerResponse, answer: Answer): Promise<void> {
  if ('missing' in answer) return refuse(response, 404, answer.missing);
  response.setHeader('Cache-Control', 'no-store');
  if ('file' in answer && answer.file) response.setHeader('Content-Disposition', `attachment; filename="${answer.file}"`);
  if ('pieces' in answer) {
    response.writeHead(200, { 'Content-Type': answer.type });
    return pipeline(Readable.from(answer.pieces), response);
  }
  const [type, body] =
    'json' in answer
      ? ['application/json; charset=utf-8', Buffer.from(JSON.stringify(answer.json))]
      : [answer.type, Buffer.from(answer.body)];
  await giveBody(request, response, { 'Content-Type': type }, body);
}

interface Headers {
  readonly 'Content-Type': string;
  readonly [name: string]: string;
}

/** Compressed, where that helps: the page may be read through a tunnel from far away. */
async function giveBody(request: IncomingMessage, response: ServerResponse, headers: Headers, body: Buffer): Promise<void> {
  const isLong = body.length > 4096 && headers['Content-Type'] !== 'image/png';
  if (!isLong || !/\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))) {
    response.writeHead(200, { ...headers, 'Content-Length': body.length }).end(body);
    return;
  }
  const small = await compress(body, { level: 1 });
  response.writeHead(200, { ...headers, 'Content-Encoding': 'gzip', 'Content-Length': small.length }).end(small);
}

function refuse(response: ServerResponse, status: number, sentence: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' }).end(`${sentence}\n`);
}
