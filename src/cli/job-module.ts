import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type BuildFailure, build, type Message } from 'esbuild'
import type { Fault } from '../core/base/rejection.ts'
import type { FieldFault } from '../core/job/field-schema.ts'
import type { JobFileQuestion } from '../core/job/job-file-shape.ts'
import type { Tree } from '../core/job/template.ts'
import { busyPlace } from './busy-place.ts'
import type { ThreadAnswer } from './job-module-thread.ts'

/**
 * Job files that are programs: TypeScript and JavaScript modules, with whatever they import. esbuild makes one file of
 * them, a thread runs it, and what it exports comes back as plain values.
 *
 * A thread, because a module may loop, leave timers behind, call `process.exit` or want all of the memory: it is ended
 * after a time, and each of these is told as a fault of the module. It is no wall against ill will: who runs a job file
 * runs its program. Types are not checked here; an editor or `tsc` does.
 */
export type JobModule =
  | {
      readonly ok: true
      readonly tree: Tree
      /** Places in it that are no values of a job. */
      readonly faults: readonly FieldFault[]
      /** It exports a function, so it may have looked at the binds itself. */
      readonly asked: boolean
    }
  | { readonly ok: false; readonly faults: readonly LocatedFault[] }

/** `file`: as it is best shown from here; the module itself is called what the command called it. */
export type LocatedFault = Fault & { readonly file: string }

export interface ModuleLimits {
  /** How long it may run. Default: 10 s. */
  readonly limitMs?: number
  /** Of its heap. Default: 512. */
  readonly memoryMb?: number
  /** Ends it early. */
  readonly interrupted?: AbortSignal
  /** What it prints. */
  readonly print?: (text: string) => void
}

const LIMIT_MS = 10_000
const MEMORY_MB = 512
/** How long to look where it is before it is ended. */
const LOOK_MS = 1_000
const OUTPUT = 'job-file.mjs'
/** How often what holds up the end of a thread is looked for, and how long its end is waited for. */
const ENDING_LOOK_MS = 250
const ENDING_MS_MAX = 2_000

/** Runs the module at `path`. Faults of its own are values; rejects when it cannot be read or this program fails. */
export async function readJobModule(
  path: string,
  question: JobFileQuestion,
  limits: ModuleLimits = {},
): Promise<JobModule> {
  // esbuild would say of a file that is not there that it cannot be resolved.
  await readFile(path)
  const folder = await mkdtemp(join(tmpdir(), 'daybreak-job-'))
  try {
    const bundled = await bundle(path, folder)
    if (!bundled.ok) return bundled
    const file = join(folder, OUTPUT)
    await writeFile(file, bundled.code)
    const places = new StackPlaces(path, file, bundled.map)
    const answer = await runInThread(file, question, limits)
    return outcome(path, answer, places, limits)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

type Bundled =
  | { readonly ok: true; readonly code: string; readonly map: SourceMapPayload }
  | { readonly ok: false; readonly faults: readonly LocatedFault[] }

async function bundle(path: string, folder: string): Promise<Bundled> {
  const entry = resolve(path)
  const url = JSON.stringify(pathToFileURL(entry).href)
  const contents = [
    `import { answer } from ${JSON.stringify(ownFile('./job-module-thread'))}`,
    `answer(() => import(${JSON.stringify(entry)}))`,
  ]
  try {
    const { outputFiles } = await build({
      stdin: { contents: contents.join('\n'), resolveDir: dirname(entry), loader: 'js' },
      outfile: join(folder, OUTPUT),
      write: false,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      sourcemap: 'external',
      sourcesContent: false,
      logLevel: 'silent',
      // So that `import … from 'daybreak'` works where the package is not installed beside the job file.
      alias: { daybreak: ownFile('../core/job/job-file-shape') },
      define: {
        'import.meta.url': url,
        'import.meta.filename': JSON.stringify(entry),
        'import.meta.dirname': JSON.stringify(dirname(entry)),
      },
      // Older packages ask for the parts of Node with `require`.
      banner: {
        js: `import { createRequire as daybreakRequireOf } from 'node:module'; globalThis.require ??= daybreakRequireOf(${url});`,
      },
    })
    const [map, code] = [outputFiles[0]?.text ?? '', outputFiles[1]?.text ?? '']
    return { ok: true, code, map: JSON.parse(map) as SourceMapPayload }
  } catch (error) {
    const { errors } = error as Partial<BuildFailure>
    if (errors === undefined || errors.length === 0) throw error
    return { ok: false, faults: errors.map(message => builtFault(path, message)) }
  }
}

function builtFault(path: string, { text, location, notes }: Message): LocatedFault {
  const note = notes.map(each => each.text).find(each => each.startsWith('You can mark') === false)
  const told = { path: '', text: note === undefined || note === '' ? text : `${text} (${note})` }
  // Its own entry has no place that anybody could look at: it fails when the module itself is not there.
  if (location === null || location.file === '<stdin>') return { ...told, file: path }
  return { ...told, file: shownFile(path, resolve(location.file)), line: location.line }
}

type Ended =
  | ThreadAnswer
  | { readonly type: 'left' }
  /** The stack that it was at work in; empty: it waited. */
  | { readonly type: 'late'; readonly stack: string }
  | { readonly type: 'grew' }
  | { readonly type: 'interrupted' }

function runInThread(file: string, question: JobFileQuestion, limits: ModuleLimits): Promise<Ended> {
  const { limitMs = LIMIT_MS, memoryMb = MEMORY_MB, interrupted, print } = limits
  const others = new Set(programsUnder('self'))
  const worker = new Worker(pathToFileURL(file), {
    workerData: question,
    name: 'job file',
    stdout: true,
    stderr: true,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: memoryMb },
  })
  for (const output of [worker.stdout, worker.stderr]) output.on('data', data => print?.(String(data)))
  return new Promise(done => {
    let isEnded = false
    const end = (ended: Ended): void => {
      if (isEnded) return
      isEnded = true
      clearTimeout(timer)
      interrupted?.removeEventListener('abort', stop)
      // A thread that waits for a program it runs (`execSync`) is not ended before that is.
      const look = setInterval(() => endPrograms(others), ENDING_LOOK_MS)
      const over = (): void => {
        clearInterval(look)
        clearTimeout(late)
        done(ended)
      }
      const late = setTimeout(over, ENDING_MS_MAX)
      void worker.terminate().then(over)
    }
    const stop = (): void => end({ type: 'interrupted' })
    const timer = setTimeout(
      () => void busyPlace(pathToFileURL(file).href, LOOK_MS).then(stack => end({ type: 'late', stack })),
      limitMs,
    )
    interrupted?.addEventListener('abort', stop, { once: true })
    if (interrupted?.aborted === true) stop()
    worker.on('message', (answer: ThreadAnswer) => end(answer))
    worker.on('error', (error: Error & { code?: string }) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') end({ type: 'grew' })
      else end({ type: 'threw', text: `${error.name}: ${error.message}`, stack: error.stack ?? '' })
    })
    worker.on('exit', () => end({ type: 'left' }))
  })
}

/** Ends what the thread has started, by its id; `others` were there before. */
function endPrograms(others: ReadonlySet<number>): void {
  for (const pid of programsUnder('self')) {
    if (others.has(pid)) continue
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
}

/** Ids of the programs that a process has started, and of those that they have. */
function programsUnder(pid: number | 'self'): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
      .flatMap(thread => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim().split(' '))
      .filter(child => child !== '')
      .flatMap(child => [Number(child), ...programsUnder(Number(child))])
  } catch {
    // It has ended meanwhile, or the kernel does not tell.
    return []
  }
}

function outcome(path: string, ended: Ended, places: StackPlaces, limits: ModuleLimits): JobModule {
  const fault = (text: string, place: Partial<LocatedFault> = {}): JobModule => {
    return { ok: false, faults: [{ path: '', text, file: path, ...place }] }
  }
  switch (ended.type) {
    case 'made':
      return { ok: true, tree: ended.tree, faults: ended.faults, asked: ended.asked }
    case 'empty': {
      const found = ended.exports.length === 0 ? 'nothing' : ended.exports.join(', ')
      const wanted = 'export as its default a job, a list of jobs, {jobs: […]}, or a function that returns one of them'
      return fault(`The module exports ${found}, and no jobs: ${wanted}`)
    }
    case 'threw':
      return fault(`The module failed with ${ended.text}`, places.of(ended.stack))
    case 'left':
      return fault('The module ended without jobs: it calls process.exit, or waits for something that never comes')
    case 'late': {
      const seconds = (limits.limitMs ?? LIMIT_MS) / 1000
      const waits = `The module was ended after ${seconds} s: it waits for something that does not come`
      if (ended.stack === '') return fault(waits)
      return fault(`The module was ended after ${seconds} s: it loops, or has too much to do`, places.of(ended.stack))
    }
    case 'grew':
      return fault(`The module was ended: it wants more than ${limits.memoryMb ?? MEMORY_MB} MB of memory`)
    case 'interrupted':
      return fault('The module was ended by Ctrl-C')
  }
}

/** Leads the lines of a stack back to the files that were written. */
class StackPlaces {
  private readonly map: SourceMap
  private readonly frame: RegExp
  private readonly path: string
  private readonly folder: string

  constructor(path: string, file: string, map: SourceMapPayload) {
    this.map = new SourceMap(map)
    this.path = path
    this.folder = dirname(file)
    const escaped = pathToFileURL(file).href.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    this.frame = new RegExp(`${escaped}:(\\d+):(\\d+)`, 'g')
  }

  /** The first place in a file of theirs; one in a package only when there is no other. */
  of(stack: string): Partial<LocatedFault> {
    const found = [...stack.matchAll(this.frame)].flatMap(([, line, column]) => {
      const entry = this.map.findEntry(Number(line) - 1, Number(column) - 1)
      if (!('originalSource' in entry) || entry.originalSource === '<stdin>') return []
      const file = resolve(this.folder, entry.originalSource)
      return file === ownFile('./job-module-thread') ? [] : [{ file, line: entry.originalLine + 1 }]
    })
    const first = found.find(({ file }) => !file.includes(`${sep}node_modules${sep}`)) ?? found[0]
    return first === undefined ? {} : { file: shownFile(this.path, first.file), line: first.line }
  }
}

/** A file of this program beside or below this one: from the sources, or as it was built; bundled, it is not beside this. */
function ownFile(name: string): string {
  if (import.meta.url.endsWith('.ts')) return fileURLToPath(new URL(`${name}.ts`, import.meta.url))
  const here = dirname(fileURLToPath(import.meta.url))
  const folder = here.endsWith(join('dist', 'bundle')) ? join(here, '..', 'src', 'cli') : here
  return resolve(folder, `${name}.js`)
}

function shownFile(path: string, file: string): string {
  if (file === resolve(path)) return path
  const short = relative(process.cwd(), file)
  return short.startsWith('..') ? file : short
}
