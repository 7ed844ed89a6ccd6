/**
 * A few pages over HTTP, answered from memory: whoever can connect may ask, so there is nothing in them that is secret, and little that a stranger
 * can keep busy.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SegfleetError } from '../errors.ts';

export interface Page {
  readonly type: string;
  readonly body: string;
}

export interface PageServer {
  readonly url: string;
  close(): Promise<void>;
}

const deadlineMs = 5000;
const maxConnections = 64;
const maxHeaderSize = 8192;

/**
 * @param listen `host:port`, 0 being any free port
 * @param flag that names it, in errors
 * @throws usage, conflict, notAllowed
 */
export async function servePages(
  listen: string,
  { flag, pages }: { readonly flag: string; readonly pages: Readonly<Record<string, () => Page | Promise<Page>>> },
): Promise<PageServer> {
  const [, host, port] = /^(\[[0-9a-f:.]+\]|[^:\s]+):(\d{1,5})$/i.exec(listen) ?? [];
  if (!host || Number(port) > 65_535) throw new SegfleetError('usage', `${flag} ${listen}: host:port is expected, such as 127.0.0.1:8080`);

  const byPath = new Map(Object.entries(pages));
  const known = [...byPath.keys()];
  const paths = known.length > 1 ? `${known.slice(0, -1).join(', ')} or ${known.at(-1)}` : known[0];
  const answering = new Set<Promise<void>>();
  const server = createServer(
    { maxHeaderSize, requestTimeout: deadlineMs, headersTimeout: deadlineMs, keepAlive: false },
    (request, response) => {
      const page = byPath.get(request.url!.split('?')[0]);
      if (!page) return answer(response, 404, { type: 'text/plain', body: `not found: ask for ${paths}\n` });
      if (request.method !== 'GET') {
        response.setHeader('Allow', 'GET');
        return answer(response, 405, { type: 'text/plain', body: 'only GET\n' });
      }
      const answered = give(response, page);
      answering.add(answered);
      void answered.finally(() => answering.delete(answered));
    },
  );
  server.maxConnections = maxConnections;
  server.listen(Number(port), host.replace(/^\[|\]$/g, ''));
  await once(server, 'listening').catch(error => {
    throw listenError(error, `${flag} ${listen}`);
  });
  const { address, port: bound, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${bound}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      // Whoever has asked is answered.
      await Promise.all(answering);
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Done when it is on its way, or nobody is there any more. What goes wrong with a page is its own affair. */
async function give(response: ServerResponse, page: () => Page | Promise<Page>): Promise<void> {
  const done = new Promise<void>(resolve => {
    response.once('close', resolve).once('finish', resolve);
    setTimeout(resolve, deadlineMs).unref();
  });
  try {
    answer(response, 200, await page());
  } catch (error) {
    answer(response, 500, { type: 'text/plain', body: `${(error as Error).message}\n` });
  }
  await done;
}

function answer(response: ServerResponse, status: number, { type, body }: Page): void {
  response.sendDate = false;
  const length = Buffer.byteLength(body);
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': length, 'Cache-Control': 'no-store', Connection: 'close' });
  response.end(body);
}

export function listenError(error: unknown, where: string): unknown {
  const because = (code: 'conflict' | 'notAllowed' | 'usage', sentence: string) =>
    new SegfleetError(code, `${where}: ${sentence}`, { cause: error });
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
