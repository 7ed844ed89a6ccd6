/**
 * A zip archive as a source. The table at its end says where each member lies, so members are read in any order.
 */
import { stat } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { SegfleetError } from '../../errors.ts';
import { checkMembers, invalidMember, isLitter, type Member } from './members.ts';
import type { Source } from './source.ts';

const fileTypeMask = 0o170000;
const regularFile = 0o100000;

export async function openZip(path: string): Promise<Source> {
  const { size: archiveBytes } = await stat(path);
  const zip = await openPromise(path, { lazyEntries: true, autoClose: false }).catch(cause => {
    throw new SegfleetError('invalidData', `${path} is not a zip archive that can be read (${cause.message}); fetch it again`, { cause });
  });
  try {
    const entries = new Map<string, Entry>();
    const members: Member[] = [];
    for await (const entry of readEntries(path, zip)) {
      const { fileName: name, uncompressedSize: size } = entry;
      if (name.endsWith('/') || isLitter(name)) continue;
      refuseSpecial(path, entry);
      entries.set(name, entry);
      members.push({ name, size });
    }
    checkMembers(path, members, archiveBytes);
    return {
      path,
      names: [...entries.keys()].sort(),
      read: name => readEntry(path, zip, entries.get(name)!),
      close: async () => zip.close(),
    };
  } catch (error) {
    zip.close();
    throw error;
  }
}

/** yauzl itself refuses absolute names and those with "..". */
async function* readEntries(path: string, zip: ZipFile): AsyncGenerator<Entry> {
  try {
    yield* zip.eachEntry();
  } catch (cause) {
    if (cause instanceof SegfleetError) throw cause;
    throw new SegfleetError('invalidData', `${path}: its table of contents is not valid (${(cause as Error).message}); fetch it again`, {
      cause,
    });
  }
}

function refuseSpecial(path: string, entry: Entry): void {
  const madeOnUnix = [3, 19].includes(entry.versionMadeBy >>> 8); // 19: macOS
  const type = (entry.externalFileAttributes >>> 16) & fileTypeMask;
  if (madeOnUnix && type !== 0 && type !== regularFile) {
    throw invalidMember(path, entry.fileName, 'this is a link or a special file, not a file; put the file itself into the archive');
  }
  if (entry.isEncrypted())
    throw invalidMember(path, entry.fileName, 'it is encrypted; unpack the archive with its password, and give the folder');
  if (!entry.canDecodeFileData()) {
    throw invalidMember(
      path,
      entry.fileName,
      `it is compressed by method ${entry.compressionMethod}, and only deflate (8) is read; repack it`,
    );
  }
}

/** yauzl stops where more or fewer bytes come out than the table says; the checksum is left to us. */
async function readEntry(path: string, zip: ZipFile, entry: Entry): Promise<Buffer> {
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (crc32(bytes) !== entry.crc32) throw new Error('its checksum differs');
    return bytes;
  } catch (cause) {
    throw invalidMember(
      path,
      entry.fileName,
      `it is damaged or lies about its size (${(cause as Error).message}); fetch the archive again`,
      cause,
    );
  }
}
