// Builds the package into dist/ with the TypeScript compiler. Plain JavaScript, because it runs before anything is built.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
if (!existsSync(compiler)) {
  // An installed package (npm pack) carries dist/ and has no compiler: there is nothing to build.
  if (existsSync(join(root, 'dist', 'src', 'cli', 'main.js'))) process.exit(0)
  console.error('build: the TypeScript compiler is missing; run `npm ci` in the project folder first')
  process.exit(1)
}
if (process.argv.includes('--clean')) rmSync(join(root, 'dist'), { recursive: true, force: true })
const built = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' })
process.exit(built.status ?? 1)
