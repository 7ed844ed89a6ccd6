/**
 * A folder with all that is below it, or one file, as a source.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fromSystemError } from '../../errors.ts';
import { checkMembers, invalidMember, isLitter, limits, type Member } from './members.ts';
import type { Source } from './source.ts';

/** Links to files are followed: they are the user's own. Links to folders may lead round in circles, and are refused. */
export async function openFolder(path: string): Promise<Source> {
  const members: Member[] = [];
  const walk = async (below: string) => {
    for (const entry of await readdir(join(path, below), { withFileTypes: true })) {
      const name = below + entry.name;
      if (isLitter(name)) continue;
      if (entry.isDirectory()) await walk(`${name}/`);
      else {
        const found = await stat(join(path, name));
        if (found.isDirectory()) throw invalidMember(path, name, 'this is a link to a folder; give that folder as a source of its own');
        if (!found.isFile()) throw invalidMember(path, name, 'this is neither a file nor a folder; remove it');
        members.push({ name, size: found.size });
      }
    }
  };
  await walk('').catch(error => {
    throw fromSystemError(error, path);
  });
  checkMembers(path, members, Number.POSITIVE_INFINITY);
  return {
    path,
    names: members.map(({ name }) => name).sort(),
    read: async name => {
      const bytes = await readFile(join(path, name)).catch(error => {
        throw fromSystemError(error, join(path, name));
      });
      if (bytes.length > limits.memberBytes) throw invalidMember(path, name, 'it grew while it was read; try again when nothing writes it');
      return bytes;
    },
    close: async () => {},
  };
}

export async function openFile(path: string): Promise<Source> {
  const folder = dirname(path);
  return {
    path,
    names: [basename(path)],
    read: name =>
      readFile(join(folder, name)).catch(error => {
        throw fromSystemError(error, path);
      }),
    close: async () => {},
  };
}
