/**
 * `operatorProcess.ts SETTINGS`: the operator as a process of a test, with times that a test can wait for. It may be told to kill itself right before or
 * right after its so manieth change of the cluster, as nothing else would at that very moment.
 */
import { makeKeyFile } from '../../coordinator/exchange/keys.ts';
import { type Api, connect } from '../../k8s/api.ts';
import { systemClock } from '../../k8s/clock.ts';
import { jsonLog } from '../../k8s/log.ts';
import { type OperatorOptions, runOperator } from '../../k8s/operator.ts';
import { reconcile } from '../../k8s/reconcile.ts';

export interface ProcessSettings extends Pick<OperatorOptions, 'namespaces' | 'identity' | 'lease' | 'times'> {
  readonly kubeconfig: string;
  readonly dies?: { readonly at: number; readonly when: 'before' | 'after' };
}

const changes = new Set(['create', 'apply', 'patch', 'replace', 'delete']);

/** The API, but at the given change the process is gone. The lease does not count. */
function mortal(api: Api, { at, when }: NonNullable<ProcessSettings['dies']>): Api {
  let count = 0;
  return new Proxy(api, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (!changes.has(String(name))) return value.bind(target);
      return async (object: { kind: string }, ...rest: unknown[]) => {
        const isIt = object.kind !== 'Lease' && ++count === at;
        if (isIt && when === 'before') process.kill(process.pid, 'SIGKILL');
        const answer = await value.call(target, object, ...rest);
        if (isIt) process.kill(process.pid, 'SIGKILL');
        return answer;
      };
    },
  });
}

const { kubeconfig, dies, ...settings } = JSON.parse(process.argv[2]!) as ProcessSettings;
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());
const api = await connect({ kubeconfig });
await runOperator({
  ...settings,
  api: dies ? mortal(api, dies) : api,
  settings: { image: 'segfleet:1', store: 's3://runs/models', clients: [] },
  reconcile,
  makeKeys: makeKeyFile,
  log: jsonLog(line => process.stdout.write(line), systemClock),
  listen: { host: '127.0.0.1', port: 0 },
  signal: stop.signal,
});
