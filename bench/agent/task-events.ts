/**
 * Transitions of the bench's tasks as the node tells them over SSE: each once it is committed. One connection for all
 * jobs, so that counting costs the node as little as it can.
 */
import { type IncomingMessage, request } from 'node:http'

interface Wait {
  readonly status: string
  readonly wanted: number
  readonly done: () => void
  readonly failed: (cause: Error) => void
}

/** No task of the bench may come to this. */
const BAD_ENDS = new Set(['FAILED', 'LOST'])

export class TaskEvents {
  readonly #url: string
  /** `job status` → tasks that have come there. */
  readonly #counts = new Map<string, number>()
  readonly #waits = new Map<string, Wait>()
  #stream: IncomingMessage | null = null
  #ended = false

  constructor(url: string) {
    this.#url = url
  }

  /** Settles when nothing that happens from now on is missed. */
  async begin(): Promise<void> {
    const path = '/api/v1/events?type=task.transition&role=bench'
    const stream = await new Promise<IncomingMessage>((resolve, reject) => {
      request(`${this.#url}${path}`, { headers: { accept: 'text/event-stream' } }, resolve)
        .on('error', reject)
        .end()
    })
    if (stream.statusCode !== 200) throw new Error(`events: status ${stream.statusCode}`)
    this.#stream = stream
    let rest = ''
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      const { data, rest: left } = dataLines(rest + chunk)
      rest = left
      for (const text of data) this.#take(text)
    })
    const lost = (): void => {
      if (!this.#ended) this.#fail(new Error('the stream of events has ended: the node is gone'))
    }
    stream.on('close', lost)
    stream.on('error', lost)
  }

  /** Once so many tasks of the jobs whose name begins so have come there. `of` ends where the numbers of jobs begin. */
  reached(of: string, status: string, wanted: number, withinMs: number): Promise<void> {
    const key = `${of} ${status}`
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waits.delete(key)
        reject(
          new Error(`${this.#counts.get(key) ?? 0} of ${wanted} tasks of ${of} are ${status} after ${withinMs} ms`),
        )
      }, withinMs)
      const over = (): void => {
        clearTimeout(late)
        this.#waits.delete(key)
      }
      const failed = (cause: Error): void => {
        over()
        reject(cause)
      }
      const done = (): void => {
        over()
        resolve()
      }
      this.#waits.set(key, { status, wanted, done, failed })
      if ((this.#counts.get(key) ?? 0) >= wanted) done()
    })
  }

  end(): void {
    this.#ended = true
    this.#stream?.destroy()
  }

  #take(text: string): void {
    const { job, newState, message, taskId } = JSON.parse(text) as {
      job?: { name: string }
      newState?: string
      message?: string
      taskId?: string
    }
    if (job === undefined || newState === undefined) return
    if (BAD_ENDS.has(newState)) return this.#fail(new Error(`task ${taskId} is ${newState}: ${message}`))
    const key = `${familyOf(job.name)} ${newState}`
    const count = (this.#counts.get(key) ?? 0) + 1
    this.#counts.set(key, count)
    const wait = this.#waits.get(key)
    if (wait !== undefined && count >= wait.wanted) wait.done()
  }

  #fail(cause: Error): void {
    for (const wait of [...this.#waits.values()]) wait.failed(cause)
  }
}

/** Jobs `burst-3.0`, `burst-3.1` … are one family, `burst-3`. */
export const familyOf = (job: string): string => job.replace(/\.\d+$/, '')

/** The contents of the `data:` lines of whole events, one line each, and what comes after the last whole line. */
export function dataLines(text: string): { data: string[]; rest: string } {
  const lines = text.split('\n')
  const rest = lines.pop() ?? ''
  const data = lines.filter(line => line.startsWith('data:')).map(line => line.slice('data:'.length).trim())
  return { data: data.filter(line => line !== ''), rest }
}
