import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Flags } from '@oclif/core';
import { mlflowCredentials } from '../../k8s/resources/trackers.ts';
import { BaseCommand, stopSignal } from '../base.ts';

export default class Operator extends BaseCommand {
  static override summary = 'Look after the TrainingJobs of a cluster: this is what the chart runs.';
  static override description =
    `Makes what each job needs, follows its run and says in its status where it stands, until it is stopped. Of several only the one that holds the lease acts; the others take over when it is gone.

Writes one JSON object a line. GET /healthz, /readyz and /metrics (Prometheus) tell how it is. Where OTEL_EXPORTER_OTLP_ENDPOINT is set, its reconciles are sent there as traces.`;
  static override examples = [
    '<%= config.bin %> operator --image registry.example/segfleet:0.1.0 --store s3://runs/models --store-secret store',
    '<%= config.bin %> operator --namespace team --image segfleet:dev --context kind-test',
  ];
  static override flags = {
    namespace: Flags.string({
      multiple: true,
      helpValue: 'NAME',
      description: 'Look after the jobs of this namespace. May be given more than once. [default: all namespaces]',
    }),
    image: Flags.string({ required: true, helpValue: 'REFERENCE', description: 'The image of jobs that name none.' }),
    'image-pull-policy': Flags.option({ options: ['Always', 'IfNotPresent', 'Never'] as const })({
      description: 'Of jobs that name none.',
    }),
    store: Flags.string({
      helpValue: 's3://BUCKET/PREFIX',
      description: 'Where the checkpoints of jobs without checkpoint.url lie, each in a folder of its own.',
    }),
    'store-secret': Flags.string({
      helpValue: 'NAME',
      description: 'A Secret with the files `credentials` and `config` of the AWS tools, in the namespace of each job.',
    }),
    'store-port': Flags.integer({
      multiple: true,
      min: 1,
      max: 65_535,
      description: 'Pods may connect to this port, besides 443. May be given more than once.',
    }),
    'library-claim': Flags.string({
      helpValue: 'NAME',
      description: 'A PersistentVolumeClaim with the TensorFlow library, in the namespace of each job. [default: the library in the image]',
    }),
    mlflow: Flags.string({ helpValue: 'URL', description: 'Coordinators tell their runs to this MLflow server.' }),
    'mlflow-secret': Flags.string({
      helpValue: 'NAME',
      description: `A Secret in the namespace of each job, with ${mlflowCredentials.join(', ')} as far as the server asks for them.`,
      dependsOn: ['mlflow'],
    }),
    traces: Flags.string({
      helpValue: 'URL',
      description:
        'Coordinators send OpenTelemetry traces to this collector. [default: none; OTEL_EXPORTER_OTLP_ENDPOINT is for those of the operator]',
    }),
    'prometheus-namespace': Flags.string({ helpValue: 'NAME', description: 'Pods of this namespace may ask coordinators for metrics.' }),
    listen: Flags.string({ default: '127.0.0.1:8081', helpValue: 'HOST:PORT', description: 'For /healthz, /readyz and /metrics.' }),
    lease: Flags.string({
      helpValue: 'NAMESPACE/NAME',
      description: 'Who holds it acts. [default: segfleet-operator in the namespace of the pod or the context]',
    }),
    kubeconfig: Flags.string({
      helpValue: 'FILE',
      description: 'How the cluster is reached. [default: $KUBECONFIG, ~/.kube/config, or the service account of the pod]',
    }),
    context: Flags.string({ helpValue: 'NAME', description: 'A context of the kubeconfig. [default: the current one]' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Operator);
    const { connect } = await import('../../k8s/api.ts');
    const { systemClock } = await import('../../k8s/clock.ts');
    const { jsonLog } = await import('../../k8s/log.ts');
    const { defaultLease } = await import('../../k8s/names.ts');
    const { clientsOf, parseAddress, parseLease, parseStore, parseTrackers, runOperator } = await import('../../k8s/operator.ts');
    const { reconcile } = await import('../../k8s/reconcile.ts');
    const { makeKeyFile } = await import('../../coordinator/exchange/keys.ts');
    const { POD_NAME, POD_NAMESPACE } = process.env;
    const listen = parseAddress(flags.listen);
    const store = flags.store === undefined ? undefined : parseStore(flags.store);
    const trackers = parseTrackers({ mlflow: flags.mlflow, mlflowSecret: flags['mlflow-secret'], traces: flags.traces });
    const given = flags.lease === undefined ? undefined : parseLease(flags.lease);
    const api = await connect({ kubeconfig: flags.kubeconfig, context: flags.context });
    await runOperator({
      api,
      namespaces: flags.namespace,
      settings: {
        image: flags.image,
        imagePullPolicy: flags['image-pull-policy'],
        store,
        storeSecret: flags['store-secret'],
        storePorts: flags['store-port'],
        libraryClaim: flags['library-claim'],
        trackers,
        clients: clientsOf(POD_NAMESPACE, flags['prometheus-namespace']),
      },
      reconcile,
      makeKeys: makeKeyFile,
      identity: `${POD_NAME ?? hostname()}_${randomUUID()}`,
      log: jsonLog(line => process.stdout.write(line), systemClock),
      lease: given ?? { namespace: POD_NAMESPACE ?? api.namespace, name: defaultLease },
      listen,
      signal: stopSignal(),
    });
  }
}
