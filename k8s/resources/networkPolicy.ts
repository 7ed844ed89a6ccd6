/**
 * Who talks to the pods of a job, and whom they talk to: each other; the operator and Prometheus ask for progress; DNS; the store, and whoever is told of
 * the run. Nothing else.
 *
 * The operator does not know the address of the store: it stands in a Secret that it does not read, and is often a name whose addresses change. So pods
 * may connect to port 443 anywhere, to the ports that the operator was told (`storePorts`, `trackers`), and to those of addresses in `pod.env`. A store at another
 * port, such as MinIO's 9000, needs one of these; without, requests to it run into their deadline. More can be opened, never less, by a further
 * NetworkPolicy in the namespace, on pods with the label segfleet.dev/job.
 */
import { childNames, ports } from '../names.ts';
import type { AnyObject } from '../objects.ts';
import { metaOf, type Recipe, selectorOf } from './owner.ts';
import { trackerVariables } from './trackers.ts';

/** 5353: where some clusters have their name servers behind port 53. */
const dnsPorts = [53, 5353];

const tcp = (port: number) => ({ protocol: 'TCP', port });
const udp = (port: number) => ({ protocol: 'UDP', port });

export function networkPolicy(recipe: Recipe): AnyObject {
  const { owner, settings } = recipe;
  const ownPods = [{ podSelector: { matchLabels: selectorOf(owner) } }];
  const clients = settings.clients.map(({ namespace, labels }) => ({
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
    podSelector: { matchLabels: labels },
  }));
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metaOf(owner, childNames(owner.metadata.name).network),
    spec: {
      podSelector: { matchLabels: selectorOf(owner) },
      policyTypes: ['Ingress', 'Egress'],
      // An empty list of peers would mean everybody.
      ingress: [{ from: ownPods }, ...(clients.length > 0 ? [{ from: clients, ports: [tcp(ports.progress)] }] : [])],
      egress: [{ to: ownPods }, { ports: dnsPorts.flatMap(port => [udp(port), tcp(port)]) }, { ports: portsOutside(recipe).map(tcp) }],
    },
  };
}

/** Variables whose values are addresses that pods connect to. */
const addressVariables = [
  ...['AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3', 'MLFLOW_TRACKING_URI'],
  ...['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'],
];

function portsOutside(recipe: Recipe): number[] {
  const { job, settings } = recipe;
  const variables = [...(job.spec.pod.env ?? []), ...trackerVariables(recipe)];
  const theirs = variables.flatMap(one => (addressVariables.includes(one.name) && 'value' in one ? portOf(one.value) : []));
  return [...new Set([443, ...(settings.storePorts ?? []), ...theirs])].toSorted((a, b) => a - b);
}

function portOf(url: string): number[] {
  if (!URL.canParse(url)) return [];
  const { port, protocol } = new URL(url);
  return [port === '' ? (protocol === 'http:' ? 80 : 443) : Number(port)];
}
