/**
 * Archives for tests: honest ones by Python, and zip and tar files made by hand, which may say of themselves what is not so.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';

export type Files = Readonly<Record<string, Uint8Array | string>>;

/** Writes files, making their folders. */
export function writeTree(folder: string, files: Files): void {
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
}

/** Python's zipfile or tarfile, by the ending of the archive, over what lies in the folder. */
export function archiveByPython(archive: string, folder: string, ...names: string[]): void {
  const tool = archive.endsWith('.zip') ? 'zipfile' : 'tarfile';
  execFileSync('python3', ['-m', tool, '-c', archive, ...names], { cwd: folder });
}

export interface ZipMember {
  readonly name: string;
  readonly bytes?: Uint8Array | string;
  /** What the table says instead of the truth. */
  readonly size?: number;
  readonly crc?: number;
  readonly method?: number;
  readonly flags?: number;
  /** Unix mode, as in the upper half of the external attributes. */
  readonly mode?: number;
}

/** APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12 and 4.3.16; all members deflated. */
export function zipOf(members: readonly ZipMember[]): Buffer {
  const locals: Buffer[] = [];
  const table: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes = '', size, crc, method = 8, flags = 0, mode = 0o100644 } of members) {
    const plain = Buffer.from(bytes);
    const data = deflateRawSync(plain, { level: 9 });
    const nameBytes = Buffer.from(name);
    const common = Buffer.alloc(26); // from "version needed" to "extra field length"
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags | 0x800, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(crc ?? crc32(plain), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(size ?? plain.length, 18);
    common.writeUInt16LE(nameBytes.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, nameBytes, data]);
    const rest = Buffer.alloc(14); // comment length, disk, attributes, offset
    rest.writeUInt32LE((mode << 16) >>> 0, 6);
    rest.writeUInt32LE(offset, 10);
    table.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x03', 'latin1'), common, rest, nameBytes]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(table);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(members.length, 8);
  end.writeUInt16LE(members.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

/** Whatever names and types are asked for. */
export async function tarOf(
  members: readonly (Partial<Header> & { readonly name: string; readonly bytes?: string | Uint8Array })[],
): Promise<Buffer> {
  const archive = pack();
  for (const { bytes = '', ...header } of members) {
    if (header.type && header.type !== 'file') archive.entry(header);
    else archive.entry({ ...header, size: Buffer.from(bytes).length }, Buffer.from(bytes));
  }
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
