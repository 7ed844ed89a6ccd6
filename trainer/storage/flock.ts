/**
 * Locks of the kernel on files. They end with the process that holds them, so that a killed one leaves nothing that a later one must clear away.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { fromSystemError, SegfleetError } from '../errors.ts';

/** Whether this handle holds its file alone now; false while another one does. @throws unavailable: the file system has no locks */
export async function tryFlock(handle: FileHandle, name: string): Promise<boolean> {
  const { default: koffi } = await import('koffi');
  const flock = koffi.load('libc.so.6').func('int flock(int descriptor, int operation)');
  const [exclusive, doNotWait, wouldBlock] = [2, 4, 11];
  if (flock(handle.fd, exclusive | doNotWait) === 0) return true;
  const problem = koffi.errno();
  if (problem === wouldBlock) return false;
  throw new SegfleetError('unavailable', `${name}: its file system gives no lock (error ${problem} of flock)`);
}

/** Locks a file, which is made where it is not there, until `release`. Undefined while another process holds it. */
export async function lockFile(file: string): Promise<{ readonly release: () => Promise<void> } | undefined> {
  const handle = await open(file, 'a').catch(error => {
    throw fromSystemError(error, file);
  });
  if (await tryFlock(handle, file)) return { release: () => handle.close() };
  await handle.close();
  return undefined;
}
