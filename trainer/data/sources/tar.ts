/**
 * A tar archive as a source. It has no table of contents: the file is gone through once to learn where each member lies, then members
 * are read from there. A compressed one cannot be entered in the middle, and is expanded into memory.
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { SegfleetError } from '../../errors.ts';
import { checkMembers, invalidMember, isLitter, limits, type Member } from './members.ts';
import type { Source } from './source.ts';

interface Place extends Member {
  readonly offset: number;
}

export async function openTar(path: string): Promise<Source> {
  const { size: archiveBytes } = await stat(path);
  const places = await readPlaces(path, createReadStream(path, { highWaterMark: 2 ** 20 }), archiveBytes);
  const handle = await open(path);
  return { path, names: namesOf(places), read: name => readPlace(path, handle, places.get(name)!), close: () => handle.close() };
}

export async function openCompressedTar(path: string): Promise<Source> {
  const { size } = await stat(path);
  if (size > limits.compressedTarBytes) {
    throw new SegfleetError(
      'invalidData',
      `${path} is larger than 1 GB, and a compressed tar can only be read from front to back; unpack it and give the folder, or repack it as .tar or .zip`,
    );
  }
  const maxOutputLength = Math.max(limits.harmlessBytes, Math.min(limits.ratio * size, 4 * limits.compressedTarBytes - 1));
  const bytes = await promisify(gunzip)(await readFile(path), { maxOutputLength }).catch(cause => {
    const tooLarge = cause.code === 'ERR_BUFFER_TOO_LARGE';
    const why = tooLarge ? `it expands to more than ${maxOutputLength} bytes: this is not a data set` : `${cause.message}; fetch it again`;
    throw new SegfleetError('invalidData', `${path} cannot be expanded: ${why}`, { cause });
  });
  const places = await readPlaces(path, Readable.from([bytes]), size);
  return {
    path,
    names: namesOf(places),
    read: async name => {
      const { offset, size: length } = places.get(name)!;
      return Buffer.from(bytes.subarray(offset, offset + length));
    },
    close: async () => {},
  };
}

const namesOf = (places: ReadonlyMap<string, Place>) => [...places.keys()].sort();

async function readPlaces(path: string, bytes: Readable, archiveBytes: number): Promise<Map<string, Place>> {
  const places: Place[] = [];
  const reader = extract();
  let refusal: unknown;
  reader.on('entry', (header: Header & { byteOffset?: number }, stream, next) => {
    stream.on('error', () => {}); // the reader ends with the same error
    try {
      const name = header.name.replace(/^(\.\/)+/, '');
      if (header.type !== 'directory' && !isLitter(name)) {
        if (header.type !== 'file' && header.type !== 'contiguous-file') {
          throw invalidMember(path, name, 'this is a link or a special file, not a file; put the file itself into the archive');
        }
        if (places.length >= limits.members)
          throw new SegfleetError('invalidData', `${path} has more than ${limits.members} members; divide it`);
        places.push({ name, size: header.size, offset: header.byteOffset! });
      }
      stream.on('end', () => next());
      stream.resume();
    } catch (error) {
      refusal = error;
      reader.destroy(error as Error);
    }
  });
  await pipeline(bytes, reader as unknown as NodeJS.WritableStream).catch(cause => {
    throw (
      refusal ??
      new SegfleetError('invalidData', `${path} is not a tar archive that can be read (${cause.message}); fetch it again`, { cause })
    );
  });
  checkMembers(path, places, archiveBytes);
  return new Map(places.map(place => [place.name, place]));
}

async function readPlace(path: string, handle: FileHandle, { name, offset, size }: Place): Promise<Buffer> {
  const bytes = Buffer.alloc(size);
  const { bytesRead } = await handle.read(bytes, 0, size, offset);
  if (bytesRead < size) throw invalidMember(path, name, 'the archive ends in the middle of it; fetch it again');
  return bytes;
}
