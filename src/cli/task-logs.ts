import { type FullKey, fullKeyText } from '../core/job/job-file.ts'
import { isTerminal } from '../core/task/status.ts'
import type { JobDetail, LogPiece, Task } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseCount, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { parseTaskInstance } from './keys.ts'
import { whichThereAre } from './missing-instances.ts'
import { sayJson } from './report.ts'
import { jobPath, type RestClient, restClient } from './rest-client.ts'
import { newestTask } from './wait.ts'

/**
 * `daybreak task logs KEY/INSTANCE`: the bytes as they were written. Following stays with the process that started last
 * and goes over to the next one, and to the next task of the instance, so that a restart does not end it.
 */
export interface LogOptions extends CommonOptions {
  readonly follow?: boolean
  readonly process?: string
  readonly stderr?: boolean
  readonly tail?: string
}

const PIECE_BYTES = 262_144
const POLL_MS = 250
/** How long an unreachable scheduler or agent is put up with while following, ms. */
const OUTAGE_MS = 60_000

interface Source {
  readonly taskId: string
  readonly process: string
  readonly run: number
}

export async function taskLogs(io: Io, text: string, options: LogOptions): Promise<ClientExit> {
  const { key, instance } = parseTaskInstance(text)
  if (options.json === true && options.follow === true) {
    throw new CliFailure(CLIENT_EXIT.usage, '--json prints one document, and --follow has no end: give one of them')
  }
  const tail = options.tail === undefined ? null : parseCount(options.tail, '--tail')
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), {
    timeoutMs: parseDuration(options.timeout),
  })
  const logs = logReader(io, client, options)
  let task = await findTask(io, client, key, instance, false)
  let source = await logs.newest(task.taskId)
  if (source === null) {
    if (options.follow !== true) throw noLogs(text, options)
    source = await untilLogs(io, logs, client, key, instance)
    task = await findTask(io, client, key, instance, true)
  }
  let offset = tail === null ? 0 : await logs.tailOffset(source, tail)
  if (options.json === true) {
    const pieces: Uint8Array[] = []
    await logs.copy(source, offset, bytes => pieces.push(bytes))
    const stream = options.stderr === true ? 'stderr' : 'stdout'
    const where = { job: fullKeyText(key), instance, ...source, stream, offset }
    sayJson(io, { ...where, text: Buffer.concat(pieces).toString('utf8') })
    return CLIENT_EXIT.ok
  }
  for (;;) {
    offset = await logs.copy(source, offset)
    if (options.follow !== true) return CLIENT_EXIT.ok
    // Nothing new: perhaps because the process or the task has ended and another one writes now.
    const now = await findTask(io, client, key, instance, true)
    const next = await logs.newest(now.taskId)
    if (
      next !== null &&
      (next.taskId !== source.taskId || next.process !== source.process || next.run !== source.run)
    ) {
      await logs.copy(source, offset)
      io.stderr.write(`==> ${next.process}, run ${next.run}, task ${next.taskId} <==\n`)
      source = next
      offset = 0
      task = now
      continue
    }
    if (isTerminal(now.status) && now.taskId === source.taskId) {
      await logs.copy(source, offset)
      io.stderr.write(`==> the task is ${now.status} <==\n`)
      return CLIENT_EXIT.ok
    }
    await io.sleep(POLL_MS)
  }
}

interface LogReader {
  /** What to read of a task: the process and run that started last; null while there is nothing. */
  newest(taskId: string): Promise<Source | null>
  /** Where its last `lines` lines begin. */
  tailOffset(source: Source, lines: number): Promise<number>
  /** Prints from `offset` to the end, or hands it to `take`; gives the new offset. */
  copy(source: Source, offset: number, take?: (bytes: Uint8Array) => void): Promise<number>
}

function logReader(io: Io, client: RestClient, options: LogOptions): LogReader {
  const stream = options.stderr === true ? 'stderr' : 'stdout'
  const ask = (source: Source, offset: number, length: number): Promise<LogPiece | null> => {
    const run = { process: source.process, run: String(source.run) }
    return read(source.taskId, { ...run, offset: String(offset), length: String(length) })
  }
  const read = (taskId: string, query: Record<string, string>): Promise<LogPiece | null> => {
    const search = new URLSearchParams({ stream, ...query })
    const patience = options.follow === true ? { retryUntilMs: io.now() + OUTAGE_MS } : {}
    return client.find<LogPiece>(`/api/v1/tasks/${encodeURIComponent(taskId)}/logs?${search}`, patience)
  }
  /** An answer may hold less than was asked for. */
  const range = async (source: Source, from: number, to: number): Promise<Buffer> => {
    const pieces: Buffer[] = []
    for (let at = from; at < to; ) {
      const bytes = Buffer.from((await ask(source, at, to - at))?.data ?? '', 'base64')
      if (bytes.length === 0) break
      pieces.push(bytes)
      at += bytes.length
    }
    return Buffer.concat(pieces)
  }
  return {
    newest: async taskId => {
      const named = options.process === undefined ? {} : { process: options.process }
      const piece = await read(taskId, { ...named, offset: '-1' })
      return piece === null ? null : { taskId, process: piece.process, run: piece.run }
    },
    tailOffset: async (source, lines) => {
      const end = (await ask(source, -1, 0))?.size ?? 0
      let found = 0
      for (let to = end; to > 0; ) {
        const from = Math.max(0, to - PIECE_BYTES)
        const bytes = await range(source, from, to)
        for (let at = bytes.length - 1; at >= 0; at--) {
          // The newline that ends the last line begins no further one.
          if (bytes[at] !== 10 || from + at === end - 1) continue
          found += 1
          if (found >= lines) return lines === 0 ? end : from + at + 1
        }
        to = from
      }
      return lines === 0 ? end : 0
    },
    copy: async (source, offset, take = bytes => void io.stdout.write(bytes)) => {
      let at = offset
      for (;;) {
        const piece = await ask(source, at, PIECE_BYTES)
        if (piece === null) return at
        if (piece.size < at) {
          // The file was cut or rotated away: what is there now is new.
          at = 0
          continue
        }
        const bytes = Buffer.from(piece.data, 'base64')
        if (bytes.length === 0) return at
        take(bytes)
        at = piece.offset + bytes.length
      }
    },
  }
}

async function findTask(io: Io, client: RestClient, key: FullKey, instance: number, patient: boolean): Promise<Task> {
  const patience = patient ? { retryUntilMs: io.now() + OUTAGE_MS } : {}
  const detail = await client.find<JobDetail>(jobPath(key), patience)
  const task = detail === null ? null : newestTask(detail, instance)
  if (task !== null) return task
  const what =
    detail === null ? `Found no job ${fullKeyText(key)}` : `Job ${fullKeyText(key)} has no instance ${instance}`
  const known = [...(detail?.active ?? []), ...(detail?.inactive ?? [])]
  throw new CliFailure(CLIENT_EXIT.notFound, what, { remedy: whichThereAre('known', key, detail, known) })
}

async function untilLogs(io: Io, logs: LogReader, client: RestClient, key: FullKey, instance: number): Promise<Source> {
  for (;;) {
    const task = await findTask(io, client, key, instance, true)
    const source = await logs.newest(task.taskId)
    if (source !== null) return source
    if (isTerminal(task.status))
      throw new CliFailure(CLIENT_EXIT.notFound, `The task is ${task.status} and wrote nothing`)
    await io.sleep(POLL_MS)
  }
}

function noLogs(text: string, options: LogOptions): CliFailure {
  const which = options.process === undefined ? '' : ` of process ${options.process}`
  const remedy = 'the task may not have started yet: -f waits for it, `daybreak job status` says where it is'
  return new CliFailure(CLIENT_EXIT.notFound, `There are no logs${which} of ${text}`, { remedy })
}
