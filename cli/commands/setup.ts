import { BaseCommand } from '../base.ts';

export default class Setup extends BaseCommand {
  static override summary = 'Fetch the TensorFlow library (274 MB, once) into the cache.';
  static override description =
    'The library is taken from the Python wheel by pip, checked against a pinned SHA-256, and kept in ~/.cache/segfleet (or SEGFLEET_CACHE). Run it again after an interruption; a complete library is left as it is.';

  async run(): Promise<{ folder: string }> {
    await this.parse(Setup);
    const { fetchLibrary, findLibrary } = await import('../../trainer/engine/library.ts');
    if (process.env.SEGFLEET_TENSORFLOW !== undefined) {
      const { folder } = findLibrary();
      this.log(`SEGFLEET_TENSORFLOW names the library in ${folder}`);
      return { folder };
    }
    const folder = await fetchLibrary(line => this.logToStderr(line));
    this.log(`TensorFlow is ready in ${folder}`);
    return { folder };
  }
}
