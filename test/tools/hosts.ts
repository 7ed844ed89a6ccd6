/**
 * Names of machines for one process alone: a file in the place of /etc/hosts, in a mount namespace of its own. It may be written again
 * while the process runs.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What to put in front of a program that is to read names from this file. */
export const withHosts = (file: string): string[] => [
  ...['unshare', '--user', '--map-root-user', '--mount'],
  ...['bash', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', file],
];

export function writeHosts(file: string, names: Readonly<Record<string, string>>): void {
  const lines = Object.entries({ localhost: '127.0.0.1', ...names }).map(([name, address]) => `${address} ${name}\n`);
  // In place: another file of that name would not be the one that is mounted.
  writeFileSync(file, lines.join(''));
}

/** Whether this machine lets us. */
export function canHaveHosts(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'segfleet-hosts-'));
  try {
    const file = join(folder, 'hosts');
    writeHosts(file, {});
    const [program, ...words] = [...withHosts(file), 'true'];
    execFileSync(program, words, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
