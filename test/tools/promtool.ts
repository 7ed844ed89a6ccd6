/**
 * `promtool test rules`: what rules make of series over time.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { prometheus } from './tools.ts';

export interface RuleCase {
  readonly name: string;
  /** As promtool writes them: the series, and its values from 0 on, one a minute. */
  readonly series: readonly { readonly series: string; readonly values: string }[];
  readonly alert: string;
  readonly at: string;
  /** None: it is silent. */
  readonly fires: readonly { readonly labels: Readonly<Record<string, string>>; readonly annotations: Readonly<Record<string, string>> }[];
}

/** What is not as the cases say, nothing where all is. @param folder for the file that promtool reads */
export function wrongCases(rules: string, cases: readonly RuleCase[], folder: string): string {
  const file = join(folder, 'cases.yaml');
  const tests = cases.map(({ name, series, alert, at, fires }) => ({
    name,
    interval: '1m',
    input_series: series,
    alert_rule_test: [
      {
        alertname: alert,
        eval_time: at,
        exp_alerts: fires.map(({ labels, annotations }) => ({ exp_labels: labels, exp_annotations: annotations })),
      },
    ],
  }));
  writeFileSync(file, stringify({ rule_files: [rules], evaluation_interval: '1m', tests }, { lineWidth: 0 }));
  const { status, stdout, stderr } = spawnSync(prometheus('promtool'), ['test', 'rules', file], { encoding: 'utf8' });
  return status === 0 ? '' : `exit code ${status}\n${stdout}${stderr}`;
}
