/**
 * Addresses of servers that are told of runs.
 */

/** @returns undefined where it is none of http or https */
export function httpUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  return url && /^https?:$/.test(url.protocol) ? url : undefined;
}

/** Whether it holds what others should not read. */
export const hasCredentials = ({ username, password }: URL): boolean => username !== '' || password !== '';
