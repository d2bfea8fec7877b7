import { parentPort, workerData } from 'node:worker_threads'
import type { FieldFault } from '../core/job/field-schema.ts'
import type { JobFileQuestion } from '../core/job/job-file-shape.ts'
import { plainValues } from '../core/job/plain-values.ts'
import type { Tree } from '../core/job/template.ts'

/** What comes back from the thread that a module of jobs runs in; nothing comes back when the module ends the thread. */
export type ThreadAnswer =
  | { readonly type: 'made'; readonly tree: Tree; readonly faults: readonly FieldFault[]; readonly asked: boolean }
  | { readonly type: 'empty'; readonly exports: readonly string[] }
  | { readonly type: 'threw'; readonly text: string; readonly stack: string }

/**
 * Runs in the thread: loads the module, calls what it exports if that is a function, and sends the plain values of it.
 * esbuild puts this file and the module into one, so it knows no package and may be TypeScript as well as what was built.
 */
export async function answer(load: () => Promise<Readonly<Record<string, unknown>>>): Promise<void> {
  const answered = await made(load).catch(threw)
  // What the module has printed has to be on its way before the thread is ended.
  for (const output of [process.stdout, process.stderr]) await new Promise(done => output.write('', done))
  parentPort?.postMessage(answered)
}

async function made(load: () => Promise<Readonly<Record<string, unknown>>>): Promise<ThreadAnswer> {
  const exported = await load()
  const { default: main, jobs } = exported
  if (main === undefined && jobs === undefined) return { type: 'empty', exports: Object.keys(exported) }
  const asked = typeof main === 'function'
  const value: unknown = main === undefined ? exported : asked ? await main(workerData as JobFileQuestion) : await main
  return { type: 'made', ...plainValues(value), asked }
}

function threw(error: unknown): ThreadAnswer {
  if (!(error instanceof Error)) return { type: 'threw', text: String(error), stack: '' }
  return { type: 'threw', text: `${error.name}: ${error.message}`, stack: error.stack ?? '' }
}
