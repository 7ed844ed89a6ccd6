/**
 * A real S3 server for a test: on a port that is free, over a folder that goes with it.
 */

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { versitygw } from './tools.ts';

export interface Gateway extends AsyncDisposable {
  readonly url: string;
  /** Its buckets are the folders in here. */
  readonly folder: string;
}

/** Sets the credentials that the AWS tools look for, so that neither a file nor a machine is asked for others. */
export function setCredentials(): void {
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: 'segfleet',
    AWS_SECRET_ACCESS_KEY: 'segfleet-secret',
    AWS_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
  });
}

export async function startGateway(...buckets: readonly string[]): Promise<Gateway> {
  const folder = mkdtempSync(join(tmpdir(), 'segfleet-versitygw-'));
  for (const bucket of buckets) mkdirSync(join(folder, bucket));
  const port = await freePort();
  const { AWS_ACCESS_KEY_ID: access, AWS_SECRET_ACCESS_KEY: secret } = process.env;
  const env = { PATH: process.env.PATH, ROOT_ACCESS_KEY: access, ROOT_SECRET_KEY: secret };
  const child = spawn(versitygw, ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', folder], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', chunk => {
    said += chunk;
  });
  const ended = new Promise<string>(resolve => {
    child.on('error', error => resolve(error.message));
    child.on('close', code => resolve(`code ${code}`));
  });
  const url = `http://127.0.0.1:${port}`;
  const failure = await Promise.race([answers(url), ended]);
  if (failure) throw new Error(`versitygw did not start (${failure}); run \`npm run tools\`: ${said}`);
  return {
    url,
    folder,
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Asks until there is an answer. */
async function answers(url: string): Promise<undefined> {
  while (true) {
    const response = await fetch(url).catch(() => undefined);
    if (response) return undefined;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
