/**
 * One connection to an API server: plain JSON in and out, one agent whose connections are kept. Who the user is and how the server is reached is what
 * the Kubernetes client makes of a kubeconfig or of the service account of a pod; its own API classes and informers are not used, as they give up
 * for good when a connection dies, and open a new one for each request.
 */
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import type { KubeConfig } from '@kubernetes/client-node';
import { type Dispatcher, fetch, Response, request } from 'undici';
import { SegfleetError } from '../trainer/errors.ts';
import { ApiError, refusal, type ServerStatus } from './apiError.ts';
import { apiVersion, fieldManager } from './names.ts';
import type { KubeObject, ObjectRef } from './objects.ts';

/** Kinds that something here asks for: where they lie. */
const kinds = {
  TrainingJob: { apiVersion, plural: 'trainingjobs', namespaced: true },
  Sweep: { apiVersion, plural: 'sweeps', namespaced: true },
  Job: { apiVersion: 'batch/v1', plural: 'jobs', namespaced: true },
  Deployment: { apiVersion: 'apps/v1', plural: 'deployments', namespaced: true },
  Pod: { apiVersion: 'v1', plural: 'pods', namespaced: true },
  Service: { apiVersion: 'v1', plural: 'services', namespaced: true },
  ConfigMap: { apiVersion: 'v1', plural: 'configmaps', namespaced: true },
  Secret: { apiVersion: 'v1', plural: 'secrets', namespaced: true },
  Event: { apiVersion: 'v1', plural: 'events', namespaced: true },
  ResourceQuota: { apiVersion: 'v1', plural: 'resourcequotas', namespaced: true },
  PersistentVolumeClaim: { apiVersion: 'v1', plural: 'persistentvolumeclaims', namespaced: true },
  Namespace: { apiVersion: 'v1', plural: 'namespaces', namespaced: false },
  Node: { apiVersion: 'v1', plural: 'nodes', namespaced: false },
  NetworkPolicy: { apiVersion: 'networking.k8s.io/v1', plural: 'networkpolicies', namespaced: true },
  PodDisruptionBudget: { apiVersion: 'policy/v1', plural: 'poddisruptionbudgets', namespaced: true },
  Lease: { apiVersion: 'coordination.k8s.io/v1', plural: 'leases', namespaced: true },
  SelfSubjectAccessReview: { apiVersion: 'authorization.k8s.io/v1', plural: 'selfsubjectaccessreviews', namespaced: false },
  CustomResourceDefinition: { apiVersion: 'apiextensions.k8s.io/v1', plural: 'customresourcedefinitions', namespaced: false },
  PriorityClass: { apiVersion: 'scheduling.k8s.io/v1', plural: 'priorityclasses', namespaced: false },
} as const;
export type Kind = keyof typeof kinds;

export interface ConnectOptions {
  /** A context of the kubeconfig. By default the current one. */
  readonly context?: string;
  /** By default $KUBECONFIG, ~/.kube/config, or the service account of the pod. */
  readonly kubeconfig?: string;
}

export interface Where {
  readonly namespace?: string;
}

export interface Selection extends Where {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface WriteOptions {
  /** Whose fields they are. */
  readonly manager?: string;
  /** Everything is checked, and nothing is kept. */
  readonly dryRun?: boolean;
  /** Fields that the server does not know are refused instead of left out. */
  readonly strict?: boolean;
}

export interface Cancel {
  readonly signal?: AbortSignal;
}

export interface Guarded {
  /** Called when there is a connection and the request is about to go out on it: what it throws keeps it from that. */
  readonly guard?: () => void;
}

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
}

interface Request extends Guarded {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
  /** Of the whole answer; 0: none. */
  readonly timeoutMs?: number;
}

/** A server that is too busy says so; it is asked again so often at most. */
const attempts = 4;
const deadlineMs = 30_000;

/** @throws usage, notFound: no kubeconfig, no such context */
export async function connect({ context, kubeconfig }: ConnectOptions = {}): Promise<Api> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  /** A connection for each watch: of one that all share, a silence would be that of all, and asking anew would ask the same. */
  class Config extends KubeConfig {
    override createDispatcherOptions(...given: Parameters<KubeConfig['createDispatcherOptions']>) {
      const options = super.createDispatcherOptions(...given);
      switch (options.type) {
        case 'agent':
          return { ...options, connect: { ...options.connect, allowH2: false } };
        case 'none':
          return { type: 'agent' as const, connect: { allowH2: false } };
        default:
          return { ...options, requestTls: { ...options.requestTls, allowH2: false } };
      }
    }
  }
  const config = new Config();
  try {
    if (kubeconfig) config.loadFromFile(kubeconfig);
    else config.loadFromDefault();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'notFound' : 'usage';
    const [why] = (cause as Error).message.split('\n');
    throw new SegfleetError(code, `the kubeconfig cannot be read (${why}); name another one in KUBECONFIG`, { cause });
  }
  if (context !== undefined) {
    const known = config.getContexts().map(({ name }) => name);
    if (!known.includes(context))
      throw new SegfleetError('notFound', `there is no context ${context}; known are ${known.join(', ') || 'none'}`);
    config.setCurrentContext(context);
  }
  const cluster = config.getCurrentCluster();
  // The client's own default, which nobody has set up.
  if (!cluster || cluster.server === 'http://localhost:8080') {
    throw new SegfleetError('notFound', 'there is no cluster to talk to; set KUBECONFIG, or name a context of it with --context');
  }
  return new Api(config, cluster.server);
}

export class Api {
  /** Of the current context. */
  readonly namespace: string;
  readonly server: string;
  readonly #config: KubeConfig;
  #dispatcher: Dispatcher | undefined;
  /** Requests so far, and how many of them were answered. */
  requests = 0;
  answers = 0;

  constructor(config: KubeConfig, server: string) {
    this.#config = config;
    this.server = server.replace(/\/$/, '');
    this.namespace = config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
  }

  /** @throws notFound */
  get<T extends KubeObject>(kind: Kind, name: string, { signal, ...where }: Where & Cancel = {}): Promise<T> {
    return this.#json(`${kind} ${name}${inNamespace(where)}`, 'GET', pathOf(kind, where, name), { signal });
  }

  /** All of them, page by page, and the version of the whole from which a watch goes on. */
  async list<T extends KubeObject>(kind: Kind, selection: Selection & Cancel = {}): Promise<{ items: T[]; resourceVersion: string }> {
    const { labelSelector, fieldSelector, signal } = selection;
    const items: T[] = [];
    let next: string | undefined;
    let resourceVersion = '';
    do {
      const query = { labelSelector, fieldSelector, limit: 500, continue: next };
      const doing = `${kinds[kind].plural}${inNamespace(selection)}`;
      const page = await this.#json<ListOf<T>>(doing, 'GET', pathOf(kind, selection), { query, signal });
      // Items of a list do not say what they are.
      for (const item of page.items) items.push({ ...item, apiVersion: kinds[kind].apiVersion, kind });
      resourceVersion = page.metadata.resourceVersion;
      next = page.metadata.continue || undefined;
    } while (next);
    return { items, resourceVersion };
  }

  /** @throws conflict: it is there already */
  create<T extends KubeObject>(
    object: T,
    { manager = fieldManager, dryRun = false, strict = false, ...rest }: WriteOptions & Cancel & Guarded = {},
  ): Promise<T> {
    const { kind, name, where } = partsOf(object);
    return this.#json(`${kind} ${name}${inNamespace(where)}`, 'POST', pathOf(kind, where), {
      body: object,
      query: { fieldManager: manager, dryRun: dryRun ? 'All' : undefined, fieldValidation: strict ? 'Strict' : undefined },
      ...rest,
    });
  }

  /**
   * Server-side apply. With a resourceVersion only that version is changed.
   *
   * @param manager whose fields they are
   * @throws conflict: another has set a field otherwise, unless `force`
   */
  apply<T extends KubeObject>(
    object: KubeObject,
    {
      manager = fieldManager,
      force = false,
      dryRun = false,
      guard,
    }: { manager?: string; force?: boolean; dryRun?: boolean } & Guarded = {},
  ): Promise<T> {
    const { kind, name, where } = partsOf(object);
    return this.#json(`${kind} ${name}${inNamespace(where)}`, 'PATCH', pathOf(kind, where, name), {
      body: object,
      contentType: 'application/apply-patch+yaml',
      query: { fieldManager: manager, force, dryRun: dryRun ? 'All' : undefined },
      guard,
    });
  }

  /** A JSON merge patch. With a resourceVersion in it only that version is changed. */
  patch<T extends KubeObject>(
    ref: ObjectRef,
    patch: unknown,
    subresource?: 'status' | 'scale',
    { manager = fieldManager, guard }: WriteOptions & Guarded = {},
  ): Promise<T> {
    const { kind, name, where } = partsOf(ref);
    const path = pathOf(kind, where, name, subresource);
    return this.#json(`${kind} ${name}${inNamespace(where)}`, 'PATCH', path, {
      body: patch,
      contentType: 'application/merge-patch+json',
      query: { fieldManager: manager },
      guard,
    });
  }

  /** Replaces it if it is still of the version that the object says. @throws conflict */
  replace<T extends KubeObject>(object: T, { signal }: Cancel = {}): Promise<T> {
    const { kind, name, where } = partsOf(object);
    return this.#json(`${kind} ${name}${inNamespace(where)}`, 'PUT', pathOf(kind, where, name), {
      body: object,
      query: { fieldManager },
      signal,
    });
  }

  /** With what belongs to it, in the background. With a uid only that one. @throws notFound, conflict */
  async delete(ref: ObjectRef, { guard }: Guarded = {}): Promise<void> {
    const { kind, name, where } = partsOf(ref);
    const { uid, resourceVersion } = ref.metadata;
    const body = { propagationPolicy: 'Background', ...((uid || resourceVersion) && { preconditions: { uid, resourceVersion } }) };
    await this.#json(`${kind} ${name}${inNamespace(where)}`, 'DELETE', pathOf(kind, where, name), { body, guard });
  }

  /**
   * What changes from a version on. Ends when the server ends it, which it does after some minutes; nothing that came after the last bookmark or
   * change is known then.
   *
   * @param silentMs throws unavailable where nothing came for so long: bookmarks come every minute
   * @throws conflict with status 410: the version is too old, list again
   */
  async *watch<T extends KubeObject>(
    kind: Kind,
    {
      resourceVersion,
      signal,
      silentMs = 90_000,
      ...selection
    }: Selection & { resourceVersion: string; signal?: AbortSignal; silentMs?: number },
  ): AsyncGenerator<WatchEvent<T>> {
    const doing = `watch of ${kinds[kind].plural}${inNamespace(selection)}`;
    const { labelSelector, fieldSelector } = selection;
    const query = { watch: true, allowWatchBookmarks: true, resourceVersion, labelSelector, fieldSelector };
    const silence = new AbortController();
    const timer = setTimeout(
      () => silence.abort(new ApiError(`${doing}: the API server is silent`, { status: 0, reason: 'Silent' })),
      silentMs,
    );
    try {
      const both = AbortSignal.any([silence.signal, ...(signal ? [signal] : [])]);
      const response = await this.#send(doing, 'GET', pathOf(kind, selection), { query, signal: both, timeoutMs: 0 });
      for await (const line of linesOf(response, doing)) {
        timer.refresh();
        const event = parse<WatchEvent<T> | { type: 'ERROR'; object: ServerStatus }>(line, doing);
        if (event.type === 'ERROR') throw refusal(doing, event.object.code ?? 500, event.object, null);
        yield event;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Lines of the log of a pod. @throws notFound; usage: the container has not begun */
  async *logs(
    pod: string,
    {
      namespace,
      signal,
      ...query
    }: Where & {
      container?: string;
      tailLines?: number;
      limitBytes?: number;
      follow?: boolean;
      timestamps?: boolean;
      sinceTime?: string;
      signal?: AbortSignal;
    },
  ): AsyncGenerator<string> {
    const doing = `log of ${pod}${inNamespace({ namespace })}`;
    const path = `${pathOf('Pod', { namespace }, pod)}/log`;
    // A whole log may take as long as its reader does.
    const timeoutMs = query.follow || query.tailLines === undefined ? 0 : deadlineMs;
    const response = await this.#send(doing, 'GET', path, { query, signal, timeoutMs });
    yield* linesOf(response, doing);
  }

  /** Any path of the server, such as /version. */
  raw<T>(path: string): Promise<T> {
    return this.#json(path, 'GET', path);
  }

  /** What is under way is given up. */
  async close(): Promise<void> {
    await this.#dispatcher?.destroy();
  }

  async #json<T>(doing: string, method: string, path: string, request: Request = {}): Promise<T> {
    const response = await this.#send(doing, method, path, request);
    return parse<T>(await response.text().catch(cause => Promise.reject(unanswered(doing, cause))), doing);
  }

  async #send(doing: string, method: string, path: string, request: Request): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      const response = await this.#once(doing, method, path, request);
      if (response.ok) return response;
      const text = await response.text().catch(() => '');
      const error = refusal(doing, response.status, statusIn(text), response.headers.get('retry-after'));
      // It says when to come again, so the request was not carried out.
      if (error.retryAfterMs === undefined || attempt === attempts) throw error;
      await wait(Math.min(error.retryAfterMs, 10_000), undefined, { signal: request.signal });
    }
  }

  async #once(doing: string, method: string, path: string, asked: Request): Promise<Response> {
    const { query = {}, body, contentType = 'application/json', signal, timeoutMs = deadlineMs, guard } = asked;
    const url = new URL(this.server + path);
    for (const [key, value] of Object.entries(query)) if (value !== undefined && value !== false) url.searchParams.set(key, String(value));
    const headers: Record<string, string> = { accept: 'application/json', ...(body !== undefined && { 'content-type': contentType }) };
    const signals = [...(signal ? [signal] : []), ...(timeoutMs > 0 ? [AbortSignal.timeout(timeoutMs)] : [])];
    try {
      await this.#authenticate(headers);
      this.requests++;
      const text = body === undefined ? undefined : JSON.stringify(body);
      const common = { method, headers, dispatcher: this.#dispatcher, signal: signals.length > 0 ? AbortSignal.any(signals) : undefined };
      const response = await (guard ? sendGuarded(url, text!, guard, common) : fetch(url, { ...common, body: text }));
      this.answers++;
      return response;
    } catch (cause) {
      signal?.throwIfAborted();
      throw unanswered(doing, cause);
    }
  }

  /** Credentials may be renewed at any request; the agent, whose connections are kept, is made once. */
  async #authenticate(headers: Record<string, string>): Promise<void> {
    const context = {
      setHeaderParam: (name: string, value: string) => {
        headers[name] = value;
      },
      setDispatcher: (dispatcher: Dispatcher) => {
        this.#dispatcher ??= dispatcher;
      },
    };
    try {
      await this.#config.applySecurityAuthentication(context as unknown as Parameters<KubeConfig['applySecurityAuthentication']>[0]);
    } catch (cause) {
      const [why] = (cause as Error).message.split('\n');
      throw new SegfleetError(
        'usage',
        `the kubeconfig cannot be used for ${this.server} (${why}); mend it, or name another context with --context`,
        { cause },
      );
    }
  }
}

interface ListOf<T> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly T[];
}

const inNamespace = ({ namespace }: Where) => (namespace === undefined ? '' : ` in namespace ${namespace}`);

function partsOf({ kind, metadata }: ObjectRef) {
  if (!(kind in kinds)) throw new SegfleetError('bug', `${kind} is not among the kinds that segfleet knows`);
  return { kind: kind as Kind, name: metadata.name, where: { namespace: metadata.namespace } };
}

function pathOf(kind: Kind, { namespace }: Where, name?: string, subresource?: string): string {
  const { apiVersion: version, plural, namespaced } = kinds[kind];
  const root = version.includes('/') ? `/apis/${version}` : `/api/${version}`;
  const scope = namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return [root + scope, plural, ...(name === undefined ? [] : [encodeURIComponent(name)]), ...(subresource ? [subresource] : [])].join('/');
}

/**
 * The body is asked for when the connection is there, and before that nothing is written: until then a request waits, in a process that is stopped for as
 * long as that takes. `fetch` would end the request with an empty body instead, and a deletion without a body is one without conditions.
 */
async function sendGuarded(
  url: URL,
  text: string,
  guard: () => void,
  options: { method: string; headers: Record<string, string>; dispatcher?: Dispatcher; signal?: AbortSignal },
): Promise<Response> {
  async function* guarded() {
    guard();
    yield Buffer.from(text);
  }
  const headers = { ...options.headers, 'content-length': String(Buffer.byteLength(text)) };
  // Its types do not say that it takes what can be iterated.
  const body = guarded() as unknown as Readable;
  const answer = await request(url, { ...options, headers, body });
  const retryAfter = answer.headers['retry-after'];
  return new Response(await answer.body.text(), {
    status: answer.statusCode,
    ...(retryAfter && { headers: { 'retry-after': String(retryAfter) } }),
  });
}

function unanswered(doing: string, cause: unknown): unknown {
  if (cause instanceof SegfleetError) return cause;
  const { message, cause: inner } = cause as Error;
  const why = inner instanceof Error ? inner.message || (inner as NodeJS.ErrnoException).code : message;
  return new ApiError(`${doing}: the API server does not answer (${why}); check the network and the context, then try again`, {
    status: 0,
    reason: 'Unanswered',
    cause,
  });
}

function statusIn(text: string): ServerStatus {
  try {
    return JSON.parse(text) as ServerStatus;
  } catch {
    return { message: text.slice(0, 1000) };
  }
}

function parse<T>(text: string, doing: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new ApiError(`${doing}: the answer is not JSON: ${text.slice(0, 100)}`, { status: 0, reason: 'Garbled', cause });
  }
}

async function* linesOf(response: Response, doing: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for await (const chunk of response.body ?? []) {
      const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
      rest = lines.pop()!;
      yield* lines;
    }
  } catch (cause) {
    throw unanswered(doing, cause);
  }
  if (rest) yield rest;
}
