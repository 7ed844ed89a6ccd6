/**
 * The part of TensorFlow's C API that we use, called through koffi. One declaration a function, in C's own words.
 * The library is loaded once a process and never unloaded.
 */
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import koffi, { type LibraryHandle, type TypeObject } from 'koffi';
import { SegfleetError } from '../errors.ts';
import { findLibrary, hasNvidiaDevice, type Library, libraryFiles } from './library.ts';

export type Pointer = bigint;

/** One output of an operation: an edge of the graph. */
export interface NativeOutput {
  readonly oper: Pointer;
  readonly index: number;
}

type Api = ReturnType<typeof declare>;

export interface TensorFlow {
  readonly api: Api;
  readonly library: Library;
  readonly version: string;
}

let loaded: TensorFlow | undefined;

/**
 * Begins to load the library on another thread (a third of a second); whoever calls `loadTensorFlow` meanwhile waits for it.
 * Any error is left to that call.
 */
export async function preloadTensorFlow(): Promise<void> {
  try {
    prepare();
    const { folder } = findLibrary();
    openCusolver(folder);
    const [framework, main] = libraryFiles.map(name => join(folder, name));
    quietly(() => dlopen(framework, keepMapped));
    await new Promise(resolve => dlopen.async(main, keepMapped, resolve));
  } catch {}
}

/** @throws the errors of `findLibrary`, and `usage` where the file cannot be loaded here. */
export function loadTensorFlow(): TensorFlow {
  loaded ??= load(findLibrary());
  return loaded;
}

function load(library: Library): TensorFlow {
  prepare();
  try {
    openCusolver(library.folder);
    const [framework, main] = libraryFiles.map(name => join(library.folder, name));
    quietly(() => dlopen(framework, keepMapped));
    dlopen(main, keepMapped);
    koffi.load(framework);
    const api = declare(koffi.load(main));
    return { api, library, version: api.version() };
  } catch (cause) {
    throw new SegfleetError(
      'usage',
      `the TensorFlow library in ${library.folder} cannot be loaded (${cause instanceof Error ? cause.message : cause}); ` +
        'run `npm run setup` to fetch the right one, or set SEGFLEET_TENSORFLOW',
      { cause },
    );
  }
}

/**
 * koffi unloads its libraries when the process ends, while TensorFlow's threads still run: a segmentation fault at exit.
 * Opened with RTLD_NOW | RTLD_NODELETE first they stay mapped to the very end.
 */
const keepMapped = 0x2 | 0x1000;
const dlopen = koffi.load('libc.so.6').func('void *dlopen(const char *file, int flags)');

/**
 * TensorFlow takes a GPU only where it can open seven libraries of CUDA, and looks for six of them where their wheels put them, but not for
 * cuSOLVER (2.21). What is open already it finds by name.
 */
function openCusolver(folder: string): void {
  const file = join(folder, '..', 'nvidia', 'cusolver', 'lib', 'libcusolver.so.11');
  if (hasNvidiaDevice() && existsSync(file)) dlopen(file, keepMapped);
}

/** What the library and the allocator read when they start. */
function prepare(): void {
  // oneDNN is on by default only where AVX-512 is; on AVX2 it makes a step 1.6 times as fast.
  process.env.TF_ENABLE_ONEDNN_OPTS ??= '1';
  // Same kernels, same order of summation on every run (GPU; CPU kernels are deterministic already).
  process.env.TF_DETERMINISTIC_OPS ??= '1';
  process.env.TF_CUDNN_USE_AUTOTUNE ??= '0';
  process.env.NVIDIA_TF32_OVERRIDE ??= '0';
  tuneAllocator();
}

/** With glibc's default of many arenas the resident set creeps by 0.2 MB a step (freed blocks are scattered); one arena keeps it flat. */
function tuneAllocator(): void {
  const M_ARENA_MAX = -8;
  koffi.load('libc.so.6').func('int mallopt(int parameter, int value)')(M_ARENA_MAX, 1);
}

/**
 * TensorFlow's notes on standard error would tear the progress display; its own variable brings them back. One of them (that oneDNN
 * is on) is written while the library loads and heeds no setting, so standard error is away for that moment.
 */
function quietly(load: () => void): void {
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
  if (process.env.TF_CPP_MIN_LOG_LEVEL === '0') return load();
  const libc = koffi.load('libc.so.6');
  const dup = libc.func('int dup(int descriptor)');
  const dup2 = libc.func('int dup2(int from, int to)');
  const stderr = 2;
  const kept = dup(stderr);
  const nowhere = openSync('/dev/null', 'w');
  dup2(nowhere, stderr);
  try {
    load();
  } finally {
    dup2(kept, stderr);
    closeSync(kept);
    closeSync(nowhere);
  }
}

// biome-ignore format: one function a line, as in the C header
function declare(library: LibraryHandle) {
  const output = koffi.struct({ oper: 'void *', index: 'int' });
  const outputs = koffi.pointer(output);
  const bind = <F extends (...args: never[]) => unknown>(name: string, result: string, parameters: (string | TypeObject | ReturnType<typeof koffi.out>)[]) =>
    library.func(`TF_${name}`, result, parameters) as unknown as F & { async(...args: [...Parameters<F>, (error: unknown, result: ReturnType<F>) => void]): void };
  const p = 'void *';
  return {
    version: bind<() => string>('Version', 'str', []),
    newStatus: bind<() => Pointer>('NewStatus', p, []),
    deleteStatus: bind<(status: Pointer) => void>('DeleteStatus', 'void', [p]),
    statusCode: bind<(status: Pointer) => number>('GetCode', 'int', [p]),
    statusMessage: bind<(status: Pointer) => string>('Message', 'str', [p]),

    newGraph: bind<() => Pointer>('NewGraph', p, []),
    deleteGraph: bind<(graph: Pointer) => void>('DeleteGraph', 'void', [p]),
    newOperation: bind<(graph: Pointer, type: string, name: string) => Pointer>('NewOperation', p, [p, 'str', 'str']),
    addInput: bind<(description: Pointer, input: NativeOutput) => void>('AddInput', 'void', [p, output]),
    addInputList: bind<(description: Pointer, inputs: readonly NativeOutput[], length: number) => void>('AddInputList', 'void', [p, outputs, 'int']),
    addControlInput: bind<(description: Pointer, operation: Pointer) => void>('AddControlInput', 'void', [p, p]),
    setDevice: bind<(description: Pointer, device: string) => void>('SetDevice', 'void', [p, 'str']),
    setAttrString: bind<(description: Pointer, name: string, value: Uint8Array, length: number) => void>('SetAttrString', 'void', [p, 'str', 'uint8_t *', 'size_t']),
    setAttrInt: bind<(description: Pointer, name: string, value: number) => void>('SetAttrInt', 'void', [p, 'str', 'int64_t']),
    setAttrIntList: bind<(description: Pointer, name: string, values: BigInt64Array, length: number) => void>('SetAttrIntList', 'void', [p, 'str', 'int64_t *', 'int']),
    setAttrFloat: bind<(description: Pointer, name: string, value: number) => void>('SetAttrFloat', 'void', [p, 'str', 'float']),
    setAttrFloatList: bind<(description: Pointer, name: string, values: Float32Array, length: number) => void>('SetAttrFloatList', 'void', [p, 'str', 'float *', 'int']),
    setAttrBool: bind<(description: Pointer, name: string, value: number) => void>('SetAttrBool', 'void', [p, 'str', 'uint8_t']),
    setAttrType: bind<(description: Pointer, name: string, value: number) => void>('SetAttrType', 'void', [p, 'str', 'int']),
    setAttrTypeList: bind<(description: Pointer, name: string, values: Int32Array, length: number) => void>('SetAttrTypeList', 'void', [p, 'str', 'int *', 'int']),
    setAttrShape: bind<(description: Pointer, name: string, dimensions: BigInt64Array | null, length: number) => void>('SetAttrShape', 'void', [p, 'str', 'int64_t *', 'int']),
    setAttrTensor: bind<(description: Pointer, name: string, tensor: Pointer, status: Pointer) => void>('SetAttrTensor', 'void', [p, 'str', p, p]),
    finishOperation: bind<(description: Pointer, status: Pointer) => Pointer>('FinishOperation', p, [p, p]),
    outputType: bind<(output: NativeOutput) => number>('OperationOutputType', 'int', [output]),
    outputRank: bind<(graph: Pointer, output: NativeOutput, status: Pointer) => number>('GraphGetTensorNumDims', 'int', [p, output, p]),
    outputShape: bind<(graph: Pointer, output: NativeOutput, dimensions: BigInt64Array, length: number, status: Pointer) => void>('GraphGetTensorShape', 'void', [p, output, koffi.out('int64_t *'), 'int', p]),

    newSessionOptions: bind<() => Pointer>('NewSessionOptions', p, []),
    deleteSessionOptions: bind<(options: Pointer) => void>('DeleteSessionOptions', 'void', [p]),
    setConfig: bind<(options: Pointer, proto: Uint8Array, length: number, status: Pointer) => void>('SetConfig', 'void', [p, 'uint8_t *', 'size_t', p]),
    newSession: bind<(graph: Pointer, options: Pointer, status: Pointer) => Pointer>('NewSession', p, [p, p, p]),
    closeSession: bind<(session: Pointer, status: Pointer) => void>('CloseSession', 'void', [p, p]),
    deleteSession: bind<(session: Pointer, status: Pointer) => void>('DeleteSession', 'void', [p, p]),
    listDevices: bind<(session: Pointer, status: Pointer) => Pointer>('SessionListDevices', p, [p, p]),
    deviceCount: bind<(list: Pointer) => number>('DeviceListCount', 'int', [p]),
    deviceName: bind<(list: Pointer, index: number, status: Pointer) => string>('DeviceListName', 'str', [p, 'int', p]),
    deviceType: bind<(list: Pointer, index: number, status: Pointer) => string>('DeviceListType', 'str', [p, 'int', p]),
    deleteDeviceList: bind<(list: Pointer) => void>('DeleteDeviceList', 'void', [p]),
    sessionRun: bind<(
      session: Pointer, runOptions: Pointer | null,
      inputs: readonly NativeOutput[], inputValues: readonly Pointer[], numInputs: number,
      outputs: readonly NativeOutput[], outputValues: (Pointer | null)[], numOutputs: number,
      targets: readonly Pointer[], numTargets: number,
      runMetadata: null, status: Pointer) => void>('SessionRun', 'void',
      [p, p, outputs, 'void **', 'int', outputs, koffi.out('void **'), 'int', 'void **', 'int', p, p]),

    newBuffer: bind<(bytes: Uint8Array, length: number) => Pointer>('NewBufferFromString', p, ['uint8_t *', 'size_t']),
    deleteBuffer: bind<(buffer: Pointer) => void>('DeleteBuffer', 'void', [p]),

    allocateTensor: bind<(dtype: number, dimensions: BigInt64Array, rank: number, bytes: number) => Pointer>('AllocateTensor', p, ['int', 'int64_t *', 'int', 'size_t']),
    deleteTensor: bind<(tensor: Pointer) => void>('DeleteTensor', 'void', [p]),
    tensorData: bind<(tensor: Pointer) => Pointer>('TensorData', p, [p]),
    tensorByteSize: bind<(tensor: Pointer) => number | bigint>('TensorByteSize', 'size_t', [p]),
    tensorType: bind<(tensor: Pointer) => number>('TensorType', 'int', [p]),
    tensorRank: bind<(tensor: Pointer) => number>('NumDims', 'int', [p]),
    tensorDimension: bind<(tensor: Pointer, index: number) => number | bigint>('Dim', 'int64_t', [p, 'int']),
  };
}
