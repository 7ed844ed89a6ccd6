/**
 * Where the TensorFlow library comes from: a folder the user names, an installed Python `tensorflow` beside an NVIDIA device, or
 * our own cache, which `fetchLibrary` fills from the Python wheel. Nothing here loads it; native.ts does.
 */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { mkdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { SegfleetError } from '../errors.ts';
import { removeAbandoned } from '../storage/files.ts';

// Loaded in this order: the second needs symbols of the first.
export const libraryFiles = ['libtensorflow_framework.so.2', 'libtensorflow_cc.so.2'] as const;

/** A release, by the hash of the wheel and of both files that we take from it. */
export interface Pin {
  readonly version: string;
  readonly wheel: {
    readonly project: string;
    readonly sha256: string;
    readonly platform: string;
    readonly python: string;
    readonly megabytes: number;
  };
  readonly files: Readonly<Record<(typeof libraryFiles)[number], { readonly bytes: number; readonly sha256: string }>>;
}

/** The release that the tests and benches ran on. */
export const pinned: Pin = {
  version: '2.21.0',
  wheel: {
    project: 'tensorflow-cpu',
    sha256: '05af7c26d35f4de910b5598c7b507e3981831a7b0f47fed9a405d995d51d7793',
    platform: 'manylinux_2_27_x86_64',
    python: '3.13',
    megabytes: 274,
  },
  files: {
    'libtensorflow_framework.so.2': { bytes: 65_222_328, sha256: 'f060b323b26ef80add21b9df9428de3aeaf2843d772c5bb098745f7abff3709b' },
    'libtensorflow_cc.so.2': { bytes: 788_086_608, sha256: '6505a4b9657e62100c6bdacb683957a395cb047725042945aaa50e40a71e429e' },
  },
};

export interface Library {
  readonly folder: string;
  /** Why this one was taken; logged and recorded in the run. */
  readonly source: 'SEGFLEET_TENSORFLOW' | 'python' | 'cache';
}

type Environment = Readonly<Record<string, string | undefined>>;

export function cacheFolder(env: Environment = process.env): string {
  return env.SEGFLEET_CACHE ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'segfleet');
}

export function cachedLibraryFolder(env: Environment = process.env): string {
  return join(cacheFolder(env), `${pinned.wheel.project}-${pinned.version}`);
}

/** True where the kernel shows an NVIDIA device and nobody has hidden it. */
export function hasNvidiaDevice(env: Environment = process.env, devices = '/dev'): boolean {
  if (env.CUDA_VISIBLE_DEVICES !== undefined && /^(-1.*|\s*)$/.test(env.CUDA_VISIBLE_DEVICES)) return false;
  return existsSync(devices) && readdirSync(devices).some(name => /^nvidia\d+$/.test(name));
}

function holdsLibrary(folder: string): boolean {
  return libraryFiles.every(name => existsSync(join(folder, name)));
}

function installedPythonLibrary(env: Environment): string | undefined {
  try {
    const found = 'import importlib.util as u; s = u.find_spec("tensorflow"); print(s.submodule_search_locations[0] if s else "")';
    const folder = execFileSync('python3', ['-c', found], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: env as NodeJS.ProcessEnv,
    }).trim();
    return folder && holdsLibrary(folder) ? folder : undefined;
  } catch {
    return undefined;
  }
}

function cachedLibrary(env: Environment, pin: Pin): string | undefined {
  const folder = cachedLibraryFolder(env);
  if (!holdsLibrary(folder)) return undefined;
  for (const name of libraryFiles) {
    const { size } = statSync(join(folder, name));
    if (size !== pin.files[name].bytes) {
      throw new SegfleetError(
        'integrity',
        `${join(folder, name)} has ${size} bytes where ${pin.files[name].bytes} were expected; remove ${folder} and run \`npm run setup\` (or \`segfleet setup\`) again`,
      );
    }
  }
  return folder;
}

/** @throws notFound where no library is anywhere; usage where `SEGFLEET_TENSORFLOW` names a folder without one, or one of another platform. */
export function findLibrary(env: Environment = process.env, { devices = '/dev', pin = pinned } = {}): Library {
  const named = env.SEGFLEET_TENSORFLOW;
  if (named !== undefined) {
    for (const name of libraryFiles) checkPlatform(join(named, name));
    return { folder: named, source: 'SEGFLEET_TENSORFLOW' };
  }
  const python = () => {
    const folder = installedPythonLibrary(env);
    return folder && ({ folder, source: 'python' } as const);
  };
  const cache = () => {
    const folder = cachedLibrary(env, pin);
    return folder && ({ folder, source: 'cache' } as const);
  };
  const found = hasNvidiaDevice(env, devices) ? (python() ?? cache()) : (cache() ?? python());
  if (found) return found;
  throw new SegfleetError(
    'notFound',
    `the TensorFlow library is not on this machine (looked in ${cachedLibraryFolder(env)} and for Python's tensorflow); ` +
      `run \`npm run setup\` (or \`segfleet setup\`) to fetch it, or set SEGFLEET_TENSORFLOW to a folder that holds ${libraryFiles.join(' and ')}`,
  );
}

/** The file header says for which machine a library was built; `dlopen` would only say that it could not. */
function checkPlatform(file: string): void {
  const header = Buffer.alloc(20);
  try {
    const descriptor = openSync(file, 'r');
    readSync(descriptor, header, 0, 20, 0);
    closeSync(descriptor);
  } catch (cause) {
    throw new SegfleetError(
      'usage',
      `SEGFLEET_TENSORFLOW: ${file} cannot be read; the folder must hold ${libraryFiles.join(' and ')} (unset the variable to use the library that \`npm run setup\` fetches)`,
      { cause },
    );
  }
  const isElf64 = header.readUInt32BE(0) === 0x7f454c46 && header[4] === 2;
  const machine = header.readUInt16LE(18);
  const wanted = { x64: 62, arm64: 183 }[process.arch as string];
  if (!isElf64 || machine !== wanted) {
    const is = !isElf64 ? 'not a 64-bit Linux library' : `built for ${{ 62: 'x64', 183: 'arm64' }[machine] ?? `machine ${machine}`}`;
    throw new SegfleetError(
      'usage',
      `SEGFLEET_TENSORFLOW: ${file} is ${is}, and this is Linux on ${process.arch}; name a folder with the right build, or unset the variable`,
    );
  }
}

/** Fills the cache from the Python wheel; returns the folder. Safe to interrupt and to run twice at once: only a complete folder is ever visible. */
export async function fetchLibrary(log: (line: string) => void, env: Environment = process.env, pin: Pin = pinned): Promise<string> {
  const target = cachedLibraryFolder(env);
  if (holdsLibrary(target) && libraryFiles.every(name => statSync(join(target, name)).size === pin.files[name].bytes)) return target;
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new SegfleetError(
      'usage',
      `there is no TensorFlow build to fetch for ${process.platform} on ${process.arch}; set SEGFLEET_TENSORFLOW to a folder with one`,
    );
  }
  await mkdir(cacheFolder(env), { recursive: true });
  await removeAbandoned(cacheFolder(env));
  const { bavail, bsize } = await statfs(cacheFolder(env));
  if (bavail * bsize < 1.4e9) {
    throw new SegfleetError(
      'resources',
      `the TensorFlow library needs 1.4 GB in ${cacheFolder(env)} and ${Math.floor((bavail * bsize) / 1e6)} MB are free; free some space or set SEGFLEET_CACHE`,
    );
  }
  const partial = `${target}.partial-${process.pid}`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial);
  try {
    log(`fetching TensorFlow ${pin.version} (${pin.wheel.megabytes} MB, once) into ${target}`);
    const wheel = await downloadWheel(partial, env, pin);
    await extract(wheel, partial);
    await rm(wheel);
    await rm(requirementsOf(partial));
    for (const name of libraryFiles) await verifyFile(join(partial, name), pin.files[name].sha256);
    await rm(target, { recursive: true, force: true });
    // Somebody else may have finished in between: then theirs is as good as ours.
    await rename(partial, target).catch(error => {
      if (!holdsLibrary(target)) throw error;
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return target;
}

const requirementsOf = (folder: string) => join(folder, 'requirements.txt');

async function downloadWheel(folder: string, env: Environment, pin: Pin): Promise<string> {
  const { project, platform, python, sha256 } = pin.wheel;
  const requirements = requirementsOf(folder);
  await writeFile(requirements, `${project}==${pin.version} --hash=sha256:${sha256}\n`);
  const arguments_ = [
    '-m',
    'pip',
    'download',
    '--quiet',
    '--disable-pip-version-check',
    '--no-deps',
    '--require-hashes',
    '--only-binary=:all:',
  ];
  arguments_.push('--python-version', python, '--platform', platform, '--dest', folder, '--requirement', requirements);
  try {
    await run('python3', arguments_, env);
  } catch (first) {
    // A damaged file in pip's own cache must not stop us for good.
    if (!isHashMismatch(first)) throw fetchError(first);
    try {
      await run('python3', [...arguments_, '--no-cache-dir'], env);
    } catch (second) {
      throw fetchError(second);
    }
  }
  const wheel = readdirSync(folder).find(name => name.endsWith('.whl'));
  if (!wheel) throw new SegfleetError('bug', 'pip ended well but left no wheel');
  return join(folder, wheel);
}

const run = async (command: string, arguments_: readonly string[], env: Environment) =>
  promisify(execFile)(command, arguments_, { env: env as NodeJS.ProcessEnv, maxBuffer: 16e6 });

const outputOf = (error: unknown) => `${(error as { stderr?: string }).stderr ?? ''}${error instanceof Error ? error.message : error}`;
const isHashMismatch = (error: unknown) => /DO NOT MATCH THE HASHES|hash mismatch/i.test(outputOf(error));

function fetchError(cause: unknown): SegfleetError {
  const output = outputOf(cause);
  if ((cause as NodeJS.ErrnoException).code === 'ENOENT' || /No module named pip/.test(output)) {
    return new SegfleetError(
      'notFound',
      'fetching the TensorFlow library needs Python 3 with pip on the PATH; install them, or set SEGFLEET_TENSORFLOW to a folder that holds the library',
      { cause },
    );
  }
  if (isHashMismatch(cause)) {
    return new SegfleetError(
      'integrity',
      'the TensorFlow wheel that arrived does not have the pinned SHA-256, twice; check for a proxy or mirror that changes files',
      { cause },
    );
  }
  if (/No space left|ENOSPC/.test(output)) {
    return new SegfleetError('resources', 'no space left while fetching the TensorFlow library; free 1.4 GB or set SEGFLEET_CACHE', {
      cause,
    });
  }
  return new SegfleetError(
    'unavailable',
    'the TensorFlow library could not be downloaded (no network, or the package index did not answer); ' +
      'try again when connected, or copy the folder from another machine and set SEGFLEET_TENSORFLOW to it',
    { cause },
  );
}

/** A wheel is a zip archive; Python, which fetched it, unpacks the two files and checks their CRC. */
async function extract(wheel: string, folder: string): Promise<void> {
  const script = `
import sys, zipfile, os
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in ['THIRD_PARTY_NOTICES.txt', *sys.argv[3:]]:
        with wheel.open('tensorflow/' + name) as source, open(os.path.join(sys.argv[2], name), 'wb') as target:
            while block := source.read(1 << 22): target.write(block)
            target.flush(); os.fsync(target.fileno())
`;
  try {
    await run('python3', ['-c', script, wheel, folder, ...libraryFiles], process.env);
  } catch (cause) {
    throw fetchError(cause);
  }
}

/** @throws integrity where the bytes are not those that we pinned. */
export async function verifyFile(file: string, sha256: string): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1 << 22 }), hash);
  const found = hash.digest('hex');
  if (found !== sha256) {
    throw new SegfleetError(
      'integrity',
      `${file} has SHA-256 ${found} where ${sha256} was expected; remove its folder and run \`npm run setup\` again`,
    );
  }
}

/** Fetches the library unless one is here already, wherever from. */
export async function ensureLibrary(log: (line: string) => void): Promise<void> {
  try {
    findLibrary();
  } catch (error) {
    if (!(error instanceof SegfleetError && (error.code === 'notFound' || error.code === 'integrity'))) throw error;
    await fetchLibrary(log);
  }
}
