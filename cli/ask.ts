/**
 * A question to whoever sits at the terminal.
 */
import { createInterface } from 'node:readline/promises';

/** No, unless the answer is yes. */
export async function ask(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C and the end of the input are answers too.
  const ended = new Promise<string>(resolve => terminal.on('SIGINT', () => resolve('')).on('close', () => resolve('')));
  try {
    const answer = await Promise.race([terminal.question(`${question} [y/N] `), ended]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
