/**
 * The Python environments of the peers that we are measured against, in the cache, each keyed by its requirements.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../trainer/engine/library.ts';

/** The interpreter of the environment with the packages of `peers/<list>`; installs it when it is not there (some gigabytes, once). */
export async function peersPython(list = 'requirements.txt'): Promise<string> {
  const requirements = new URL(`peers/${list}`, import.meta.url).pathname;
  const key = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const folder = join(cacheFolder(), `peers-${key}`);
  const python = join(folder, 'bin', 'python');
  if (existsSync(join(folder, 'complete'))) return python;
  rmSync(folder, { recursive: true, force: true });
  console.error(`installing the peers (${readFileSync(requirements, 'utf8').trim().split('\n').join(', ')}) into ${folder}`);
  const run = (command: string, ...arguments_: string[]) => execFileSync(command, arguments_, { stdio: ['ignore', 'ignore', 'inherit'] });
  run('python3', '-m', 'venv', folder);
  run(python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements);
  run('touch', join(folder, 'complete.partial'));
  renameSync(join(folder, 'complete.partial'), join(folder, 'complete'));
  return python;
}
