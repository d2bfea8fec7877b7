/**
 * One reader of events over HTTP: server-sent events, a page at a time. The next page is asked for when the last one has
 * left this process, so a slow reader costs one page and slows nobody; one that takes nothing for too long is cut off and
 * begins again where it was, by its last id.
 */
import type { ServerResponse } from 'node:http'
import type { Ref } from '../../actors/actor.ts'
import type * as EventTail from '../../actors/event-tail.ts'
import type { Logger } from '../../actors/ports.ts'
import { type EventCursor, eventCursorText } from '../../core/events/event-cursor.ts'
import { type EventFilter, wantsEvent } from '../../core/events/event-filter.ts'
import { eventIdOf, toEventDocument } from '../../wire/events.ts'

export interface StreamTiming {
  /** A comment after so long without anything, so that nobody in between takes the connection for dead. */
  readonly heartbeatMs: number
  /** Who takes nothing for so long is cut off. */
  readonly drainMsMax: number
}
export const STREAM_TIMING: StreamTiming = { heartbeatMs: 15_000, drainMsMax: 30_000 }

export interface StreamParts {
  readonly response: ServerResponse
  readonly tail: Ref<EventTail.Command>
  /** Makes the address to which the tail answers. */
  readonly address: (name: string, receive: (page: EventTail.EventPage) => void) => Ref<EventTail.EventPage>
  /** Unique on this node. */
  readonly id: string
  /** For people: who reads, from where. */
  readonly reader: string
  readonly cursor: EventCursor
  readonly filter: EventFilter
  /** Ends before this position; null: never. */
  readonly until: number | null
  readonly timing: StreamTiming
  readonly logger: Logger
  readonly onEnd: () => void
}

export class EventStream {
  readonly #parts: StreamParts
  readonly #replyTo: Ref<EventTail.EventPage>
  #cursor: EventCursor
  #timer: NodeJS.Timeout | null = null
  #isAsking = false
  #isOver = false

  constructor(parts: StreamParts) {
    this.#parts = parts
    this.#cursor = parts.cursor
    this.#replyTo = parts.address(parts.id, page => this.#take(page))
    const { response } = parts
    response.on('close', () => this.#over())
    response.on('error', () => this.#over())
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    // A client that loses this node before its first event tries again a second later, from the same place.
    response.write(`retry: 1000\nid: ${eventCursorText(this.#cursor)}\n\n`)
    this.#beatLater()
    this.#next()
  }

  /** The node stops, or there is nothing more to say. */
  end(): void {
    if (this.#isOver) return
    this.#over()
    this.#parts.response.end()
  }

  #next(): void {
    const { until, tail, id } = this.#parts
    if (until !== null && this.#cursor.position >= until) return this.end()
    this.#isAsking = true
    tail.tell({ type: 'read', reader: id, cursor: this.#cursor, replyTo: this.#replyTo })
  }

  #take(page: EventTail.EventPage): void {
    // What was asked for twice is taken once.
    if (this.#isOver || !this.#isAsking || eventCursorText(page.from) !== eventCursorText(this.#cursor)) return
    this.#isAsking = false
    if (page.type === 'gone') {
      this.#parts.response.write(goneText(this.#cursor, page.begin))
      return this.end()
    }
    this.#cursor = page.next
    const { filter, until } = this.#parts
    const wanted = page.events.filter(event => wantsEvent(filter, event) && (until === null || event.position < until))
    if (wanted.length === 0) return this.#next()
    const text = wanted.map(event => {
      return `id: ${eventIdOf(event)}\nevent: ${event.type}\ndata: ${JSON.stringify(toEventDocument(event))}\n\n`
    })
    this.#write(text.join(''))
  }

  #write(text: string): void {
    const { response, timing } = this.#parts
    const goOn = (): void => {
      if (this.#isOver) return
      this.#beatLater()
      this.#next()
    }
    if (response.write(text)) return goOn()
    this.#timeout(timing.drainMsMax, () => this.#cut())
    response.once('drain', goOn)
  }

  #cut(): void {
    const { response, logger, reader, timing } = this.#parts
    logger.warn('event-reader-cut', {
      reader,
      because: `it has taken nothing for ${timing.drainMsMax} ms`,
      next: eventCursorText(this.#cursor),
    })
    this.#over()
    response.destroy()
  }

  /** With the id, a quiet reader that comes again begins here and not where its last event was. */
  #beatLater(): void {
    this.#timeout(this.#parts.timing.heartbeatMs, () => {
      // The tail may have been made anew and have forgotten the question.
      if (this.#isAsking) this.#next()
      if (this.#isOver) return
      const beat = `: heartbeat\nid: ${eventCursorText(this.#cursor)}\n\n`
      if (this.#parts.response.write(beat)) return this.#beatLater()
      this.#timeout(this.#parts.timing.drainMsMax, () => this.#cut())
      this.#parts.response.once('drain', () => {
        if (!this.#isOver) this.#beatLater()
      })
    })
  }

  #timeout(afterMs: number, run: () => void): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = this.#isOver ? null : setTimeout(run, afterMs)
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#parts.tail.tell({ type: 'forget', reader: this.#parts.id })
    this.#parts.onEnd()
  }
}

export function truncatedText(cursor: EventCursor, begin: number): string {
  return `Events from ${eventCursorText(cursor)} on are asked for; the log begins at ${begin}`
}

function goneText(cursor: EventCursor, begin: number): string {
  const data = { code: 'LOG_TRUNCATED', detail: truncatedText(cursor, begin), begin }
  return `event: gone\ndata: ${JSON.stringify(data)}\n\n`
}
