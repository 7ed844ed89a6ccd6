import { defineConfig } from 'vitest/config';

const shared = {
  setupFiles: './test/tools/seed.ts',
  // Native code: each file in a process of its own.
  pool: 'forks',
  testTimeout: 300_000,
  hookTimeout: 300_000,
  env: { UV_THREADPOOL_SIZE: '136' },
} as const;

export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    reporters: ['default', './test/tools/reporter.ts'],
    projects: [
      // Two at a time on the two cores that CI has.
      {
        test: {
          ...shared,
          name: 'all but clusters',
          include: ['test/**/*.test.ts'],
          exclude: ['test/cluster/**'],
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      // A cluster of real nodes is by itself on the machine.
      { test: { ...shared, name: 'clusters', include: ['test/cluster/**/*.test.ts'], maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
});
