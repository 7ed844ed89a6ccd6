import { BaseCommand } from '../base.ts';

export default class Losses extends BaseCommand {
  static override summary = 'List the loss functions with their formulas.';
  static override examples = ['<%= config.bin %> losses', '<%= config.bin %> losses explain adaptiveLog'];

  async run() {
    await this.parse(Losses);
    const { defaultLoss, losses } = await import('../../trainer/losses/catalogue.ts');
    const list = Object.entries(losses).map(([name, { summary, formula, source }]) => ({
      name,
      summary,
      formula,
      source,
      defaults: defaultLoss(name as Parameters<typeof defaultLoss>[0]),
    }));
    for (const { name, summary, formula, source, defaults } of list) {
      const { name: _, ...fields } = defaults;
      this.log(`${name}: ${summary}`);
      this.log(`  ${formula}`);
      this.log(`  ${source}; defaults ${JSON.stringify(fields)}\n`);
    }
    this.log('p: probability, t: target, TP = sum p t, FP = sum p (1-t), FN = sum (1-p) t. More: losses explain NAME, losses value NAME');
    return list;
  }
}
