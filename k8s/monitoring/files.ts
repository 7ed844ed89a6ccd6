/**
 * What of the chart is made here.
 */
import { rulesFile } from './alerts.ts';
import { convergence } from './convergence.ts';
import type { Dashboard } from './dashboard.ts';
import { fleet } from './fleet.ts';
import { grafanaDashboard } from './grafana.ts';
import { operations } from './operations.ts';

export const dashboards: readonly Dashboard[] = [convergence, operations, fleet];

const folder = 'charts/segfleet/files';

/** Of a dashboard, as Grafana imports it. */
export const fileOf = ({ name }: Dashboard): string => `${folder}/dashboards/${name}.json`;
export const alertsFile = `${folder}/alerts.yaml`;

/** Files are named from the root of the repository. */
export const monitoringFiles = (): { file: string; contents: string }[] => [
  ...dashboards.map(dashboard => ({ file: fileOf(dashboard), contents: `${JSON.stringify(grafanaDashboard(dashboard), null, 1)}\n` })),
  { file: alertsFile, contents: `# Written by \`npm run generate\`: what is changed here is lost.\n${rulesFile()}` },
];
