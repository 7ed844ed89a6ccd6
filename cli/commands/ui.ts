import { once } from 'node:events';
import { Args, Flags } from '@oclif/core';
import { BaseCommand, stopSignal } from '../base.ts';

export default class Ui extends BaseCommand {
  static override summary = 'Watch runs and sweeps in a browser, while they go on.';
  static override description =
    `Serves a page on this machine alone, at an address with a token in it: an overview, convergence by loss, each run and each sweep live. Runs that begin later appear by themselves. Nothing is changed by it, and it needs no network.

Exit codes: 0 when it is ended by Ctrl-C or SIGTERM, 4 where there is no such folder, 7 where the port is in use.`;
  static override examples = [
    '<%= config.bin %> ui',
    '<%= config.bin %> ui runs/my-sweep --port 0',
    '<%= config.bin %> ui s3://bucket/runs',
  ];
  static override args = {
    place: Args.string({
      default: 'runs',
      description:
        'A folder that holds runs and sweeps, at any depth; or the store that coordinators keep copies in (--mirror): s3://BUCKET/PREFIX or file:FOLDER.',
    }),
  };
  static override flags = {
    port: Flags.integer({ default: 6070, min: 0, max: 65_535, description: 'Of 127.0.0.1; 0 for any that is free.' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Ui);
    const { serveUi } = await import('../../trainer/ui/serveUi.ts');
    const { uiText } = await import('../render/ui.ts');
    const signal = stopSignal();
    const ui = await serveUi({ place: args.place, port: flags.port });
    const { url, place, runs, sweeps } = ui;
    this.log(uiText(ui));
    // With --json whoever reads waits for this line, not for the end.
    if (this.jsonEnabled()) process.stdout.write(`${JSON.stringify({ url, place, runs, sweeps })}\n`);
    if (!signal.aborted) await once(signal, 'abort');
    await ui.close();
  }
}
