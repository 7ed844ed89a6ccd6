import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['./test/tools/seed.ts'],
    // Native code: each file in a process of its own, two at a time on the two cores that CI has.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    disableConsoleIntercept: true,
    reporters: ['default', './test/tools/reporter.ts'],
    env: { UV_THREADPOOL_SIZE: '136' },
  },
});
