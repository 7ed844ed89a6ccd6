/**
 * Where a socket may listen: on TCP with keys, or in a folder that is this user's alone.
 */
import { lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fromSystemError, SegfleetError } from '../trainer/errors.ts';

/**
 * @param listen `tcp://10.1.2.3:5000`, with `*` for any free port, or `ipc:///folder/name`
 * @throws usage; notAllowed: where others can enter the folder; notFound
 */
export async function checkListen(listen: string, hasKeys: boolean): Promise<void> {
  if (listen.startsWith('tcp://')) {
    if (hasKeys) return;
    throw new SegfleetError('usage', `${listen} needs keys: without them anyone who can connect can join the run; give a key file`);
  }
  const [, path] = /^ipc:\/\/(\/.+)$/.exec(listen) ?? [];
  if (!path) throw new SegfleetError('usage', `${listen}: listen on tcp://address:port or ipc:///folder/name`);
  if (Buffer.byteLength(path) > 107)
    throw new SegfleetError('usage', `${path} is too long for a socket (107 bytes); choose a shorter folder`);
  const folder = dirname(path);
  const { mode, uid } = await lstat(folder).catch(error => {
    throw fromSystemError(error, `opening a socket in ${folder}`);
  });
  if ((mode & 0o077) !== 0 || uid !== process.getuid!()) {
    throw new SegfleetError(
      'notAllowed',
      `${folder} can be entered by others; processes of one run need a folder of mode 0700 of their own`,
    );
  }
}

/** The sentence for a socket that could not listen. */
export function listenError(error: unknown, listen: string): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return new SegfleetError('conflict', `${listen} is in use; give another port or name, or tcp://host:* for any free port`, {
        cause: error,
      });
    case 'EACCES':
      return new SegfleetError('notAllowed', `${listen}: permission denied; give a port above 1023 or a folder of your own`, {
        cause: error,
      });
    case 'EADDRNOTAVAIL':
    case 'ENODEV':
      return new SegfleetError('usage', `${listen}: this machine has no such address`, { cause: error });
    default:
      return error;
  }
}

/** The file of a thread beside the module that starts it: the sources run as they are, what is published is JavaScript. */
export const threadFile = (module: string, name: string): URL => new URL(`./${name}.${module.endsWith('.js') ? 'js' : 'ts'}`, module);
