/**
 * A control plane that knows our kinds, as `kubectl apply -f k8s/crd` makes them known, and what its API server says to objects of them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { apiVersion } from '../../k8s/names.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from './controlPlane.ts';

export const crdFolder = join(import.meta.dirname, '..', '..', 'k8s', 'crd');

export async function startWithKinds(options: ControlPlaneOptions = { scheduler: false }): Promise<ControlPlane> {
  const controlPlane = await startControlPlane(options);
  try {
    await installKinds(controlPlane);
  } catch (error) {
    await controlPlane[Symbol.asyncDispose]();
    throw error;
  }
  return controlPlane;
}

export async function installKinds(controlPlane: ControlPlane): Promise<void> {
  const files = ['trainingjob', 'sweep'].flatMap(kind => ['--filename', join(crdFolder, `${kind}.yaml`)]);
  for (const words of [['apply'], ['wait', '--for=condition=Established', '--timeout=30s']]) {
    const { code, stderr } = await controlPlane.kubectl(...words, ...files);
    if (code !== 0) throw new Error(`kubectl ${words.join(' ')}: ${stderr}`);
  }
}

export interface Answer<T = unknown> {
  /** Empty where it is accepted. */
  readonly refusal: string;
  /** The object with its defaults. */
  readonly object?: T;
}

/** Asks an API server what it would say, as `kubectl create --dry-run=server` does but in a hundredth of the time. */
export class Asker implements AsyncDisposable {
  readonly #server: string;
  readonly #agent: Agent;

  constructor({ kubeconfig }: ControlPlane) {
    const { clusters, users } = JSON.parse(readFileSync(kubeconfig, 'utf8'));
    const decoded = (text: string) => Buffer.from(text, 'base64');
    const [{ cluster }] = clusters;
    const [{ user }] = users;
    this.#server = cluster.server;
    const ca = decoded(cluster['certificate-authority-data']);
    const credentials = { cert: decoded(user['client-certificate-data']), key: decoded(user['client-key-data']) };
    this.#agent = new Agent({ connect: { ca, ...credentials } });
  }

  async create<T>(object: { readonly kind: 'TrainingJob' | 'Sweep' }): Promise<Answer<T>> {
    const url = `${this.#server}/apis/${apiVersion}/namespaces/default/${object.kind.toLowerCase()}s?dryRun=All&fieldValidation=Strict`;
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(object), dispatcher: this.#agent });
    const said = (await response.json()) as T & { message: string };
    return response.ok ? { refusal: '', object: said } : { refusal: said.message };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.close();
  }
}

/** The smallest job around a part of its spec. */
export const jobWith = (spec: Readonly<Record<string, unknown>>, name = 'job') => ({
  apiVersion,
  kind: 'TrainingJob' as const,
  metadata: { name },
  spec: { data: { path: 'data' }, ...spec },
});
