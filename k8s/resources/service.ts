/**
 * The name of the coordinator, wherever its pod is: headless, so it stands for the pod's own address.
 */
import { childNames, ports } from '../names.ts';
import type { AnyObject } from '../objects.ts';
import { metaOf, type Recipe, selectorOf } from './owner.ts';

export const service = ({ owner }: Recipe): AnyObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: metaOf(owner, childNames(owner.metadata.name).service, 'coordinator'),
  spec: {
    clusterIP: 'None',
    selector: selectorOf(owner, 'coordinator'),
    // Workers look for it while it starts, and what a name server does not know yet it goes on not knowing for a while.
    publishNotReadyAddresses: true,
    ports: [
      { name: 'control', port: ports.control, targetPort: 'control' },
      { name: 'progress', port: ports.progress, targetPort: 'progress' },
    ],
  },
});
