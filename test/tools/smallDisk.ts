/**
 * A disk that is soon full: a file system of its own, in a mount namespace of its own, which is gone with the process.
 */
import { mkdirSync } from 'node:fs';

/** @returns what goes in front of a command: `disk` has so many MB then, and what it left in `run` is copied to `copy` when it has ended */
export function onSmallDisk(disk: string, megabytes: number, run: string, copy: string): string[] {
  mkdirSync(disk);
  const script = `mount -t tmpfs -o size=${megabytes}m none "$1" && shift; "$@"; code=$?; cp -r ${JSON.stringify(run)} ${JSON.stringify(copy)}; exit $code`;
  return ['unshare', '--user', '--map-root-user', '--mount', 'bash', '-c', script, 'bash', disk];
}
