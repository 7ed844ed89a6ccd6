/**
 * Writes container images as the archive of an OCI layout, which `ctr images import` and `docker load` read: no engine is needed, and
 * the same entries give the same bytes (sorted, no times, owners as said). Layers are not compressed: whoever pushes them does that.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Header, type Pack, pack } from 'tar-stream';

/** What lies at a path: a file of this machine, a text, a symbolic link, or a folder. Modes are 0755 or 0644 by the file's own unless said. */
export type Entry = { readonly mode?: number; readonly owner?: number } & (
  | { readonly file: string }
  | { readonly text: string }
  | { readonly link: string }
  | { readonly folder: true }
);

/** By path in the image, without the leading slash. Folders above are made. */
export type Entries = Readonly<Record<string, Entry>>;

export interface Layer {
  /** Shown in the image's history. */
  readonly what: string;
  readonly entries: Entries;
}

export interface ImageSettings {
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workdir?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface WrittenLayer {
  readonly what: string;
  readonly digest: string;
  readonly bytes: number;
}

export interface WrittenImage {
  readonly ref: string;
  /** Of the manifest: what `image@sha256:...` names. */
  readonly digest: string;
  readonly layers: readonly WrittenLayer[];
}

/** The files below a folder, as entries at a place in the image. @param keep is asked with the path below the folder */
export function filesBelow(folder: string, at: string, keep: (path: string) => boolean = () => true): Record<string, Entry> {
  const entries: Record<string, Entry> = {};
  const walk = (below: string) => {
    for (const found of readdirSync(join(folder, below), { withFileTypes: true })) {
      const path = below ? `${below}/${found.name}` : found.name;
      const source = join(folder, path);
      if (found.isDirectory()) walk(path);
      else if (!keep(path)) continue;
      else entries[`${at}/${path}`] = found.isSymbolicLink() ? { link: readlinkSync(source) } : { file: source };
    }
  };
  walk('');
  return entries;
}

/** @param ref the whole name it is imported under: where a pod says `segfleet:1`, a kubelet looks for `docker.io/library/segfleet:1` */
export async function writeImage({
  out,
  ref,
  layers,
  ...settings
}: { readonly out: string; readonly ref: string; readonly layers: readonly Layer[] } & ImageSettings): Promise<WrittenImage> {
  const written: WrittenLayer[] = [];
  for (const layer of layers) written.push({ what: layer.what, ...(await measure(() => bytesOf(packLayer(layer.entries)))) });
  const config = json(configOf(written, settings));
  const manifest = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
    layers: written.map(({ digest, bytes }) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: bytes })),
  });
  const index = json({
    schemaVersion: 2,
    manifests: [
      {
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest: digestOf(manifest),
        size: manifest.length,
        annotations: { 'io.containerd.image.name': ref, 'org.opencontainers.image.ref.name': ref.replace(/^.*:/, '') },
      },
    ],
  });

  const archive = pack();
  const partial = `${out}.${process.pid}.partial`;
  try {
    const saved = pipeline(bytesOf(archive), createWriteStream(partial, { highWaterMark: 1 << 22 }));
    // An error of either shows in `saved`, which is awaited below: until then it is not unhandled.
    saved.catch(() => {});
    await addBytes(archive, { ...plain, name: 'oci-layout' }, json({ imageLayoutVersion: '1.0.0' }));
    await addBytes(archive, { ...plain, name: 'index.json' }, index);
    for (const blob of [config, manifest]) await addBytes(archive, { ...plain, name: blobName(digestOf(blob)) }, blob);
    const names = new Set<string>();
    for (const [i, { digest, bytes }] of written.entries()) {
      if (names.has(digest)) continue;
      names.add(digest);
      // Packed a second time rather than kept: a layer may be larger than the memory.
      await addStream(archive, { ...plain, name: blobName(digest), size: bytes }, bytesOf(packLayer(layers[i].entries)));
    }
    archive.finalize();
    await saved;
    await rename(partial, out);
  } finally {
    archive.destroy();
    await rm(partial, { force: true });
  }
  return { ref, digest: digestOf(manifest), layers: written };
}

function configOf(layers: readonly WrittenLayer[], { entrypoint, cmd, env, user, workdir, labels }: ImageSettings) {
  return {
    created: '1970-01-01T00:00:00Z',
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {
      User: user,
      Env: Object.entries(env ?? {}).map(([name, value]) => `${name}=${value}`),
      Entrypoint: entrypoint,
      Cmd: cmd,
      WorkingDir: workdir,
      Labels: labels,
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    history: layers.map(({ what }) => ({ created: '1970-01-01T00:00:00Z', created_by: what })),
  };
}

/** Its types say less than it gives. */
const bytesOf = (archive: Pack) => archive as AsyncIterable<Uint8Array>;

const plain = { mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 };
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const blobName = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

async function measure(open: () => AsyncIterable<Uint8Array>): Promise<{ digest: string; bytes: number }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const block of open()) {
    hash.update(block);
    bytes += block.length;
  }
  return { digest: `sha256:${hash.digest('hex')}`, bytes };
}

function packLayer(entries: Entries): Pack {
  const layer = pack({ highWaterMark: 1 << 20 });
  fill(layer, entries).then(
    () => layer.finalize(),
    error => layer.destroy(error),
  );
  return layer;
}

async function fill(layer: Pack, entries: Entries): Promise<void> {
  const folders = new Set<string>();
  // By code unit, not by locale: the same order everywhere.
  for (const path of Object.keys(entries).sort()) {
    const entry = entries[path];
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      const above = path.slice(0, at);
      if (!folders.has(above) && !entries[above]) await addFolder(layer, above, { folder: true });
      folders.add(above);
    }
    if ('folder' in entry) await addFolder(layer, path, entry);
    else await addEntry(layer, path, entry);
  }
}

const ownership = ({ owner = 0 }: Entry) => ({ ...plain, mode: 0, uid: owner, gid: owner });

function addFolder(layer: Pack, path: string, entry: Entry): Promise<void> {
  return addBytes(layer, { ...ownership(entry), name: `${path}/`, type: 'directory', mode: entry.mode ?? 0o755 });
}

async function addEntry(layer: Pack, name: string, entry: Exclude<Entry, { folder: true }>): Promise<void> {
  const header = { ...ownership(entry), name };
  if ('link' in entry) return addBytes(layer, { ...header, type: 'symlink', linkname: entry.link, mode: 0o777 });
  if ('text' in entry) return addBytes(layer, { ...header, mode: entry.mode ?? 0o644 }, Buffer.from(entry.text));
  const { size, mode } = statSync(entry.file);
  header.mode = entry.mode ?? (mode & 0o100 ? 0o755 : 0o644);
  if (size < 1 << 20) return addBytes(layer, header, readFileSync(entry.file));
  await addStream(layer, { ...header, size }, createReadStream(entry.file, { highWaterMark: 1 << 20 }));
}

type Named = Partial<Header> & Pick<Header, 'name'>;

function addBytes(archive: Pack, header: Named, bytes: Buffer = Buffer.alloc(0)): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, bytes, error => (error ? reject(error) : resolve()));
  });
}

async function addStream(archive: Pack, header: Named, source: AsyncIterable<Uint8Array>): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const entry = archive.entry(header, error => (error ? reject(error) : resolve()));
    // A stream of its own make, which Node's pipeline takes all the same.
    pipeline(source, entry as unknown as NodeJS.WritableStream).catch(reject);
  });
}
