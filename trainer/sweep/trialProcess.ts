/**
 * A process that runs trials one after another for the process that started it, and ends with it. Its argument is the module of the program.
 */
import module from 'node:module';
import { endAtOnce } from '../endAtOnce.ts';
import { errorCodes } from '../errors.ts';
import type { FromProcess, ToProcess, TrialProgram } from './trialProgram.ts';

module.enableCompileCache();
const program: TrialProgram = (await import(process.argv[2])).default;
const say = (message: FromProcess) => process.send!(message);

let controller = new AbortController();
let goOn: (() => void) | undefined;

process.on('message', (message: ToProcess) => {
  switch (message.say) {
    case 'run':
      return void run(message.order);
    case 'stop':
      controller.abort(message.reason);
      return goOn?.();
    case 'go':
      return goOn?.();
    default:
      message satisfies never;
  }
});

// Whoever started it is gone: what is on disk is what the next one goes on from.
process.on('disconnect', () => endAtOnce(errorCodes.preempted.exitCode));
// They come to the whole group where a terminal sends them; the driver says what is to be done.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

async function run(order: Parameters<TrialProgram>[0]): Promise<void> {
  controller = new AbortController();
  const { signal } = controller;
  const outcome = await program(order, {
    signal,
    reached: reports => {
      const { promise, resolve } = Promise.withResolvers<void>();
      goOn = resolve;
      say({ say: 'reached', reports });
      if (signal.aborted) resolve();
      return promise;
    },
    warn: problem => say({ say: 'problem', problem }),
  });
  goOn = undefined;
  say({ say: 'ended', outcome, residentBytes: process.memoryUsage.rss() });
}
