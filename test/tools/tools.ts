/**
 * `npm run tools`: programs that tests run and npm does not bring, each in a folder of the cache that its version names. They are built
 * with Go; where there is none, the tests that need them do not run, and the test run names each of these.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder } from '../../trainer/engine/library.ts';

const versitygwVersion = '1.8.0';
/** Where Go is, or where its own installer puts it. */
const go = ['go', '/usr/local/go/bin/go'];

/** An S3 server on top of a folder. */
export const versitygw = join(cacheFolder(), `versitygw-${versitygwVersion}`, 'versitygw');

export const hasVersitygw = (): boolean => existsSync(versitygw);

function installVersitygw(): void {
  if (hasVersitygw()) return;
  const folder = dirname(versitygw);
  const partial = `${folder}.${process.pid}.partial`;
  mkdirSync(partial, { recursive: true });
  try {
    console.log(`Building versitygw ${versitygwVersion} (once) ...`);
    const module = `github.com/versity/versitygw/cmd/versitygw@v${versitygwVersion}`;
    const compiler = go.find(program => spawnSync(program, ['version']).status === 0);
    if (!compiler)
      return console.log('There is no Go here, so the tests of a real S3 server will not run; install Go 1.24 or later for them.');
    execFileSync(compiler, ['install', module], { env: { ...process.env, GOBIN: partial }, stdio: 'inherit' });
    mkdirSync(folder, { recursive: true });
    renameSync(join(partial, 'versitygw'), versitygw);
  } catch (error) {
    console.log(`versitygw could not be built, so the tests of a real S3 server will not run: ${(error as Error).message}`);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  installVersitygw();
  if (hasVersitygw()) console.log(`versitygw ${versitygwVersion} is ready`);
}
