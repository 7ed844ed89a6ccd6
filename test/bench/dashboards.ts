/**
 * `npm run pictures:dashboards`: docs/dashboards/*.svg, of what a real Prometheus answers to the queries of the dashboards. It has scraped four runs that
 * compare three losses (one of them has two workers, of which one is killed, and checkpoints in object storage), a sweep, and an operator with a few jobs
 * and a sweep on a control plane without nodes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { connect } from '../../k8s/api.ts';
import { dashboards } from '../../k8s/monitoring/files.ts';
import { parseSweep } from '../../trainer/sweep/sweepFile.ts';
import { SweepMetrics } from '../../trainer/tracking/sweepMetrics.ts';
import { startWithKinds } from '../tools/crds.ts';
import { drawDashboard } from '../tools/drawDashboard.ts';
import { jobOf } from '../tools/handOperator.ts';
import { sharedJob, writeJob } from '../tools/jobs.ts';
import type { ProcessSettings } from '../tools/operatorProcess.ts';
import { drawDataSet } from '../tools/pictures.ts';
import type { Result } from '../tools/prometheus.ts';
import { sweepOf } from '../tools/sweepWorld.ts';
import { temporaryFolder } from '../tools/temporaryFolder.ts';
import { asGrafanaAsks, type Watch, type WatchedRun, watchRuns } from '../tools/watchedRuns.ts';
import { drive, toySweep } from '../trainer/sweep/toySweep.ts';

const into = join(import.meta.dirname, '..', '..', 'docs', 'dashboards');
const step = 2;
const { values: flags } = parseArgs({ options: { answers: { type: 'string' } } });

interface Answered {
  readonly from: number;
  readonly to: number;
  /** By expression. */
  readonly answers: Readonly<Record<string, readonly Result[]>>;
}

// They can be kept, so that only the drawing is done again.
const kept = flags.answers && existsSync(flags.answers) ? (JSON.parse(readFileSync(flags.answers, 'utf8')) as Answered) : undefined;
const { from, to, answers } = kept ?? (await answered());
if (flags.answers) writeFileSync(flags.answers, JSON.stringify({ from, to, answers }));
mkdirSync(into, { recursive: true });
for (const dashboard of dashboards) {
  const drawn = drawDashboard(dashboard, ({ queries }) => queries.map(({ expression }) => answers[expression]!), { from, to });
  writeFileSync(join(into, `${dashboard.name}.svg`), drawn);
}

async function answered(): Promise<Answered> {
  await using folder = temporaryFolder('dashboards');
  const within = (name: string) => join(folder.path, name);
  await drawDataSet(within('data'), 12, 16, 16);
  await using watch = await watchRuns('1s');
  await using controlPlane = await startWithKinds();
  const api = await connect({ kubeconfig: controlPlane.kubeconfig });
  const operator = await startOperator(watch, controlPlane.kubeconfig);
  const from = Date.now() / 1000;
  for (let i = 0; i < 3; i++) await api.create(jobOf(`job-${i}`));
  await api.create({ ...sweepOf(), metadata: { name: 'gammas', namespace: 'default' } });

  const sweep = toySweep(within('data'));
  await watch.serve('sweeps', new SweepMetrics(parseSweep(sweep, 'sweep.yaml'), within('sweep')));

  const train = async (name: string, loss: string, epochs: number, words: readonly string[], more: Partial<WatchedRun> = {}) => {
    const job = sharedJob('data', 4).replace('name: small', `name: ${name}`).replace('name: adaptiveLog', `name: ${loss}`);
    const file = writeJob(folder.path, job, `${name}.yaml`);
    const all = ['--out', within(name), '--set', `training.epochs=${epochs}`, ...words];
    const { code, stderr } = await watch.train({ file, words: all, ...more });
    if (code !== 0) throw new Error(`${name}: exit code ${code}: ${stderr}`);
    console.log(`${name} has ended`);
  };
  let program: ChildProcess;
  await Promise.all([
    ...['adaptiveLog', 'dice', 'combo'].map((loss, i) => train(`one-${i + 1}`, loss, 10, [])),
    train('two-workers', 'adaptiveLog', 9, ['--workers', '2', '--set', 'checkpoint.url=s3://bucket/run'], {
      onStart: child => {
        program = child;
      },
      onEvent: ({ event, epoch }) => {
        if (event === 'epoch' && epoch === 4) process.kill(workersOf(program.pid!).at(-1)!, 'SIGKILL');
      },
    }),
    api.create(jobOf('job-3', { suspend: true })),
    drive(sweep, within('sweep'), { cores: 1 }),
  ]);
  const to = Date.now() / 1000;
  const expressions = dashboards.flatMap(({ rows }) => rows.flatMap(({ panels }) => panels.flatMap(({ queries }) => queries)));
  const answers: Record<string, Result[]> = {};
  for (const { expression } of expressions)
    answers[expression] = await watch.prometheus.queryRange(asGrafanaAsks(expression, '10s'), { from, to, step });
  await api.close();
  await ended(operator);
  return { from, to, answers };
}

/** Below this process, however deep. */
function workersOf(program: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter(entry => /^\d+$/.test(entry))) {
    try {
      const [, rest] = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ');
      parents.set(Number(name), Number(rest.split(' ')[1]));
    } catch {} // it has ended meanwhile
  }
  const isBelow = (pid: number): boolean => parents.get(pid) === program || (parents.has(pid) && pid > 1 && isBelow(parents.get(pid)!));
  return [...parents.keys()].filter(isBelow).filter(pid => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('worker'));
}

async function startOperator(watch: Watch, kubeconfig: string): Promise<ChildProcess> {
  const settings: ProcessSettings = { kubeconfig, identity: 'first', lease: { namespace: 'default', name: 'segfleet-operator' } };
  const script = join(import.meta.dirname, '..', 'tools', 'operatorProcess.ts');
  const child = spawn(process.execPath, [script, JSON.stringify(settings)], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface(child.stdout!)) {
    const { message, port } = JSON.parse(line);
    if (message !== 'the operator has started') continue;
    await watch.scrape('operator', `http://127.0.0.1:${port}`);
    break;
  }
  child.stdout!.resume();
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  const gone = new Promise(resolve => child.on('exit', resolve));
  child.kill('SIGTERM');
  await gone;
}
