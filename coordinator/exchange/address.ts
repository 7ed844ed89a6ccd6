/**
 * Where a socket may listen: on TCP with keys, or in a folder that is this user's alone.
 */
import { lstat, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { fromSystemError, SegfleetError } from '../../trainer/errors.ts';

/** Who listens, and what the sentences say of it. */
const listeners = {
  control: {
    folders: /^ipc:\/\/(\/.+)$/,
    places: 'listen on tcp://address:port or ipc:///folder/name',
    intruders: 'join the run; give a key file',
    owners: 'processes of one run need a folder of mode 0700 of their own',
  },
  mesh: {
    folders: /^(?:ipc|shm):\/\/(\/.+)$/,
    places: 'a mesh listens on tcp://address:port, ipc:///folder/name or shm:///folder/name',
    intruders: 'send gradients',
    owners: 'workers of one machine need a folder of this user with mode 0700',
  },
} as const;

/**
 * @param listen `tcp://10.1.2.3:5000`, with `*` for any free port, or `ipc:///folder/name`; of a mesh `shm:///folder/name` too
 * @param isClosed strangers cannot connect on TCP: there are keys, or the network is trusted
 * @throws usage; notAllowed: where others can enter the folder; notFound
 */
export async function checkListen(listen: string, isClosed: boolean, listener: keyof typeof listeners): Promise<void> {
  const { folders, places, intruders, owners } = listeners[listener];
  if (listen.startsWith('tcp://')) {
    if (isClosed) return;
    throw new SegfleetError('usage', `${listen} needs keys: without them anyone who can connect can ${intruders}`);
  }
  const [, path] = folders.exec(listen) ?? [];
  if (!path) throw new SegfleetError('usage', `${listen}: ${places}`);
  if (Buffer.byteLength(path) > 107)
    throw new SegfleetError('usage', `${path} is too long for a socket (107 bytes); choose a shorter folder`);
  const folder = dirname(path);
  const { mode, uid } = await lstat(folder).catch(error => {
    throw fromSystemError(error, `opening a socket in ${folder}`);
  });
  if ((mode & 0o077) !== 0 || uid !== process.getuid!()) {
    throw new SegfleetError('notAllowed', `${folder} can be entered by others; ${owners}`);
  }
}

/**
 * libzmq tidies up before it says why it could not bind, and once in a long while loses the reason on the way; then the system is asked.
 *
 * @throws an error with the code of the system, for which `listenError` has the sentence
 */
export async function bind(socket: { bind(listen: string): Promise<void> }, listen: string): Promise<void> {
  try {
    await socket.bind(listen);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === 'EAGAIN' ? Object.assign(error as Error, { code: (await whyNot(listen)) ?? code }) : error;
  }
}

async function whyNot(listen: string): Promise<string | undefined> {
  const [, bracketed, plain, port] = /^tcp:\/\/(?:\[(.+)\]|([^:[\]*]+)):(\d+|\*)$/.exec(listen) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) return undefined;
  const server = createServer();
  try {
    return await new Promise(resolve => {
      server.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
      server.listen({ host, port: port === '*' ? 0 : Number(port) }, () => resolve(undefined));
    });
  } finally {
    server.close();
  }
}

/** The sentence for a socket that could not listen. */
export function listenError(error: unknown, listen: string): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return new SegfleetError('conflict', `${listen} is in use; give another port or name, or tcp://host:* for any free port`, {
        cause: error,
      });
    // Nobody knows why, see `bind`.
    case 'EAGAIN':
      return new SegfleetError('conflict', `${listen} cannot be listened on, most likely because it is in use; give another port or name`, {
        cause: error,
      });
    case 'EACCES':
      return new SegfleetError('notAllowed', `${listen}: permission denied; give a port above 1023 or a folder of your own`, {
        cause: error,
      });
    case 'EADDRNOTAVAIL':
    case 'ENODEV':
    case 'EINVAL':
      return new SegfleetError('usage', `${listen}: this machine has no such address`, { cause: error });
    default:
      return error;
  }
}

/** ZeroMQ leaves the file behind. */
export async function removeSocket(listen: string): Promise<void> {
  if (!listen.startsWith('tcp:')) await rm(listen.slice('ipc://'.length), { force: true });
}
