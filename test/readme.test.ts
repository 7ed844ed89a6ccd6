/**
 * What the README and the examples say is so.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { commands } from '../cli/commands.ts';
import { errorCodes } from '../trainer/errors.ts';
import { loadJob, parseJob } from '../trainer/spec.ts';
import { planSweep } from '../trainer/sweep/plan.ts';
import { loadSweep } from '../trainer/sweep/sweepFile.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** The cells of each row of the table under the heading that has these columns. */
function tableOf(...columns: readonly string[]): string[][] {
  const [, body] = readme.split(`| ${columns.join(' | ')} |\n`);
  const rows = body.slice(0, body.indexOf('\n\n')).split('\n').slice(1);
  return rows.map(row =>
    row
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim()),
  );
}

test('the exit codes are those of the catalogue', () => {
  const catalogue = Object.entries(errorCodes).map(([name, { exitCode, meaning }]) => [String(exitCode), `\`${name}\``, meaning]);
  expect(tableOf('code', 'name', 'meaning')).toEqual([['0', '', 'all went well'], ...catalogue]);
});

test('the commands are those that there are', () => {
  const named = tableOf('command', 'what').map(([call]) => /`segfleet ([a-z ]+[a-z])/.exec(call)![1]);
  expect(named.sort()).toEqual(
    Object.keys(commands)
      .map(id => id.replaceAll(':', ' '))
      .sort(),
  );
});

test('the tree is the tree', () => {
  const block = readme.split('## The tree')[1].split('```')[1];
  let top = '';
  const named = block.split('\n').flatMap(line => {
    top = /^\w+\//.exec(line)?.[0] ?? top;
    const names = [...(line.match(/^ *\w+\//) ?? []), ...(line.match(/\w+\.ts/g) ?? [])].map(name => name.trim());
    return names.map(name => (name === top ? name : join(top, name)));
  });
  for (const path of named) expect([path, existsSync(join(root, path))]).toEqual([path, true]);
  const folders = readdirSync(join(root, 'trainer'), { withFileTypes: true }).filter(entry => entry.isDirectory());
  expect(named).toEqual(expect.arrayContaining(folders.map(({ name }) => `trainer/${name}/`)));
});

describe('a job that is shown is a job that runs', () => {
  test('in the README', () => {
    const [, yaml] = readme.split('```yaml\n');
    const { job } = parseJob(yaml.split('```')[0], 'README.md');
    expect(job.spec.loss).toMatchObject({ name: 'adaptiveLog', of: { name: 'dice', smooth: 1 } });
  });

  const files = readdirSync(join(root, 'examples')).filter(name => name.endsWith('.yaml') && !name.startsWith('sweep-'));
  test.each(files)('examples/%s, and its data is there', file => {
    const { job } = loadJob(join(root, 'examples', file));
    expect(existsSync(join(root, 'examples', job.spec.data.path))).toBe(true);
  });

  const sweeps = readdirSync(join(root, 'examples')).filter(name => name.startsWith('sweep-'));
  test.each(sweeps)('examples/%s: all its trials can be run', async file => {
    const { trials, counts } = await planSweep({ sweep: loadSweep(join(root, 'examples', file)), out: join(root, 'runs', 'nothing') });
    expect(counts.toRun).toBe(trials.length);
    expect(trials.length).toBeGreaterThan(1);
  });
});
