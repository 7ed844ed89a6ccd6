/**
 * `npm run tools`: programs that tests run and npm does not bring, each in a folder of the cache that its version names. Needs Go.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder } from '../../trainer/engine/library.ts';

const versitygwVersion = '1.8.0';
/** An S3 server on top of a folder. */
export const versitygw = join(cacheFolder(), `versitygw-${versitygwVersion}`, 'versitygw');

function installVersitygw(): void {
  if (existsSync(versitygw)) return;
  const folder = dirname(versitygw);
  const partial = `${folder}.${process.pid}.partial`;
  mkdirSync(partial, { recursive: true });
  try {
    console.log(`Building versitygw ${versitygwVersion} (once) ...`);
    const module = `github.com/versity/versitygw/cmd/versitygw@v${versitygwVersion}`;
    execFileSync('go', ['install', module], { env: { ...process.env, GOBIN: partial }, stdio: 'inherit' });
    mkdirSync(folder, { recursive: true });
    renameSync(join(partial, 'versitygw'), versitygw);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error('the tests run a real S3 server, which is built with Go, and there is no program `go`; install Go 1.24 or later');
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  installVersitygw();
  console.log(`versitygw ${versitygwVersion}: ${versitygw}`);
}
