/**
 * `npm run bench:operator`: how much of an API server the operator takes. Jobs are made at once, then nothing happens to them, then another operator takes
 * over. There are no nodes: pods are made and wait.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Api, connect } from '../../k8s/api.ts';
import { apiVersion } from '../../k8s/names.ts';
import type { AnyObject, TrainingJob } from '../../k8s/objects.ts';
import { describeMachine } from '../../trainer/machine.ts';
import { startWithKinds } from '../tools/crds.ts';
import type { ProcessSettings } from '../tools/operatorProcess.ts';
import { writeResults } from './results.ts';

const { values: flags } = parseArgs({ options: { jobs: { type: 'string', default: '200' }, idle: { type: 'string', default: '120' } } });
const numJobs = Number(flags.jobs);
const idleSeconds = Number(flags.idle);

class Operator {
  readonly child: ChildProcess;
  readonly startedAt = performance.now();
  readonly #said: Record<string, unknown>[] = [];

  constructor(kubeconfig: string, identity: string) {
    const settings: ProcessSettings = { kubeconfig, identity, lease: { namespace: 'default', name: 'bench' } };
    const script = join(import.meta.dirname, '..', 'tools', 'operatorProcess.ts');
    this.child = spawn(process.execPath, [script, JSON.stringify(settings)], { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface(this.child.stdout!).on('line', line => this.#said.push(JSON.parse(line)));
  }

  async says(message: string): Promise<Record<string, unknown>> {
    for (;;) {
      const said = this.#said.find(line => line.message === message);
      if (said) return said;
      await wait(20);
    }
  }

  async reading(name: string): Promise<number> {
    const { port } = await this.says('the operator has started');
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return Number(
      text
        .split('\n')
        .find(line => line.startsWith(`segfleet_operator_${name} `))!
        .split(' ')[1],
    );
  }

  /** Of processor time. */
  seconds(): number {
    const [, rest] = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8').split(') ');
    const fields = rest!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  megabytes(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))![1]) / 1024;
  }

  async end(): Promise<void> {
    const ended = new Promise(resolve => this.child.on('exit', resolve));
    this.child.kill('SIGTERM');
    await ended;
  }
}

const trainingJob = (i: number): AnyObject => ({
  ...{ apiVersion, kind: 'TrainingJob', metadata: { name: `job-${i}`, namespace: 'default' } },
  spec: { data: { path: 's3://data/nuclei' }, training: { batch: 8, lanes: 4 }, workers: { replicas: 2, max: 4 } },
});

/** All that the operator has to do for them is done: their pods wait. */
async function settled(api: Api): Promise<void> {
  for (; ; await wait(100)) {
    const { items } = await api.list<AnyObject>('Job', { namespace: 'default' });
    const jobs = (await api.list<TrainingJob>('TrainingJob', { namespace: 'default' })).items;
    const areStarted = jobs.every(({ status }) => status?.startTime !== undefined);
    if (items.length === 2 * numJobs && jobs.length === numJobs && areStarted) return;
  }
}

const rows: string[] = [];
const row = (...cells: (string | number)[]) => rows.push(`| ${cells.join(' | ')} |`);
await using controlPlane = await startWithKinds();
const api = await connect({ kubeconfig: controlPlane.kubeconfig });
const first = new Operator(controlPlane.kubeconfig, 'first');
await first.says('this operator leads');
const before = { requests: await first.reading('api_requests_total'), seconds: first.seconds() };

let began = performance.now();
for (let i = 0; i < numJobs; i += 20)
  await Promise.all(Array.from({ length: Math.min(20, numJobs - i) }, (_, k) => api.create(trainingJob(i + k))));
const createdMs = performance.now() - began;
await settled(api);
const madeMs = performance.now() - began;
// What their pods make of them.
await wait(10_000);
const made = { requests: await first.reading('api_requests_total'), seconds: first.seconds() };
row('making them, s', (madeMs / 1000).toFixed(1));
row('of that, submitting them, s', (createdMs / 1000).toFixed(1));
row('API requests per job', ((made.requests - before.requests) / numJobs).toFixed(1));
row('processor time of the operator per job, ms', ((1000 * (made.seconds - before.seconds)) / numJobs).toFixed(0));

await wait(idleSeconds * 1000);
const idle = { requests: await first.reading('api_requests_total'), seconds: first.seconds() };
row('idle: API requests a minute, those for the lease among them', (((idle.requests - made.requests) * 60) / idleSeconds).toFixed(1));
row('idle: processor time a minute, ms', ((60_000 * (idle.seconds - made.seconds)) / idleSeconds).toFixed(0));
row('memory, MB', first.megabytes().toFixed(0));

await first.end();
began = performance.now();
const second = new Operator(controlPlane.kubeconfig, 'second');
await second.says('this operator leads');
row('another operator: from its start until it leads, s', ((performance.now() - began) / 1000).toFixed(1));
await wait(5000);
const writes = await second.reading('status_writes_total');
row('another operator: API requests in its first 5 s', await second.reading('api_requests_total'));
row('another operator: statuses written', writes);
await second.end();
await api.close();

const text = `${numJobs} TrainingJobs of two workers in one namespace, made at once; API server, etcd and controller manager on the same processors.\n\n| what | |\n|---|---|\n${rows.join('\n')}\n
Of the requests for a job seven make what it needs, two write its status, one tells of it. Idle, the lease is renewed every 2 s and nothing else is asked; all jobs\nare looked at every 5 s, because their pods are missed.`;
console.log(text);
const { cpu, processors } = describeMachine();
writeResults('operator', `${cpu}, ${processors} processors`, 'npm run bench:operator', text);
