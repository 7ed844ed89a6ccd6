/**
 * The smallest image: busybox, and nothing else. Every node has it: a pod's first container is one of it, which holds the namespaces of the
 * pod and waits, and so may be those of a test.
 */
import { execFileSync } from 'node:child_process';
import { type Entries, writeImage } from '../oci.ts';

export const smallImage = 'segfleet.test/busybox:1';
/** That of the distribution's `busybox-static`, which needs no libraries. */
export const busybox = '/bin/busybox';

export async function writeSmallImage(out: string): Promise<void> {
  const entries: Record<string, Entries[string]> = { tmp: { folder: true, mode: 0o1777 } };
  // It does what the name says that it is called by.
  for (const name of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n'))
    entries[`bin/${name}`] = { link: 'busybox' };
  entries['bin/busybox'] = { file: busybox };
  const program = { entrypoint: ['/bin/sleep', '1000000'], env: { PATH: '/bin' } };
  await writeImage({ out, ref: smallImage, layers: [{ what: 'busybox', entries }], ...program });
}
