import { configDefaults, defineConfig } from 'vitest/config'

/**
 * What may end, or spoil, the process it runs in, or waits for processes of its own: each file has a process to itself.
 * Above all what opens LMDB here, whose native code does not survive each damaged file that is given to it.
 */
const APART = [
  'test/e2e/**/*.test.ts',
  'test/runtime/{agent,log}/**/*.test.ts',
  'test/runtime/{backup-folder,leadership,ledger-on-log,lmdb-opening,offline-restore,start}.test.ts',
  'test/cli/log.test.ts',
]

const limits = { testTimeout: 20_000, hookTimeout: 20_000 }

export default defineConfig({
  test: {
    // Worker threads and child processes run the built program, so it is built once before the first test.
    globalSetup: ['test/build.ts'],
    pool: 'forks',
    // Most files wait for processes and disks more than they compute: three at a time also on two cores, where the
    // default is one.
    maxWorkers: 3,
    // Projects run in the order of their names: what takes longest begins first.
    projects: [
      { test: { ...limits, name: 'apart', include: APART } },
      {
        test: {
          ...limits,
          name: 'together',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...APART],
          // Files in turn in one process, which loads the program once: starting a process and loading again cost more
          // than most of these tests do. So a test leaves nothing behind: no global, no timer, no environment variable.
          isolate: false,
        },
      },
    ],
  },
})
