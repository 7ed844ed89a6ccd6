/**
 * A folder that goes with this process, however that ends: a shell waits for the end of its input, which comes when nobody is left who
 * could write to it, and then removes the folder.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

/** @param path where it shall be; by default a new one among those for temporary files */
export function temporaryFolder(name: string, path = mkdtempSync(join(tmpdir(), `segfleet-${name}-`))): TemporaryFolder {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  // Others who write in there may be ending at this moment too.
  const script = 'cat; for i in $(seq 50); do rm -rf -- "$1" && break; sleep 0.2; done';
  const shell = spawn('sh', ['-c', script, 'sh', path], { detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
  const removed = new Promise(resolve => shell.on('close', resolve));
  return {
    path,
    async [Symbol.asyncDispose]() {
      shell.stdin.end();
      await removed;
    },
  };
}
