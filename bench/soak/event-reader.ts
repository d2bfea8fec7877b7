/** Follows the events of one node, goes on at another where it was when that one ends, and notices what is not in order. */
import { readSse } from '../../src/cli/sse.ts'
import { readEventCursor } from '../../src/core/events/event-cursor.ts'

const REDIAL_MS = 200
/** Nodes say something, be it a comment, more often than this. */
const SILENT_MS_MAX = 60_000

export class EventReader {
  readonly #urls: readonly string[]
  readonly #failed: (what: string, isFinal?: boolean) => void
  #ended = false
  #stop = new AbortController()
  #lastId: string | null = null
  #events = 0

  constructor(urls: readonly string[], failed: (what: string, isFinal?: boolean) => void) {
    this.#urls = urls
    this.#failed = failed
    void this.#follow()
  }

  get events(): number {
    return this.#events
  }

  end(): void {
    this.#ended = true
    this.#stop.abort()
  }

  async #follow(): Promise<void> {
    for (let turn = 0; !this.#ended; turn++) {
      try {
        await this.#read(this.#urls[turn % this.#urls.length]!)
        if (!this.#ended) this.#failed('events: the stream has ended')
      } catch (cause) {
        if (this.#ended) return
        this.#failed(`events: ${cause instanceof Error ? cause.message : String(cause)}`)
      }
      await new Promise(done => setTimeout(done, REDIAL_MS))
    }
  }

  async #read(url: string): Promise<void> {
    this.#stop = new AbortController()
    const stop = this.#stop
    const headers = this.#lastId === null ? {} : { 'last-event-id': this.#lastId }
    const answered = await fetch(`${url}/api/v1/events`, { headers, signal: stop.signal })
    if (!answered.ok || answered.body === null) throw new Error(`${answered.status} ${await answered.text()}`)
    let late = setTimeout(() => stop.abort(), SILENT_MS_MAX)
    try {
      for await (const { id, data } of readSse(answered.body)) {
        clearTimeout(late)
        late = setTimeout(() => stop.abort(), SILENT_MS_MAX)
        if (id !== null) this.#advance(id)
        if (data !== '') this.#events++
      }
    } finally {
      clearTimeout(late)
    }
  }

  #advance(id: string): void {
    const here = readEventCursor(id)
    const last = this.#lastId === null ? null : readEventCursor(this.#lastId)
    if (here === null) return this.#failed(`events: the id ${id} cannot be read`, true)
    if (last !== null && (here.position < last.position || (here.position === last.position && here.seen < last.seen)))
      this.#failed('events: an event came again, or late', true)
    this.#lastId = id
  }
}
