/**
 * In which element type convolutions compute. Master weights, batch-norm statistics, region sums and losses are float32 always.
 */
import { readFileSync } from 'node:fs';
import { SegfleetError } from '../errors.ts';
import { hasNvidiaDevice } from './library.ts';
import type { ComputeDType } from './ops.ts';

export const precisions = ['float32', 'bfloat16', 'auto'] as const;
export type Precision = (typeof precisions)[number];

/** Flags of the first processor as the kernel lists them. */
export function cpuFlags(cpuinfo = readFileSync('/proc/cpuinfo', 'utf8')): Set<string> {
  return new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1].split(/\s+/) ?? []);
}

/** True where bfloat16 products are done by hardware: an NVIDIA GPU, or a CPU with AVX512_BF16 or AMX. */
export function hasBfloat16Hardware(flags = cpuFlags(), gpu = hasNvidiaDevice()): boolean {
  return gpu || flags.has('avx512_bf16') || flags.has('amx_bf16');
}

/** Resolves `auto` once for a run; the answer is recorded with it. */
export function resolvePrecision(precision: Precision, supported = hasBfloat16Hardware()): ComputeDType {
  if (precision === 'auto') return supported ? 'bfloat16' : 'float32';
  if (precision === 'bfloat16' && !supported) {
    throw new SegfleetError(
      'usage',
      'training.precision: bfloat16 needs a CPU with AVX512_BF16 or AMX, or an NVIDIA GPU, and this machine has none; use float32, or auto',
    );
  }
  return precision;
}
