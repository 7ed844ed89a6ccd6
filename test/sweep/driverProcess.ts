/**
 * Drives a sweep of toy trials and tells its events, one a line.
 */
import module from 'node:module';

module.enableCompileCache(); // as bin/segfleet.mjs does
const { runSweep } = await import('../../trainer/sweep/driver.ts');
const { parseSweep } = await import('../../trainer/sweep/sweepFile.ts');
const { toyProgram } = await import('./toySweep.ts');

const [text, out] = process.argv.slice(2);
for await (const event of runSweep({ sweep: parseSweep(text, `${out}.yaml`), out, cores: 2, program: toyProgram })) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
