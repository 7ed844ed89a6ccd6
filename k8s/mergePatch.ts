/**
 * JSON merge patches (RFC 7386): what is sent so that a status becomes another one.
 */
import { isDeepStrictEqual } from 'node:util';

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What makes `to` of `from`; undefined where they are equal. A field that is undefined is one that is not there. */
export function mergePatch(from: Fields, to: Fields): Fields | undefined {
  const patch: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(from), ...Object.keys(to)])) {
    const [before, after] = [from[key], to[key]];
    if (after === undefined) {
      if (before !== undefined) patch[key] = null;
    } else if (isFields(before) && isFields(after)) {
      const inner = mergePatch(before, after);
      if (inner) patch[key] = inner;
    } else if (!isDeepStrictEqual(before, withoutAbsent(after))) patch[key] = after;
  }
  return Object.keys(patch).length > 0 ? patch : undefined;
}

/** As it will be once it went over the wire. */
const withoutAbsent = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
