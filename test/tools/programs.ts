/**
 * Programs that tests run: whether one is there, what one says, and when one is ready.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { Daemon } from './daemon.ts';

/** @param program its name, or its path */
export function isThere(program: string): boolean {
  const places = program.includes('/') ? [program] : process.env.PATH!.split(':').map(folder => join(folder, program));
  return places.some(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @returns what it writes to standard output; where it ends in a code other than 0, an error that says what it wrote to the other */
export function output([program, ...words]: readonly string[], { stdin = '' } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(program!, words, { maxBuffer: 2 ** 28 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${[program, ...words].join(' ')}: ${error.code ?? error.signal}: ${stderr || stdout}`));
      else resolve(stdout);
    });
    // It may end without having read all of it.
    child.stdin!.on('error', () => {}).end(stdin);
  });
}

/** Asks until the answer is yes; an error is a no. Fails when that takes too long, or one of those has ended that are to bring it about. */
export async function until(what: string, holds: () => Promise<boolean>, by: readonly Daemon[], seconds = 120): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (true) {
    let cause: unknown;
    try {
      if (await holds()) return;
    } catch (error) {
      cause = error;
    }
    const why = by.some(({ hasFailed }) => hasFailed) ? 'and never will be' : Date.now() > deadline ? `within ${seconds} s` : undefined;
    if (why) throw new Error(`${what} is not ready ${why}: ${by.map(daemon => daemon.report()).join('\n')}`, { cause });
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
