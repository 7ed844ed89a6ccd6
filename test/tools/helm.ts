/**
 * Helm as a user runs it, on the chart of this repository, and what comes out of it.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseAllDocuments } from 'yaml';
import type { AnyObject } from '../../k8s/objects.ts';
import type { Said } from './controlPlane.ts';
import { helm } from './tools.ts';

export const chartFolder = join(import.meta.dirname, '..', '..', 'charts', 'segfleet');

export type Values = Readonly<Record<string, unknown>>;

/** An object of the chart, read as loosely as a template writes it. */
// biome-ignore lint/suspicious/noExplicitAny: the tests look at many kinds of objects, of which each says what it expects
export type Rendered = AnyObject & Record<string, any>;

export class Helm {
  readonly #folder: string;
  readonly #kubeconfig: string;

  /**
   * @param folder where it may keep what it knows
   * @param kubeconfig by default it reaches no cluster
   */
  constructor(folder: string, kubeconfig = '/dev/null') {
    this.#folder = folder;
    this.#kubeconfig = kubeconfig;
  }

  async run(words: readonly string[], values: Values = {}): Promise<Said> {
    const homes = ['HELM_CACHE_HOME', 'HELM_CONFIG_HOME', 'HELM_DATA_HOME'].map(name => [name, join(this.#folder, name)]);
    const env = { ...process.env, ...Object.fromEntries(homes), KUBECONFIG: this.#kubeconfig };
    const given = Object.keys(values).length > 0;
    const child = spawn(helm, [...words, ...(given ? ['--values', '-'] : [])], { env, stdio: 'pipe' });
    const code = new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
    child.stdin.on('error', () => {}).end(given ? JSON.stringify(values) : '');
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await code, stdout, stderr };
  }

  template(values: Values = {}, { release = 'segfleet', namespace = 'fleet' } = {}): Promise<Said> {
    return this.run(['template', release, chartFolder, '--namespace', namespace], values);
  }

  /** What a cluster would be given. */
  async render(values?: Values, where?: Parameters<Helm['template']>[1]): Promise<Rendered[]> {
    const { code, stdout, stderr } = await this.template(values, where);
    if (code !== 0) throw new Error(stderr);
    // Kubernetes reads YAML 1.1.
    const documents = parseAllDocuments(stdout, { version: '1.1' });
    return documents.map(document => document.toJS({ maxAliasCount: 0 }) as Rendered).filter(object => object !== null);
  }
}
