/**
 * What is said to an MLflow tracking server, over its REST API.
 */
import { SegfleetError } from '../errors.ts';
import { hasCredentials, httpUrl } from './httpUrl.ts';

const api = '/api/2.0/mlflow';

export interface MlflowSettings {
  /** Without a slash at the end. */
  readonly url: string;
  readonly experiment: string;
  readonly authorization?: string;
}

/**
 * @param flag `--mlflow`, where it is given
 * @param experiment where `MLFLOW_EXPERIMENT_NAME` names none
 * @param env with the names that MLflow's own clients read
 * @returns undefined where nobody has asked for it
 * @throws usage
 */
export function readMlflowSettings(
  flag: string | undefined,
  experiment: string,
  env: NodeJS.ProcessEnv = process.env,
): MlflowSettings | undefined {
  const given = flag ?? env.MLFLOW_TRACKING_URI;
  if (!given) return undefined;
  const from = flag === undefined ? 'MLFLOW_TRACKING_URI' : '--mlflow';
  const url = httpUrl(given);
  if (!url) {
    const instead = flag === undefined ? 'unset it, or give --mlflow' : 'give that of a tracking server';
    throw new SegfleetError('usage', `${from} ${given}: an address such as http://127.0.0.1:5000 is expected; ${instead}`);
  }
  if (hasCredentials(url)) {
    throw new SegfleetError(
      'usage',
      `${from}: the address holds a name or a password, which others can read; put them into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD`,
    );
  }
  const authorization = authorizationOf(env);
  return {
    url: `${url.origin}${url.pathname.replace(/\/+$/, '')}`,
    experiment: env.MLFLOW_EXPERIMENT_NAME || experiment,
    ...(authorization && { authorization }),
  };
}

function authorizationOf({ MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD = '' }: NodeJS.ProcessEnv) {
  if (MLFLOW_TRACKING_USERNAME) {
    return `Basic ${Buffer.from(`${MLFLOW_TRACKING_USERNAME}:${MLFLOW_TRACKING_PASSWORD}`).toString('base64')}`;
  }
  return MLFLOW_TRACKING_TOKEN ? `Bearer ${MLFLOW_TRACKING_TOKEN}` : undefined;
}

/** The server gave no answer, or one that it may take back. */
export class MlflowAway extends Error {}

/** The server has refused, and would again. */
export class MlflowRefusal extends Error {
  /** MLflow's own, such as RESOURCE_DOES_NOT_EXIST. */
  readonly code: string | undefined;
  readonly status: number;

  constructor(sentence: string, status: number, code?: string) {
    super(sentence);
    this.status = status;
    this.code = code;
  }
}

export interface Metric {
  readonly key: string;
  readonly value: number;
  /** Milliseconds. */
  readonly timestamp: number;
  readonly step: number;
}

export interface Pair {
  readonly key: string;
  readonly value: string;
}

export type MlflowStatus = 'RUNNING' | 'SCHEDULED' | 'FINISHED' | 'FAILED' | 'KILLED';

export interface MlflowRunInfo {
  readonly info: {
    readonly run_id: string;
    readonly experiment_id: string;
    readonly status: MlflowStatus;
    readonly artifact_uri?: string;
  };
  readonly data: {
    /** Of each key the value of the highest step. */
    readonly metrics?: readonly Metric[];
    readonly params?: readonly Pair[];
    readonly tags?: readonly Pair[];
  };
}

const timeoutMs = 10_000;

export class MlflowApi {
  readonly #settings: MlflowSettings;

  constructor(settings: MlflowSettings) {
    this.#settings = settings;
  }

  /** @param has what every answer holds */
  async get<T>(path: string, query: Readonly<Record<string, string>>, has: keyof T & string, signal?: AbortSignal): Promise<T> {
    return (await this.#send(`${api}/${path}?${new URLSearchParams(query)}`, { method: 'GET' }, signal, has)) as T;
  }

  async post<T>(path: string, body: unknown, has?: keyof T & string, signal?: AbortSignal): Promise<T> {
    const headers = { 'Content-Type': 'application/json' };
    return (await this.#send(`${api}/${path}`, { method: 'POST', headers, body: JSON.stringify(body) }, signal, has)) as T;
  }

  /** Into the store that the server keeps itself. @param path within it */
  async putArtifact(path: string, body: Uint8Array, signal?: AbortSignal): Promise<void> {
    const segments = path.split('/').map(encodeURIComponent).join('/');
    await this.#send(
      `/api/2.0/mlflow-artifacts/artifacts/${segments}`,
      { method: 'PUT', body: body as Uint8Array<ArrayBuffer>, headers: { 'Content-Type': 'application/octet-stream' } },
      signal,
    );
  }

  /** @throws MlflowAway, MlflowRefusal */
  async #send(
    path: string,
    request: RequestInit & { headers?: Record<string, string> },
    signal?: AbortSignal,
    has?: string,
  ): Promise<unknown> {
    const { url, authorization } = this.#settings;
    const until = AbortSignal.timeout(timeoutMs);
    let status: number;
    let text: string;
    try {
      const answer = await fetch(`${url}${path}`, {
        ...request,
        headers: { ...request.headers, ...(authorization && { Authorization: authorization }) },
        signal: signal ? AbortSignal.any([signal, until]) : until,
      });
      status = answer.status;
      text = await answer.text();
    } catch (error) {
      throw new MlflowAway(`does not answer (${reasonOf(error)})`, { cause: error });
    }
    if (status >= 500 || status === 429 || status === 408) throw new MlflowAway(`answers ${status}`);
    const said = parsed(text);
    if (status >= 200 && status < 300 && said && (has === undefined || said[has] !== undefined)) return said;
    const { error_code: code, message } = said ?? {};
    if (typeof code === 'string') throw new MlflowRefusal(`refuses: ${String(message).split('\n')[0]}`, status, code);
    if (status === 401 || status === 403) {
      throw new MlflowRefusal(
        `refuses the credentials (${status}); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN`,
        status,
      );
    }
    throw new MlflowRefusal(`is no MLflow server (it answers ${status} to ${path.split('?')[0]})`, status);
  }
}

/** An object; undefined where it is none. */
function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text || '{}');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  const { name, cause, message } = error as Error;
  if (name === 'TimeoutError' || name === 'AbortError') return 'no answer in time';
  const { code, message: why } = (cause ?? {}) as Partial<NodeJS.ErrnoException>;
  return code ?? why ?? message;
}
