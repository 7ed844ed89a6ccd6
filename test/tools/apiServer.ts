/**
 * An API server that knows our kinds, for all tests of a `describe`.
 */
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { type Api, connect } from '../../k8s/api.ts';
import type { ControlPlane } from './controlPlane.ts';
import { startWithKinds } from './crds.ts';

export interface ApiServer {
  readonly controlPlane: ControlPlane;
  readonly api: Api;
}

/** Started before the tests, and gone after them. @param given called with it once it runs */
export function onApiServer(given: (server: ApiServer) => void): void {
  let server: ApiServer | undefined;
  let controlPlane: ControlPlane | undefined;
  beforeAll(async () => {
    controlPlane = await startWithKinds();
    server = { controlPlane, api: await connect({ kubeconfig: controlPlane.kubeconfig }) };
    given(server);
  });
  afterAll(async () => {
    await server?.api.close();
    await controlPlane?.[Symbol.asyncDispose]();
  });
}

/** Each test has a namespace of its own. @param given called with its name before the test */
export function eachInNamespace(api: () => Api, given: (namespace: string) => void): void {
  let namespaces = 0;
  beforeEach(async () => {
    const name = `team-${++namespaces}`;
    await api().create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    given(name);
  });
}
