/**
 * What a run's bits and its speed depend on besides the job: versions, processor, GPU. Recorded with every run and shown by `doctor`.
 */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { hasNvidiaDevice } from './engine/library.ts';
import { cpuFlags } from './engine/precision.ts';

const packageFile = JSON.parse(
  readFileSync(new URL(import.meta.url.endsWith('.js') ? '../../package.json' : '../package.json', import.meta.url), 'utf8'),
);
export const version: string = packageFile.version;

export interface Machine {
  readonly cpu: string;
  readonly processors: number;
  /** The vector instructions that decide which kernels run. */
  readonly instructions: readonly string[];
  readonly nvidiaDevice: boolean;
}

const decisive = ['avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16'];

export function describeMachine(): Machine {
  const flags = cpuFlags();
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    processors: cpus().length,
    instructions: decisive.filter(flag => flags.has(flag)),
    nvidiaDevice: hasNvidiaDevice(),
  };
}

export const versions = (tensorflow: string) => ({ segfleet: version, node: process.versions.node, tensorflow });
