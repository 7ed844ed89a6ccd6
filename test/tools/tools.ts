/**
 * `npm run tools`: programs that tests run and npm does not bring, each in a folder of the cache that its version names. They are built
 * with Go, or taken out of a package of Debian, once; where there is neither, the tests that need them do not run, and the test run names each of these.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../trainer/engine/library.ts';

const modules = join(import.meta.dirname, 'go');
const kubernetesVersion = /^\tk8s\.io\/kubernetes v([\d.]+)$|^require k8s\.io\/kubernetes v([\d.]+)$/m
  .exec(readFileSync(join(modules, 'kube', 'go.mod'), 'utf8'))!
  .slice(1)
  .find(Boolean)!;

interface Tool {
  readonly name: string;
  /** Its programs lie here; the name says what they were built from. */
  readonly folder: string;
  /** About how long it takes to build, so that nobody thinks it hangs. */
  readonly takes: string;
  readonly tests: string;
  /** What it cannot be had without. */
  readonly from: 'Go 1.26' | 'apt-get';
  /** @param program Go, or apt-get */
  build(program: string, into: string): void;
}

const versitygwVersion = '1.8.0';
const helmVersion = '3.22.0';

const versitygwTool: Tool = {
  name: `versitygw ${versitygwVersion}`,
  folder: join(cacheFolder(), `versitygw-${versitygwVersion}`),
  takes: 'a minute',
  tests: 'a real S3 server',
  from: 'Go 1.26',
  build: (go, into) => install(go, into, `github.com/versity/versitygw/cmd/versitygw@v${versitygwVersion}`),
};

const helmTool: Tool = {
  name: `helm ${helmVersion}`,
  folder: join(cacheFolder(), `helm-${helmVersion}`),
  takes: 'a minute',
  tests: 'the chart',
  from: 'Go 1.26',
  build(go, into) {
    // For which Kubernetes charts are rendered where there is no server to ask.
    const kubernetes = ['lint/rules', 'chartutil'].map(
      part => `-X helm.sh/helm/v3/pkg/${part}.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/${part}.k8sVersionMinor=35`,
    );
    const flags = `-s -w -X helm.sh/helm/v3/internal/version.version=v${helmVersion} ${kubernetes.join(' ')}`;
    install(go, into, `helm.sh/helm/v3/cmd/helm@v${helmVersion}`, flags);
  },
};

/** etcd, CoreDNS, and all components of Kubernetes in one binary. `go install` cannot build these: their versions are chosen here. */
const kubernetesTool: Tool = {
  name: `Kubernetes ${kubernetesVersion}`,
  folder: join(cacheFolder(), `kubernetes-${kubernetesVersion}-${digestOfModules()}`),
  takes: '8 minutes',
  tests: 'a real Kubernetes',
  from: 'Go 1.26',
  build(go, into) {
    const version = 'k8s.io/component-base/version';
    const [major, minor] = kubernetesVersion.split('.');
    // Helm asks the server for its version, and believes it.
    const flags = `-s -w -X ${version}.gitVersion=v${kubernetesVersion} -X ${version}.gitMajor=${major} -X ${version}.gitMinor=${minor} -X ${version}.gitTreeState=clean`;
    build(go, { module: 'kube', from: './cmd/kube', to: join(into, 'kube'), flags });
    build(go, { module: 'etcd', from: 'go.etcd.io/etcd/server/v3', to: join(into, 'etcd') });
    build(go, { module: 'coredns', from: '.', to: join(into, 'coredns') });
    for (const component of components) symlinkSync('kube', join(into, component));
  },
};

const prometheusOperatorVersion = '0.85.0';

/** Its CustomResourceDefinitions alone, as they lie in its sources. */
const prometheusOperatorTool: Tool = {
  name: `the kinds of the Prometheus operator ${prometheusOperatorVersion}`,
  folder: join(cacheFolder(), `prometheus-operator-${prometheusOperatorVersion}`),
  takes: 'a few seconds',
  tests: 'monitors and alerts as the Prometheus operator takes them',
  from: 'Go 1.26',
  build(go, into) {
    const module = `github.com/prometheus-operator/prometheus-operator@v${prometheusOperatorVersion}`;
    const { Dir: sources } = JSON.parse(execFileSync(go, ['mod', 'download', '-json', module], { cwd: tmpdir(), encoding: 'utf8' }));
    for (const kind of prometheusOperatorKinds)
      copyFileSync(join(sources, 'example', 'prometheus-operator-crd', `monitoring.coreos.com_${kind}.yaml`), join(into, `${kind}.yaml`));
  },
};

const prometheusOperatorKinds = ['servicemonitors', 'podmonitors', 'prometheusrules'] as const;

const components = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'kubelet', 'kubectl'] as const;

/** Out of the package, and not installed: that would start a server. */
const prometheusTool: Tool = {
  name: 'Prometheus',
  folder: join(cacheFolder(), 'prometheus-debian'),
  takes: 'a minute',
  tests: 'a real Prometheus',
  from: 'apt-get',
  build(aptGet, into) {
    const cwd = mkdtempSync(join(tmpdir(), 'segfleet-prometheus-'));
    const download = () => spawnSync(aptGet, ['-q', 'download', 'prometheus'], { cwd, stdio: 'ignore' }).status === 0;
    try {
      if (!download()) {
        // Its lists may be of yesterday.
        execFileSync(aptGet, ['-qq', 'update'], { stdio: 'inherit' });
        if (!download()) throw new Error('apt-get has no package prometheus');
      }
      const [file] = readdirSync(cwd);
      execFileSync('dpkg', ['--extract', file, '.'], { cwd });
      for (const program of ['prometheus', 'promtool']) copyFileSync(join(cwd, 'usr', 'bin', program), join(into, program));
    } finally {
      rmSync(cwd, { recursive: true });
    }
  },
};

export const prometheus = (program: 'prometheus' | 'promtool'): string => join(prometheusTool.folder, program);
/** Files with the kinds of the Prometheus operator that the chart has objects of. */
export const prometheusOperatorFiles = prometheusOperatorKinds.map(kind => join(prometheusOperatorTool.folder, `${kind}.yaml`));
export const hasPrometheusOperatorKinds = (): boolean => isHere(prometheusOperatorTool);
export const hasPrometheus = (): boolean => isHere(prometheusTool);

/** An S3 server on top of a folder. */
export const versitygw = join(versitygwTool.folder, 'versitygw');
export const helm = join(helmTool.folder, 'helm');
/** Where a program of Kubernetes lies. */
export const kubernetes = (program: (typeof components)[number] | 'etcd' | 'coredns'): string => join(kubernetesTool.folder, program);

export const hasVersitygw = (): boolean => isHere(versitygwTool);
export const hasHelm = (): boolean => isHere(helmTool);
export const hasKubernetes = (): boolean => isHere(kubernetesTool);

/** Where all tests have to run (`.ci/run` sets SEGFLEET_REQUIRE_TOOLS), a tool that is not there is a failure instead of a skipped test. */
function isHere({ name, folder, tests }: Tool): boolean {
  const there = existsSync(folder);
  if (there || process.env.SEGFLEET_REQUIRE_TOOLS !== '1') return there;
  throw new Error(`${name} is not there, and SEGFLEET_REQUIRE_TOOLS=1 says that the tests of ${tests} have to run; try \`npm run tools\`.`);
}

const isolated = { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false -trimpath' };

function install(go: string, into: string, module: string, flags = '-s -w'): void {
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false -trimpath', GOBIN: into };
  execFileSync(go, ['install', '-ldflags', flags, module], { env, stdio: 'inherit' });
}

function build(go: string, { module, from, to, flags = '-s -w' }: { module: string; from: string; to: string; flags?: string }): void {
  const options = { cwd: join(modules, module), env: { ...process.env, ...isolated }, stdio: 'inherit' } as const;
  execFileSync(go, ['build', '-ldflags', flags, '-o', to, from], options);
}

function digestOfModules(): string {
  const hash = createHash('sha256');
  const files = readdirSync(modules, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile());
  for (const path of files.map(file => join(file.parentPath, file.name)).sort()) hash.update(readFileSync(path)).update('\0');
  return hash.digest('hex').slice(0, 12);
}

/** Builds what is not there; a build that is cut short leaves nothing that looks like one. */
function provide({ name, folder, takes, tests, from, build }: Tool, program: string | undefined): void {
  if (!existsSync(folder)) {
    const partial = `${folder}.${process.pid}.partial`;
    mkdirSync(partial, { recursive: true });
    try {
      if (!program) return console.log(`NOT THERE: ${name}. There is no ${from} here, so the tests of ${tests} will not run.`);
      console.log(`${from === 'apt-get' ? 'Fetching' : 'Building'} ${name} (once, about ${takes} on two cores) ...`);
      build(program, partial);
      renameSync(partial, folder);
    } catch (error) {
      return console.log(`NOT THERE: ${name} could not be built, so the tests of ${tests} will not run: ${(error as Error).message}`);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
  }
  console.log(`${name} is ready`);
}

if (import.meta.main) {
  mkdirSync(cacheFolder(), { recursive: true });
  /** Where Go is, or where its own installer puts it. */
  const go = ['go', '/usr/local/go/bin/go'].find(program => spawnSync(program, ['version']).status === 0);
  for (const tool of [versitygwTool, helmTool, kubernetesTool, prometheusOperatorTool]) provide(tool, go);
  provide(prometheusTool, spawnSync('apt-get', ['--version']).status === 0 ? 'apt-get' : undefined);
}
