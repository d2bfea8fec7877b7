import { spawnSync } from 'node:child_process'

/** Builds dist/ once before the tests, unless DAYBREAK_TEST_NO_BUILD says that it is fresh. */
export default function setup(): void {
  if (process.env.DAYBREAK_TEST_NO_BUILD) return
  const built = spawnSync(process.execPath, ['scripts/build.mjs'], { stdio: 'inherit' })
  if (built.status !== 0) throw new Error('the build failed, so no test can run')
}
