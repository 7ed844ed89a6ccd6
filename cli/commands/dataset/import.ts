import { Args, Flags } from '@oclif/core';
import type { Format } from '../../../trainer/data/importers/catalogue.ts';
import { BaseCommand, program } from '../../base.ts';

const formats: Format[] = ['isic2018', 'dsb2018', 'drive', 'chasedb1', 'nnunet', 'folder'];

export default class DatasetImport extends BaseCommand {
  static override summary = 'Bring an official data set (its archives or folders) into the layout that training reads.';
  static override description =
    `Sources are folders, .zip, .tar and .tar.gz archives, and .csv tables of run lengths; give all archives of a set together. Archives are not unpacked. Nothing is downloaded.

Writes images/ (original bytes), masks/, fov/ where there are fields of view, manifest.csv and import.json. Cases that cannot be taken are all named, and nothing is written then (exit code 3).`;
  static override examples = [
    '<%= config.bin %> dataset import ISIC2018_Task1-2_Training_Input.zip ISIC2018_Task1_Training_GroundTruth.zip --out data/isic2018',
    '<%= config.bin %> dataset import stage1_train.zip stage1_test.zip stage1_solution.csv --out data/dsb2018',
    '<%= config.bin %> dataset import training.zip test.zip --format drive --out data/drive',
  ];
  static override strict = false;
  static override args = { sources: Args.string({ required: true, description: 'Archives, folders and tables.' }) };
  static override flags = {
    format: Flags.option({ options: formats, description: 'The layout. [default: found by the names of the files]' })(),
    out: Flags.string({ required: true, description: 'The folder to write; it must be new or empty.' }),
  };

  async run() {
    const { argv, flags } = await this.parse(DatasetImport);
    const { importDataSet } = await import('../../../trainer/data/import.ts');
    const record = await importDataSet(argv as string[], flags);
    const parts = Object.entries(record.parts).map(([part, count]) => `${count} ${part}`);
    this.log(`${record.title}: ${record.cases} cases${parts.length > 0 ? ` (${parts.join(', ')})` : ''} in ${flags.out}`);
    this.log(`licence: ${record.licence}`);
    for (const note of record.notes) this.log(`note: ${note}`);
    this.log(`next:\n  ${program} dataset verify ${flags.out}\n  ${program} init job.yaml --data ${flags.out}`);
    return { out: flags.out, ...record };
  }
}
