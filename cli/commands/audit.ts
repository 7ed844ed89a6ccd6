import { Args, Flags } from '@oclif/core';
import { SegfleetError } from '../../trainer/errors.ts';
import { BaseCommand } from '../base.ts';

export default class Audit extends BaseCommand {
  static override summary = "Check whether tables of results can be true: the paper's own, or any CSV files.";
  static override description =
    `Without files it audits the paper's Tables 1 to 4 (examples/paper/reference) and what its text says of them.

A file has a column a metric, perhaps with the data set before it and sd behind it ("ISIC 2018 recall", "jaccard sd"), or the columns metric, value and sd. Known are jaccard (iou), dice (f1, f-measure), precision, recall (sensitivity), specificity, accuracy and auc; in percent or shares of 1; "81.43", "81.43 %" or "81.43 ± 0.31". The columns runs, aggregation (pooled or perImage), baseline and baseline method are taken for what they say; others tell rows apart. Lines that begin with # are comments.

A number stands for all that are rounded to it. Violations (exit code 12) cannot be as they are printed; remarks have to be known to read the numbers rightly.`;
  static override examples = [
    '<%= config.bin %> audit',
    '<%= config.bin %> audit results.csv other.csv --aggregation pooled',
    '<%= config.bin %> audit results.csv --foreground isic2018=0.214 --json',
  ];
  static override strict = false;
  static override args = { files: Args.string({ description: "CSV files of results. [default: the paper's tables]" }) };
  static override flags = {
    unit: Flags.option({
      options: ['percent', 'fraction'] as const,
      description: 'Of the scores. [default: percent where most are above 1]',
    })(),
    aggregation: Flags.option({
      options: ['pooled', 'perImage'] as const,
      description: 'How scores were averaged, in tables that do not say it: then equalities of pooled counts are held too.',
    })(),
    foreground: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      helpValue: 'NAME=SHARE',
      description: 'Share of foreground pixels of a data set, by which specificity is checked; "" for a table without data sets.',
    }),
  };

  async run() {
    const { argv, flags } = await this.parse(Audit);
    const { auditFiles, auditPaper } = await import('../../trainer/report/audit/audit.ts');
    const { auditLines } = await import('../render/audit.ts');
    const files = argv as string[];
    const { unit, aggregation } = flags;
    if (files.length === 0 && (unit ?? aggregation ?? flags.foreground) !== undefined) {
      throw new SegfleetError(
        'usage',
        "--unit, --aggregation and --foreground are of files; name some, or leave these out to audit the paper's tables",
      );
    }
    const foreground = new Map((flags.foreground ?? []).map(splitShare));
    const audit = files.length === 0 ? auditPaper() : auditFiles(files, { unit, aggregation, foreground });
    for (const line of auditLines(audit)) this.log(line);
    if (audit.violations > 0) {
      const where = files.length === 0 ? "the paper's tables and text" : files.join(', ');
      throw new SegfleetError('checkFailed', `${where}: ${audit.violations} violations, ${audit.remarks} remarks`, {
        details: { ...audit },
      });
    }
    return audit;
  }
}

function splitShare(pair: string): [string, number] {
  const equals = pair.lastIndexOf('=');
  const share = Number(pair.slice(equals + 1));
  if (equals < 0 || !(share > 0 && share < 1)) {
    throw new SegfleetError(
      'usage',
      `--foreground ${pair}: name=share is expected, the share between 0 and 1, for example --foreground isic2018=0.214`,
    );
  }
  return [pair.slice(0, equals), share];
}
