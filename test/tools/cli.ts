/**
 * The command line as a user has it: a process of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const launcher = new URL('../../bin/segfleet.mjs', import.meta.url).pathname;

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Called with each line of standard output as it comes. */
  readonly onLine?: (line: string, child: ChildProcess) => void;
  /** Called at once. */
  readonly onStart?: (child: ChildProcess) => void;
  /** Program and arguments to put in front, such as `unshare`. */
  readonly under?: readonly string[];
}

export async function segfleet(
  arguments_: readonly string[],
  { cwd, env, onLine, onStart, under = [] }: CliOptions = {},
): Promise<Finished> {
  const [command, ...rest] = [...under, process.execPath, launcher, ...arguments_];
  const child = spawn(command, rest, { cwd, env: { ...process.env, NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  onStart?.(child);
  const lines: string[] = [];
  let stderr = '';
  child.stderr!.on('data', chunk => {
    stderr += chunk;
  });
  const reader = createInterface({ input: child.stdout! });
  reader.on('line', line => {
    lines.push(line);
    onLine?.(line, child);
  });
  const [[code, signal]] = await Promise.all([
    new Promise<[number | null, NodeJS.Signals | null]>(resolve => child.on('close', (...how) => resolve(how))),
    new Promise(resolve => reader.on('close', resolve)),
  ]);
  return { code, signal, stdout: lines.join('\n'), stderr };
}

/** The events of a run under `--json`. */
export const eventsOf = ({ stdout }: Finished): Record<string, never>[] =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line));
