/**
 * The command line: finds the command, runs it, and turns whatever it throws into one sentence and an exit code.
 */

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Config, run } from '@oclif/core';
import { nearest } from '../trainer/nearest.ts';
import { commands } from './commands.ts';
import { describeError, reportError } from './errors.ts';
import { leaveLastWord } from './termination.ts';

const built = import.meta.url.endsWith('.js');
const root = dirname(fileURLToPath(new URL(built ? '../' : './', import.meta.url)));

/** What oclif would read from package.json; the command catalogue differs between a checkout and what is published. */
function packageFile() {
  const pjson = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
  return {
    ...pjson,
    oclif: {
      bin: 'segfleet',
      dirname: 'segfleet',
      topicSeparator: ' ',
      commands: { strategy: 'explicit', target: built ? './dist/cli/commands.js' : './cli/commands.ts', identifier: 'commands' },
      topics: {
        checkpoint: { description: 'The checkpoints of a run in a store: list, verify, show, prune and fetch them.' },
        cluster: { description: 'A cluster: whether it can train.' },
        dataset: { description: 'Data sets: import, check, count, split, show and shard them.' },
        losses: { description: 'The loss functions: what each computes, and its value and gradient on given numbers.' },
        sweep: { description: 'Sweeps: many trainings of one job on this machine, chosen by a search.' },
      },
    },
  };
}

export async function main(argv: readonly string[]): Promise<void> {
  // A reader that has seen enough (`| head`) is not an error. What can be stopped is, in good order: a training that nobody listens to any more has not
  // come to its end, and should say so.
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (process.listenerCount('SIGINT') === 0) process.exit(0);
    process.stdout.on('error', () => {});
    process.emit('SIGINT');
  });
  // What nobody catches ends the process as ever, with a last word.
  process.on('uncaughtExceptionMonitor', error => leaveLastWord({ error: describeError(error) }));
  try {
    await run([...argv], { root, pjson: packageFile() } as Partial<Config> & { root: string });
  } catch (error) {
    reportError(withSuggestion(error, argv), argv.includes('--json'));
  }
}

function withSuggestion(error: unknown, argv: readonly string[]): unknown {
  if (!(error instanceof Error) || !/^command .* not found$/i.test(error.message)) return error;
  const words = argv.filter(word => !word.startsWith('-'));
  const known = Object.keys(commands).map(id => id.replaceAll(':', ' '));
  const given = words.slice(0, 2).join(' ');
  const near = nearest(given, known, 3) ?? nearest(words[0], known, 3);
  return Object.assign(error, {
    message: `there is no command ${given}; ${near ? `did you mean ${near}?` : `known are ${known.join(', ')}`}`,
  });
}
