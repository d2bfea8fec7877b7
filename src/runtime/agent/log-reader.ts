/**
 * Reads the output of runs, in bytes, for whoever asks the agent. The sandbox belongs to the task, so nothing in it is
 * trusted: paths are resolved with their links and must stay inside by whole elements, and only plain files are read.
 */
import { constants } from 'node:fs'
import { open, readdir, readlink, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { LogChunk, LogQuery } from '../../actors/agent-ports.ts'
import type { Folders } from './folders.ts'

export const LOG_BYTES_MAX = 1024 * 1024

/**
 * Offset beyond the end: nothing, with the size. `rotated` when the file is shorter than the offset, so that a tail
 * begins anew. Refusals come as `error`.
 */
export async function readLog(folders: Folders, query: LogQuery): Promise<LogChunk> {
  const nothing = { offset: Math.max(query.offset, 0), size: 0, data: new Uint8Array(0), rotated: false }
  const refuse = (error: string, process = query.process ?? '', run = query.run ?? 0): LogChunk => ({
    ...nothing,
    error,
    process,
    run,
  })
  if (!/^[\w][\w.-]*$/.test(query.taskId)) return refuse('no such task')
  if (
    query.process !== null &&
    (query.process === '' || query.process.startsWith('.') || query.process.includes('/'))
  ) {
    return refuse('no such process')
  }
  const sandbox = folders.sandbox(query.taskId)
  const root = await resolved(sandbox)
  if (root === null) return refuse(`the sandbox of ${query.taskId} is not here (any more)`)
  const chosen = await choose(join(sandbox, '.logs'), query)
  if (chosen === null) {
    const what = query.process === null ? 'a process' : `process ${query.process}`
    return refuse(`${what}${query.run === null ? '' : ` run ${query.run}`} has not started yet or is not known`)
  }
  const { process, run } = chosen
  const path = await resolved(join(sandbox, '.logs', process, String(run), query.stream))
  if (path === null) return refuse(`${process} run ${run} wrote no ${query.stream} file`, process, run)
  if (!path.startsWith(root + sep)) return refuse(`${query.stream} leads out of the sandbox`, process, run)
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const info = await file.stat()
    if (!info.isFile()) return refuse(`${query.stream} is no plain file`, process, run)
    // A folder on the way may have become a link since it was resolved: what counts is what was opened.
    const opened = await readlink(`/proc/self/fd/${file.fd}`)
    if (!opened.startsWith(root + sep)) return refuse(`${query.stream} leads out of the sandbox`, process, run)
    const size = info.size
    if (query.offset < 0) return { ...nothing, offset: 0, size, error: null, process, run }
    if (query.offset >= size) {
      return { ...nothing, size, rotated: query.offset > size, error: null, process, run }
    }
    const length = Math.min(query.length, LOG_BYTES_MAX, size - query.offset)
    const data = new Uint8Array(length)
    const { bytesRead } = await file.read(data, 0, length, query.offset)
    return { offset: query.offset, size, data: data.slice(0, bytesRead), rotated: false, error: null, process, run }
  } finally {
    await file.close()
  }
}

/** The named run, or the newest; of the process that started last when none is named. */
async function choose(logs: string, query: LogQuery): Promise<{ process: string; run: number } | null> {
  const processes = query.process === null ? await names(logs) : [query.process]
  let newest: { process: string; run: number; atMs: number } | null = null
  for (const process of processes) {
    const runs = (await names(join(logs, process))).filter(name => /^\d+$/.test(name)).map(Number)
    if (query.run !== null && !runs.includes(query.run)) continue
    if (runs.length === 0) continue
    const run = query.run ?? Math.max(...runs)
    const atMs = (await stat(join(logs, process, String(run)))).birthtimeMs
    if (newest === null || atMs > newest.atMs || (atMs === newest.atMs && process > newest.process)) {
      newest = { process, run, atMs }
    }
  }
  return newest
}

async function names(folder: string): Promise<string[]> {
  return unlessMissing(readdir(folder), [])
}

async function resolved(path: string): Promise<string | null> {
  return unlessMissing<string | null>(realpath(path), null)
}

async function unlessMissing<T>(promise: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await promise
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return otherwise
    throw cause
  }
}
