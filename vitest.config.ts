import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Worker threads and child processes run the built program, so it is built once before the first test.
    globalSetup: ['test/build.ts'],
    pool: 'forks',
    // Most files wait for processes and disks more than they compute: two at a time also on two cores, where the
    // default is one.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
})
