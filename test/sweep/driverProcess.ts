/**
 * Drives a sweep of toy trials and tells its events, one a line.
 */
import { runSweep } from '../../trainer/sweep/driver.ts';
import { parseSweep } from '../../trainer/sweep/sweepFile.ts';
import { toyProgram } from './toySweep.ts';

const [text, out] = process.argv.slice(2);
for await (const event of runSweep({ sweep: parseSweep(text, `${out}.yaml`), out, cores: 2, program: toyProgram })) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
