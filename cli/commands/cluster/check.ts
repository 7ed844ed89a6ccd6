import { Flags } from '@oclif/core';
import { SegfleetError } from '../../../trainer/errors.ts';
import { BaseCommand } from '../../base.ts';
import { clusterFlags, openCluster } from '../../cluster.ts';

export default class ClusterCheck extends BaseCommand {
  static override summary = 'Check whether a namespace of a cluster can train: kinds, operator, permissions, quota, GPUs, storage.';
  static override description =
    'Each line is ok, a warning or missing, and says how to mend it. Exit code 12 where something is missing. What you have no right to see is a warning.';
  static override examples = ['<%= config.bin %> cluster check', '<%= config.bin %> cluster check --namespace team-a --json'];
  static override flags = {
    ...clusterFlags,
    'library-claim': Flags.string({
      helpValue: 'NAME',
      description: "The operator's claim with the TensorFlow library, if you may not see its Deployment.",
    }),
    'store-secret': Flags.string({ helpValue: 'NAME', description: "The operator's Secret for the store, likewise." }),
  };

  async run() {
    const { flags } = await this.parse(ClusterCheck);
    const { api, namespace } = await openCluster(flags);
    const { checkCluster } = await import('../../../k8s/check.ts');
    const { findingLines } = await import('../../render/checks.ts');
    const checks = await checkCluster(api, { namespace, libraryClaim: flags['library-claim'], storeSecret: flags['store-secret'] });
    for (const line of findingLines(checks)) this.log(line);
    const missing = checks.filter(({ state }) => state === 'missing');
    if (missing.length > 0) {
      const names = [...new Set(missing.map(({ name }) => name))].join(', ');
      throw new SegfleetError('checkFailed', `${missing.length} of ${checks.length} checks found something missing: ${names}`, {
        details: { namespace, checks },
      });
    }
    return { namespace, checks };
  }
}
