/**
 * What the members of an archive, and the files of a folder, may be.
 */
import { SegfleetError } from '../../errors.ts';

export interface Member {
  readonly name: string;
  /** Bytes, expanded. */
  readonly size: number;
}

const megabyte = 2 ** 20;
const gigabyte = 2 ** 30;

export const limits = {
  members: 2_000_000,
  /** No image that is accepted needs more. */
  memberBytes: 512 * megabyte,
  /** Images hardly shrink: masks may, by some hundred times, but they are few bytes. A bomb expands further. */
  ratio: 200,
  /** Below this an archive may have any ratio. */
  harmlessBytes: 256 * megabyte,
  /** A compressed tar is read into memory: it has no table of contents. */
  compressedTarBytes: gigabyte,
};

export const invalidMember = (path: string, name: string, sentence: string, cause?: unknown): SegfleetError =>
  new SegfleetError('invalidData', `${path}: ${name}: ${sentence}`, { cause, details: { file: path, member: name } });

/** Files that operating systems leave behind. They look like images by their names. */
export const isLitter = (name: string): boolean => /(^|\/)(__MACOSX\/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)/i.test(name);

/** @throws invalidData: a name that leaves the archive or does not fit on every disk */
export function checkName(path: string, name: string): void {
  const refuse = (sentence: string) => {
    throw invalidMember(path, JSON.stringify(name), sentence);
  };
  if (name.startsWith('/') || /^[a-z]:/i.test(name)) refuse('the name is absolute; an archive names its members relative to itself');
  if (name.split(/[/\\]/).includes('..')) refuse('the name leads out of the archive by ".."; take the archive from its official source');
  if (/[\p{Cc}\\]/u.test(name)) refuse('the name has a backslash or a control character; rename the file');
}

/** @throws invalidData: names that collide, and sizes beyond the limits */
export function checkMembers(path: string, members: readonly Member[], archiveBytes: number): void {
  if (members.length > limits.members) {
    throw new SegfleetError('invalidData', `${path} has ${members.length} members, more than the ${limits.members} allowed; divide it`);
  }
  const seen = new Map<string, string>();
  let total = 0;
  for (const { name, size } of members) {
    checkName(path, name);
    const key = name.normalize('NFC').toLowerCase();
    const other = seen.get(key);
    if (other === name) throw invalidMember(path, name, 'it is there twice; keep one');
    if (other) throw invalidMember(path, name, `but for upper and lower case this is ${other} too; rename one`);
    seen.set(key, name);
    if (size > limits.memberBytes) {
      throw invalidMember(path, name, `it says that it has ${size} bytes, more than the ${limits.memberBytes / megabyte} MB allowed`);
    }
    total += size;
  }
  if (total > limits.harmlessBytes && total > limits.ratio * archiveBytes) {
    throw new SegfleetError(
      'invalidData',
      `${path} has ${archiveBytes} bytes and says that it expands to ${total}, more than ${limits.ratio} times as many; images do not: this is not a data set`,
    );
  }
}
