/**
 * `askApi.ts KUBECONFIG PATH`: asks an API server until it says that all is well, for a minute. A process of its own, because the
 * server may be in another network than the test; much lighter than kubectl, which would take the time that the server needs to start.
 */
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';

const [kubeconfig, path] = process.argv.slice(2);
const { clusters, users } = JSON.parse(readFileSync(kubeconfig, 'utf8'));
const bytes = (base64: string) => Buffer.from(base64, 'base64');
const credentials = {
  ca: bytes(clusters[0].cluster['certificate-authority-data']),
  cert: bytes(users[0].user['client-certificate-data']),
  key: bytes(users[0].user['client-key-data']),
};

/** @returns what is wrong, where something is */
const ask = () =>
  new Promise<string | undefined>(resolve => {
    request(new URL(path, clusters[0].cluster.server), { ...credentials, timeout: 5000 })
      .on('response', async answer => resolve(answer.statusCode === 200 ? undefined : await text(answer).catch(String)))
      .on('timeout', () => resolve('no answer'))
      .on('error', error => resolve(error.message))
      .end();
  });

const deadline = Date.now() + 60_000;
let wrong: string | undefined;
do {
  wrong = await ask();
  if (wrong !== undefined) await new Promise(resolve => setTimeout(resolve, 20));
} while (wrong !== undefined && Date.now() < deadline);
if (wrong !== undefined) console.error(`${path}: ${wrong}`);
process.exit(wrong === undefined ? 0 : 1);
