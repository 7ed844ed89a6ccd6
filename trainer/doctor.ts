/**
 * `segfleet doctor`: whether this machine can train, and what a run here would use. Every check that fails says how to mend it.
 */
import { statfs } from 'node:fs/promises';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { cacheFolder, libraryFiles, pinned, verifyFile } from './engine/library.ts';
import { loadTensorFlow } from './engine/native.ts';
import { hasBfloat16Hardware } from './engine/precision.ts';
import { SegfleetError } from './errors.ts';
import { describeMachine, version } from './machine.ts';

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What was found; where `ok` is false, what to do about it. */
  readonly found: string;
}

export async function runDoctor(): Promise<Check[]> {
  const machine = describeMachine();
  return [
    { name: 'segfleet', ok: true, found: version },
    nodeCheck(),
    await libraryCheck(),
    await stepCheck(),
    {
      name: 'processor',
      ok: machine.instructions.includes('avx2'),
      found: machine.instructions.includes('avx2')
        ? `${machine.cpu}, ${availableParallelism()} threads, ${machine.instructions.join(' ')}`
        : `${machine.cpu} has no AVX2, which the TensorFlow library needs; use another machine`,
    },
    {
      name: 'GPU',
      ok: true,
      found: machine.nvidiaDevice
        ? "an NVIDIA device is visible; Python's tensorflow with its nvidia wheels is taken where installed"
        : 'none: training runs on the processor',
    },
    {
      name: 'precision',
      ok: true,
      found: hasBfloat16Hardware() ? 'float32, bfloat16 (auto takes bfloat16)' : 'float32 (no bfloat16 hardware: auto takes float32)',
    },
    { name: 'memory', ok: totalmem() > 2e9, found: `${gigabytes(freemem())} free of ${gigabytes(totalmem())}` },
    await diskCheck('disk here', process.cwd()),
    await diskCheck('disk of the cache', cacheFolder()),
  ];
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;

function nodeCheck(): Check {
  const [major] = process.versions.node.split('.').map(Number);
  return { name: 'Node', ok: major >= 24, found: major >= 24 ? process.versions.node : `${process.versions.node}; 24 or later is needed` };
}

async function libraryCheck(): Promise<Check> {
  return attempt('TensorFlow', async () => {
    const { library, version } = loadTensorFlow();
    if (library.source !== 'cache') return `${version}, from ${library.source} (${library.folder})`;
    for (const name of libraryFiles) await verifyFile(`${library.folder}/${name}`, pinned.files[name].sha256);
    return `${version}, from the cache (${library.folder}), checksums match`;
  });
}

/** A convolution forward and backward: the library computes here, not only loads. */
async function stepCheck(): Promise<Check> {
  return attempt('a training step', async () => {
    const { Program } = await import('./program.ts');
    const { createNetwork, modelSchema } = await import('./models/catalogue.ts');
    const { defaultLoss } = await import('./losses/catalogue.ts');
    const { optimizerSchema } = await import('./engine/optimizer.ts');
    const image = { height: 16, width: 16, channels: 1 };
    const program = await Program.create({
      network: createNetwork(modelSchema.parse({ name: 'unet', width: 16 }), 1),
      image,
      classes: 1,
      exclusive: false,
      loss: defaultLoss('adaptiveLog'),
      optimizer: optimizerSchema.parse({ name: 'adam' }),
      dtype: 'float32',
      threads: availableParallelism(),
      seed: 1,
    });
    try {
      const batch = { count: 2, images: new Uint8Array(2 * 256).fill(128), labels: new Uint8Array(2 * 256).fill(1) };
      const { loss } = await program.step(batch, { step: 1, learningRate: 1e-4 });
      if (!Number.isFinite(loss)) throw new SegfleetError('bug', `the loss of a trivial step is ${loss}`);
      const devices = program.devices().map(({ type }) => type);
      return `ran on ${[...new Set(devices)].join(', ')}`;
    } finally {
      await program.close();
    }
  });
}

async function diskCheck(name: string, folder: string): Promise<Check> {
  try {
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    return { name, ok: free > 1e9, found: `${gigabytes(free)} free${free > 1e9 ? '' : '; a run needs about 1 GB, free some'} (${folder})` };
  } catch {
    return { name, ok: true, found: `${folder} is not there yet` };
  }
}

async function attempt(name: string, check: () => Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, found: await check() };
  } catch (error) {
    return { name, ok: false, found: (error as Error).message };
  }
}
