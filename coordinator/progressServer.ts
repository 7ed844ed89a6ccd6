/**
 * Tells over HTTP where a run stands: `GET /progress`, and `GET /healthz`, which is answered while the main thread of the process is.
 * Whoever can connect may ask, so there is nothing in it that is secret, and little that a stranger can keep busy.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SegfleetError } from '../trainer/errors.ts';
import type { Progress } from './progress.ts';

export interface ProgressServer {
  readonly url: string;
  close(): Promise<void>;
}

const deadlineMs = 5000;
const maxConnections = 64;
const maxHeaderSize = 8192;

/** @param listen `host:port`, 0 being any free port. @throws usage, conflict, notAllowed */
export async function serveProgress(listen: string, progress: () => Progress): Promise<ProgressServer> {
  const [, host, port] = /^(\[[0-9a-f:.]+\]|[^:\s]+):(\d{1,5})$/i.exec(listen) ?? [];
  if (!host || Number(port) > 65_535)
    throw new SegfleetError('usage', `--progress ${listen}: host:port is expected, such as 127.0.0.1:8080`);

  const pages = new Map<string, () => [type: string, body: string]>([
    ['/progress', () => ['application/json', `${JSON.stringify(progress())}\n`]],
    ['/healthz', () => ['text/plain', 'ok\n']],
  ]);
  const server = createServer(
    { maxHeaderSize, requestTimeout: deadlineMs, headersTimeout: deadlineMs, keepAlive: false },
    (request, response) => {
      const page = pages.get(request.url!.split('?')[0]);
      if (!page) return answer(response, 404, 'text/plain', 'not found: ask for /progress or /healthz\n');
      if (request.method !== 'GET') {
        response.setHeader('Allow', 'GET');
        return answer(response, 405, 'text/plain', 'only GET\n');
      }
      answer(response, 200, ...page());
    },
  );
  server.maxConnections = maxConnections;
  server.listen(Number(port), host.replace(/^\[|\]$/g, ''));
  await once(server, 'listening').catch(error => {
    throw listenError(error, listen);
  });
  const { address, port: bound, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function answer(response: ServerResponse, status: number, type: string, body: string): void {
  response.sendDate = false;
  const length = Buffer.byteLength(body);
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': length, 'Cache-Control': 'no-store', Connection: 'close' });
  response.end(body);
}

function listenError(error: unknown, listen: string): unknown {
  const because = (code: 'conflict' | 'notAllowed' | 'usage', sentence: string) =>
    new SegfleetError(code, `--progress ${listen}: ${sentence}`, { cause: error });
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return because('conflict', 'the port is in use; give another one, or 0 for any that is free');
    case 'EACCES':
      return because('notAllowed', 'permission denied; give a port above 1023');
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return because('usage', 'this machine has no such address');
    default:
      return error;
  }
}
