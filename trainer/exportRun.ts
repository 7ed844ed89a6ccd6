/**
 * `segfleet export`: a run's weights in the formats of others.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SegfleetError } from './errors.ts';
import { evaluationOf, readCases } from './evaluateRun.ts';
import { describeModel } from './export/description.ts';
import { recordNetwork } from './export/record.ts';
import { createNetwork } from './models/catalogue.ts';
import { readRun } from './openRun.ts';
import { writeAtomically } from './storage/files.ts';
import type { Selection } from './storage/runFolder.ts';
import { encodeSafetensors } from './storage/safetensors.ts';

/** What each writes: one file, or a folder of them. */
const fileNames = { safetensors: 'model.safetensors', onnx: 'model.onnx', tfjs: undefined, card: 'README.md' } as const;

export type ExportFormat = keyof typeof fileNames;
export const exportFormats = Object.keys(fileNames) as ExportFormat[];

export interface ExportOptions {
  readonly format: ExportFormat;
  readonly select: Selection;
  /** A file, or a folder for it; with tfjs, the folder for the files. Left out: below `export/` in the run folder. */
  readonly out?: string;
}

export interface ExportedModel {
  readonly run: string;
  readonly format: ExportFormat;
  readonly select: Selection;
  readonly files: readonly string[];
  /** What goes in and what comes out. */
  readonly input: string;
  readonly output: string;
}

export async function exportRun(path: string, { format, select, out }: ExportOptions): Promise<ExportedModel> {
  const run = await readRun(path, select);
  const { job, weights, folder } = run;
  const description = describeModel(run, select);
  const record = () =>
    recordNetwork({
      network: createNetwork(job.spec.model, description.classes),
      image: description.image,
      exclusive: description.exclusive,
    });
  const files: string[] = [];
  const write = async (file: string, contents: Uint8Array | string) => {
    await writeAtomically(file, contents);
    files.push(file);
  };

  const target = await targetOf(out ?? join(folder.path, 'export', fileNames[format] ?? format), format);
  switch (format) {
    case 'safetensors':
      await write(target, encodeSafetensors(weights, description.metadata));
      break;
    case 'onnx': {
      const { encodeOnnx } = await import('./export/onnx.ts');
      await write(target, encodeOnnx(record(), weights, description));
      break;
    }
    case 'tfjs': {
      const { encodeLayersModel } = await import('./export/tfjs.ts');
      const model = await encodeLayersModel(record(), weights, description);
      // The file that names the other comes last.
      for (const name of ['weights.bin', 'model.json'] as const) await write(join(target, name), model[name]);
      break;
    }
    case 'card': {
      const { renderCard } = await import('./export/card.ts');
      const evaluation = await evaluationOf(path, run, select);
      await write(target, renderCard({ run, evaluation, cases: await readCases(folder, select), description }));
      break;
    }
    default:
      format satisfies never;
  }
  return { run: path, format, select, files, input: description.input, output: description.output };
}

async function targetOf(out: string, format: ExportFormat): Promise<string> {
  const found = await stat(out).catch(() => undefined);
  const name = fileNames[format];
  if (name) return found?.isDirectory() ? join(out, name) : out;
  if (found && !found.isDirectory()) {
    throw new SegfleetError('usage', `${out} is a file, and ${format} writes a folder; name another with --out`);
  }
  return out;
}
