/**
 * The closing line of a test run, `N passed, N failed`, and above it the name of every test that did not run: none is skipped silently.
 */
import type { Reporter, TestCase, TestModule } from 'vitest/node';

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap(module => [...module.children.allTests()]);
    const count = (state: string) => tests.filter(test => test.result().state === state).length;
    for (const test of tests.filter(test => ['skipped', 'pending'].includes(test.result().state)))
      process.stdout.write(`not run: ${nameOf(test)}\n`);
    // A file that could not be loaded, or an error outside any test, is a failure too.
    const broken = modules.filter(module => module.state() === 'failed' && [...module.children.allTests('failed')].length === 0).length;
    process.stdout.write(`${count('passed')} passed, ${count('failed') + broken + errors.length} failed\n`);
  }
}

const nameOf = (test: TestCase): string => `${test.module.relativeModuleId}: ${test.fullName}`;
