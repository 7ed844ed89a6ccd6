import { closest, distance } from 'fastest-levenshtein';

/** The name that was probably meant: the closest of those that are known, at most so many letters away. */
export function nearest(given: string, known: readonly string[], letters: number): string | undefined {
  const near = known.length > 0 ? closest(given, known) : undefined;
  return near !== undefined && distance(given, near) <= letters ? near : undefined;
}
