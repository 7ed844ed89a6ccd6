/**
 * Ways from this machine into a network that has none: a port on loopback here leads over a Unix socket, which is a file and has no
 * network, to a small process in there, which connects to where it is told.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { until } from '../programs.ts';
import type { Machine } from './machine.ts';

/** Ahead of all that a connection over the socket carries it says where to: `address:port`, and spaces up to this length. */
const headerBytes = 64;

export class Relay implements Disposable {
  readonly #socket: string;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Socket>();

  private constructor(socket: string) {
    this.#socket = socket;
  }

  /** @param socket the path that it is to have */
  static async into(machine: Machine, socket: string): Promise<Relay> {
    const process_ = machine.start('relay', process.execPath, import.meta.filename, socket);
    await until('the relay', () => leadsSomewhere(socket), [process_]);
    return new Relay(socket);
  }

  /** @returns a port on loopback of this machine that leads to that port of that address in there */
  async to(address: string, port: number): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, connection => {
      const onward = connect({ path: this.#socket, allowHalfOpen: true });
      onward.write(`${address}:${port}`.padEnd(headerBytes));
      join(connection, onward);
      this.#connections.add(connection);
      connection.on('close', () => this.#connections.delete(connection));
    });
    this.#servers.push(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return (server.address() as { port: number }).port;
  }

  [Symbol.dispose](): void {
    for (const server of this.#servers) server.close();
    for (const connection of this.#connections) connection.destroy();
  }
}

async function leadsSomewhere(socket: string): Promise<boolean> {
  const connection = connect(socket);
  await once(connection, 'connect');
  connection.destroy();
  return true;
}

/** What comes from either goes to the other, until both have said all. */
function join(one: Socket, other: Socket): void {
  one.pipe(other).pipe(one);
  const ends = [one, other];
  for (const [i, end] of ends.entries()) {
    const opposite = ends[1 - i]!;
    end.on('error', () => opposite.destroy());
    end.on('close', () => opposite.destroySoon());
  }
}

/** The process in there. */
function serve(path: string): void {
  const server = createServer({ allowHalfOpen: true }, connection => {
    const begin = () => {
      const header: Buffer | null = connection.read(headerBytes);
      if (header === null) return;
      connection.off('readable', begin);
      const [host, port] = String(header).trim().split(':');
      join(connection, connect({ host: host!, port: Number(port), allowHalfOpen: true }));
    };
    connection.on('readable', begin).on('error', () => {});
  });
  server.listen(path);
}

if (import.meta.main) serve(process.argv[2]!);
