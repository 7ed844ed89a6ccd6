/**
 * A program of trial processes that ends with the number of its process.
 */
import type { TrialProgram } from '../../trainer/sweep/trialProgram.ts';

const program: TrialProgram = async (_, host) => {
  if (host.signal.aborted) return { status: 'interrupted' };
  await host.reached([]);
  return host.signal.aborted ? { status: 'interrupted' } : { status: 'failed', error: { code: 'bug', message: String(process.pid) } };
};

export default program;
