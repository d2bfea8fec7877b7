// Builds the package into dist/: the TypeScript compiler makes dist/src and what else is tested, and esbuild makes of it the
// few files in dist/bundle that the command runs, with most packages inside. Loading hundreds of files took a node longer
// than everything else it does to come up. Plain JavaScript, because it runs before anything is built.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const bundle = join(root, 'dist', 'bundle')
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
if (!existsSync(compiler)) {
  // An installed package (npm pack) carries dist/ and has no compiler: there is nothing to build.
  if (existsSync(join(bundle, 'main.js'))) process.exit(0)
  console.error('build: the TypeScript compiler is missing; run `npm ci` in the project folder first')
  process.exit(1)
}
if (process.argv.includes('--clean')) rmSync(join(root, 'dist'), { recursive: true, force: true })
const built = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], { stdio: 'inherit' })
if (built.status !== 0) process.exit(built.status ?? 1)

const { build } = await import('esbuild')
const source = file => join(root, 'dist', 'src', `${file}.js`)
await build({
  // All in one folder: threads and processes are started from files beside the one that starts them.
  entryPoints: {
    main: source('cli/main'),
    'log-thread': source('runtime/log/log-thread'),
    'agent-thread': source('runtime/agent/agent-thread'),
    launcher: source('runtime/agent/launcher'),
    'lmdb-trial': source('runtime/lmdb-trial'),
  },
  outdir: bundle,
  chunkNames: 'part-[hash]',
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  legalComments: 'linked',
  // Beside the files and not named in them: profiles are read with them, nodes never are.
  sourcemap: 'external',
  sourcesContent: false,
  logLevel: 'warning',
  // With native parts, or with files of their own to run; the last two are optional parts of ws.
  external: ['lmdb', 'msgpackr', 'esbuild', 'bufferutil', 'utf-8-validate'],
  // Packages in the older form of modules ask for the parts of Node with `require`.
  banner: {
    js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
  },
})
