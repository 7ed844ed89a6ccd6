/**
 * Makes test/fixtures/tensorboard.json: what TensorBoard reads from event files of ours. `npm run fixtures:tensorboard` installs it into an environment
 * of its own in the cache first.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeEventFiles } from '../tools/tensorboardCase.ts';
import { tensorboardPython } from './peers.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-tensorboard-'));
const board = await writeEventFiles(folder);
const script = new URL('peers/read_events.py', import.meta.url).pathname;
const read = execFileSync(await tensorboardPython(), [script, board], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
const fixture = { madeBy: 'npm run fixtures:tensorboard', ...JSON.parse(read) };
rmSync(folder, { recursive: true });
writeFileSync(new URL('../fixtures/tensorboard.json', import.meta.url), `${JSON.stringify(fixture, null, 1)}\n`);
console.log(`TensorBoard ${fixture.tensorboard} read ${Object.keys(fixture.scalars).length} scalars`);
