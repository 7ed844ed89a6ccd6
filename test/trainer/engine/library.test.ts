/**
 * Real pip, real HTTP on loopback, real files; only the wheel is a small one of our own.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  cachedLibraryFolder,
  fetchLibrary,
  findLibrary,
  hasNvidiaDevice,
  libraryFiles,
  type Pin,
  pinned,
} from '../../../trainer/engine/library.ts';
import { SegfleetError } from '../../../trainer/errors.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** The head of an ELF file: 64 bits, for a machine (62 is x64, 183 arm64). */
function elf(machine: number): Buffer {
  const header = Buffer.alloc(4096);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(header);
  header.writeUInt16LE(machine, 18);
  return header;
}

let folder: string;
let wheel: Buffer;
let pin: Pin;
let server: Server | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'segfleet-library-'));
  const contents = Object.fromEntries(libraryFiles.map(name => [name, Buffer.concat([elf(62), Buffer.from(name.repeat(5000))])]));
  const packed = join(folder, 'packed');
  mkdirSync(packed);
  for (const [name, bytes] of Object.entries(contents)) writeFileSync(join(packed, name), bytes);
  writeFileSync(join(packed, 'THIRD_PARTY_NOTICES.txt'), 'notices');
  const file = join(folder, 'tensorflow_cpu-2.21.0-cp313-cp313-manylinux_2_27_x86_64.whl');
  const script = `
import sys, zipfile, os
with zipfile.ZipFile(sys.argv[1], 'w') as z:
    for n in os.listdir(sys.argv[2]): z.write(os.path.join(sys.argv[2], n), 'tensorflow/' + n)
    z.writestr('tensorflow_cpu-2.21.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tensorflow-cpu\\nVersion: 2.21.0\\n')
    z.writestr('tensorflow_cpu-2.21.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: cp313-cp313-manylinux_2_27_x86_64\\n')
    z.writestr('tensorflow_cpu-2.21.0.dist-info/RECORD', '')
`;
  execFileSync('python3', ['-c', script, file, packed]);
  wheel = readFileSync(file);
  const files = Object.fromEntries(
    libraryFiles.map(name => [name, { bytes: contents[name].length, sha256: sha256(contents[name]) }]),
  ) as Pin['files'];
  pin = { ...pinned, wheel: { ...pinned.wheel, sha256: sha256(wheel) }, files };
});

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise(resolve => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** A package index with one wheel; `body` says what of it each download gets. */
async function index(body: (wheel: Buffer, download: number) => Buffer | undefined): Promise<string> {
  let downloads = 0;
  const name = 'tensorflow_cpu-2.21.0-cp313-cp313-manylinux_2_27_x86_64.whl';
  server = createServer((request, response) => {
    if (!request.url!.endsWith('.whl')) {
      response.setHeader('Content-Type', 'text/html');
      response.end(`<!DOCTYPE html><html><body><a href="/${name}">${name}</a></body></html>`);
      return;
    }
    const bytes = body(wheel, ++downloads);
    response.setHeader('Content-Length', wheel.length);
    if (!bytes) return; // never answers
    response.write(bytes);
    if (bytes.length < wheel.length) response.destroy();
    else response.end();
  });
  await new Promise<void>(resolve => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`;
}

const environment = (indexUrl: string) => ({
  PATH: process.env.PATH,
  HOME: folder,
  SEGFLEET_CACHE: join(folder, 'cache'),
  PIP_INDEX_URL: indexUrl,
  PIP_RETRIES: '0',
  PIP_CONFIG_FILE: '/dev/null',
});

const fetch = (env: ReturnType<typeof environment>) => fetchLibrary(() => {}, env, pin);

async function errorOf(promise: Promise<unknown>): Promise<SegfleetError> {
  const error = await promise.then(
    () => undefined,
    reason => reason,
  );
  expect(error).toBeInstanceOf(SegfleetError);
  return error;
}

describe('fetching the library', () => {
  test('leaves both files and the notices in the cache, and nothing else', async () => {
    const env = environment(await index(bytes => bytes));
    const target = await fetch(env);
    expect(readdirSync(target).sort()).toEqual(['THIRD_PARTY_NOTICES.txt', 'libtensorflow_cc.so.2', 'libtensorflow_framework.so.2']);
    expect(readdirSync(env.SEGFLEET_CACHE)).toEqual(['tensorflow-cpu-2.21.0']);
    expect(findLibrary(env, { devices: folder, pin })).toEqual({ folder: target, source: 'cache' });
  });

  test('a download that is cut ends in a clear error and leaves nothing; the next one succeeds', async () => {
    const env = environment(await index((bytes, download) => (download === 1 ? bytes.subarray(0, bytes.length / 2) : bytes)));
    const error = await errorOf(fetch(env));
    expect(error.code).toMatch(/unavailable|integrity/);
    expect(readdirSync(env.SEGFLEET_CACHE)).toEqual([]);
    expect(existsSync(await fetch(env))).toBe(true);
  });

  test('bytes that are not those pinned are refused, and leave nothing', async () => {
    const env = environment(await index(bytes => Buffer.from(bytes).fill(7, 200, 220)));
    const error = await errorOf(fetch(env));
    expect(error).toMatchObject({ code: 'integrity', exitCode: 10 });
    expect(error.message).toContain('does not have the pinned SHA-256');
    expect(readdirSync(env.SEGFLEET_CACHE)).toEqual([]);
  });

  test('without network the error says what else can be done', async () => {
    const error = await errorOf(fetch(environment('http://127.0.0.1:9/simple'))); // the discard port: nobody listens
    expect(error).toMatchObject({ code: 'unavailable', exitCode: 6 });
    expect(error.message).toContain('set SEGFLEET_TENSORFLOW');
  });

  test('without Python the error says what is needed', async () => {
    const error = await errorOf(fetch({ ...environment(''), PATH: folder }));
    expect(error).toMatchObject({ code: 'notFound', exitCode: 4 });
    expect(error.message).toContain('needs Python 3 with pip');
  });

  test('a fetch that was killed leaves a folder that the next one removes', async () => {
    const begun = Promise.withResolvers<void>();
    const url = await index((bytes, download) => {
      begun.resolve();
      return download === 1 ? undefined : bytes;
    });
    const env = environment(url);
    const script = `import { fetchLibrary } from '${new URL('../../../trainer/engine/library.ts', import.meta.url).pathname}';
      await fetchLibrary(console.log, process.env, ${JSON.stringify(pin)});`;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      env,
      detached: true,
      stdio: 'ignore',
    });
    await begun.promise;
    process.kill(-child.pid!, 'SIGKILL');
    await new Promise(resolve => child.once('exit', resolve));
    expect(readdirSync(env.SEGFLEET_CACHE)).toEqual([expect.stringContaining('.partial-')]);
    await fetch(env);
    expect(readdirSync(env.SEGFLEET_CACHE)).toEqual(['tensorflow-cpu-2.21.0']);
  });

  test('a file of the cache that was cut is found out, and fetched again', async () => {
    const env = environment(await index(bytes => bytes));
    const file = join(await fetch(env), 'libtensorflow_cc.so.2');
    truncateSync(file, 1000);
    expect(() => findLibrary(env, { devices: folder, pin })).toThrow(/has 1000 bytes where .* were expected; remove/);
    await fetch(env);
    expect(findLibrary(env, { devices: folder, pin }).source).toBe('cache');
  });
});

describe('finding the library', () => {
  const nowhere = () => ({ PATH: process.env.PATH, SEGFLEET_CACHE: join(folder, 'empty'), PYTHONPATH: '' });

  function pythonPackage(): string {
    const site = join(folder, 'site');
    mkdirSync(join(site, 'tensorflow'), { recursive: true });
    writeFileSync(join(site, 'tensorflow', '__init__.py'), '');
    for (const name of libraryFiles) writeFileSync(join(site, 'tensorflow', name), elf(62));
    return site;
  }

  test('missing everywhere: the sentence names the command that mends it', () => {
    expect(() => findLibrary({ ...nowhere(), PATH: folder }, { devices: folder })).toThrow(/is not on this machine .* run `npm run setup`/);
  });

  test.each([
    ['built for another machine', elf(183), /is built for arm64, and this is Linux on x64/],
    ['no library at all', Buffer.from('<html>not found</html>'.padEnd(100)), /is not a 64-bit Linux library/],
  ])('SEGFLEET_TENSORFLOW names a file that is %s', (_, bytes, sentence) => {
    for (const name of libraryFiles) writeFileSync(join(folder, name), bytes);
    expect(() => findLibrary({ SEGFLEET_TENSORFLOW: folder })).toThrow(sentence);
  });

  test('SEGFLEET_TENSORFLOW names an empty folder', () => {
    expect(() => findLibrary({ SEGFLEET_TENSORFLOW: join(folder, 'empty') })).toThrow(/cannot be read; the folder must hold/);
  });

  test("beside an NVIDIA device Python's library comes first, elsewhere the cache", async () => {
    const env = { ...nowhere(), PYTHONPATH: pythonPackage() };
    const cached = cachedLibraryFolder(env);
    mkdirSync(cached, { recursive: true });
    const small = { ...pin, files: Object.fromEntries(libraryFiles.map(name => [name, { bytes: 4096, sha256: '' }])) as Pin['files'] };
    for (const name of libraryFiles) writeFileSync(join(cached, name), elf(62));
    const gpu = join(folder, 'dev');
    mkdirSync(gpu);
    writeFileSync(join(gpu, 'nvidia0'), '');
    expect(findLibrary(env, { devices: gpu, pin: small }).source).toBe('python');
    expect(findLibrary({ ...env, CUDA_VISIBLE_DEVICES: '-1' }, { devices: gpu, pin: small }).source).toBe('cache');
    expect(findLibrary(env, { devices: folder, pin: small }).source).toBe('cache');
    rmSync(cached, { recursive: true });
    expect(findLibrary(env, { devices: folder, pin: small }).source).toBe('python');
  });

  test.each([
    ['nvidia0', true],
    ['nvidiactl', false],
    ['null', false],
  ])('a device file %s means an NVIDIA device: %s', (name, expected) => {
    writeFileSync(join(folder, name), '');
    expect(hasNvidiaDevice({}, folder)).toBe(expected);
  });
});
