/**
 * The Python environments of the peers that we are measured against, in the cache, keyed by their requirements.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../trainer/engine/library.ts';

const requirementsOf = (file: string) => new URL(`peers/${file}`, import.meta.url).pathname;

/** The interpreter of the environment of the benches; installs it when it is not there (some gigabytes, once). */
export const peersPython = async (): Promise<string> => environment('peers', 'requirements.txt');

/** The same with the libraries that metrics are checked against, on top of it. */
export const metricsPython = async (): Promise<string> => environment('metrics', 'metrics-requirements.txt', await peersPython());

/** Those that our statistics are checked against, alone. */
export const statisticsPython = async (): Promise<string> => environment('statistics', 'statistics-requirements.txt');

/** That which reads our shards, alone. */
export const webdatasetPython = async (): Promise<string> => environment('webdataset', 'webdataset-requirements.txt');

/** That which reads our event files, alone. */
export const tensorboardPython = async (): Promise<string> => environment('tensorboard', 'tensorboard-requirements.txt');

/** That of an MLflow server, alone: the small package of it, and what its server needs besides. */
export const mlflowPython = async (): Promise<string> => environment('mlflow', 'mlflow-requirements.txt');

/** Whether it has been installed. */
export const hasMlflow = (): boolean => existsSync(join(folderOf('mlflow', 'mlflow-requirements.txt'), 'complete'));

/** @param base interpreter of an environment whose packages this one has too */
function environment(name: string, requirementsFile: string, base?: string): string {
  const requirements = requirementsOf(requirementsFile);
  const text = readFileSync(requirements, 'utf8');
  const folder = folderOf(name, requirementsFile, base);
  const python = join(folder, 'bin', 'python');
  if (existsSync(join(folder, 'complete'))) return python;
  rmSync(folder, { recursive: true, force: true });
  console.error(`installing ${text.trim().split('\n').join(', ')} into ${folder}`);
  const run = (command: string, ...arguments_: string[]) => execFileSync(command, arguments_, { stdio: ['ignore', 'ignore', 'inherit'] });
  run('python3', '-m', 'venv', folder);
  if (base) writeFileSync(join(packagesOf(python), 'base.pth'), `${packagesOf(base)}\n`);
  run(python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements);
  run('touch', join(folder, 'complete.partial'));
  renameSync(join(folder, 'complete.partial'), join(folder, 'complete'));
  return python;
}

function folderOf(name: string, requirementsFile: string, base = ''): string {
  const text = readFileSync(requirementsOf(requirementsFile), 'utf8');
  const key = createHash('sha256')
    .update(text + base)
    .digest('hex')
    .slice(0, 12);
  return join(cacheFolder(), `${name}-${key}`);
}

function packagesOf(python: string): string {
  const lib = join(python, '..', '..', 'lib');
  const [version] = readdirSync(lib).filter(name => name.startsWith('python3.'));
  return join(lib, version, 'site-packages');
}
