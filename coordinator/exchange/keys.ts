/**
 * The keys of a run: two CURVE pairs in one file, made by whoever starts the run and handed on as a file only (a mounted Secret on a
 * cluster), never in arguments or in the environment. Who can read it is a worker of the run.
 */
import { open, readFile, rm, stat } from 'node:fs/promises';
import { curveKeyPair } from 'zeromq';
import { z } from 'zod';
import { fromSystemError, SegfleetError } from '../../trainer/errors.ts';

const key = z.string().regex(/^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}$/);
const pair = z.strictObject({ publicKey: key, secretKey: key }).readonly();
const runKeysSchema = z
  .strictObject({ version: z.literal(1), run: z.string().min(1).max(256), coordinator: pair, worker: pair })
  .readonly();

export type KeyPair = z.infer<typeof pair>;
export type RunKeys = z.infer<typeof runKeysSchema>;

const freshKeys = (run: string): RunKeys => ({ version: 1, run, coordinator: curveKeyPair(), worker: curveKeyPair() });
const textOf = (keys: RunKeys): string => `${JSON.stringify(keys, null, 2)}\n`;

/** Fresh keys, as the text of a key file. */
export const makeKeyFile = (run: string): string => textOf(freshKeys(run));

/** @throws conflict: where the file exists already (keys of a run are never replaced) */
export async function createRunKeys(file: string, run: string): Promise<RunKeys> {
  const keys = freshKeys(run);
  const handle = await open(file, 'wx', 0o600).catch(error => {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new SegfleetError('conflict', `${file} exists already, and keys are not replaced; remove it or name another file`, {
        cause: error,
      });
    }
    throw fromSystemError(error, `writing ${file}`);
  });
  try {
    await handle.writeFile(textOf(keys));
    await handle.sync();
  } catch (error) {
    await rm(file, { force: true });
    throw fromSystemError(error, `writing ${file}`);
  } finally {
    await handle.close();
  }
  return keys;
}

/** @throws notFound; notAllowed: where others may read or write it; invalidData: where it is no key file, or one of another run */
export async function readRunKeys(file: string, run: string): Promise<RunKeys> {
  let text: string;
  try {
    const { mode } = await stat(file);
    // The group may read: that is how a cluster mounts a Secret for a user that is not root.
    if ((mode & 0o027) !== 0) {
      const found = (mode & 0o777).toString(8);
      throw new SegfleetError(
        'notAllowed',
        `${file} may be read or written by others (mode ${found}); run chmod 600 on it, and make new keys if someone could have`,
      );
    }
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw fromSystemError(error, `reading ${file}`);
  }
  const keys = runKeysSchema.safeParse(parsed(text));
  if (!keys.success) {
    // Nothing of what it holds is repeated: it may be half of a secret.
    throw new SegfleetError('invalidData', `${file} is not a key file of segfleet; let whoever starts the run write a new one`);
  }
  if (keys.data.run !== run)
    throw new SegfleetError('invalidData', `${file} has the keys of run ${keys.data.run}, not of ${run}; name the right file`);
  return keys.data;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
