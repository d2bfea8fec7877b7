/**
 * The events of the cluster, for readers on this node, whether it leads or not. Readers ask: a page from where they are,
 * answered at once when there is something and else as soon as there is. So a slow reader slows nobody and holds nothing
 * here but its question, and the live tail is the same reading of the log as that of old positions. Readers that wait at
 * the same place, as all live ones do, share one reading.
 *
 * What is committed stays so whoever leads; no lease is needed to tell it.
 */
import { assertNever } from '../core/base/assert.ts'
import { type EventCursor, eventCursorText } from '../core/events/event-cursor.ts'
import type { ActorSpec, Context, Ref } from './actor.ts'
import { type EventPage, EventPages } from './event-tail/event-pages.ts'
import type { LedgerActor } from './ledger.ts'
import type { LogListener, LogPort } from './ports.ts'

export type { EventPage } from './event-tail/event-pages.ts'

export type Command =
  /** One question per reader at a time; another takes its place. */
  | {
      readonly type: 'read'
      readonly reader: string
      readonly cursor: EventCursor
      readonly replyTo: Ref<EventPage>
    }
  /** The reader asks no more. */
  | { readonly type: 'forget'; readonly reader: string }
  /** The log of this node is committed up to there. */
  | { readonly type: 'committed'; readonly position: number }

type Message =
  | Command
  | { readonly type: 'paged'; readonly from: string; readonly commit: number; readonly page: EventPage }
  | { readonly type: 'readFailed'; readonly from: string; readonly cause: unknown }
  | { readonly type: 'look' }
  | { readonly type: 'looked'; readonly commit: number | null }

export interface EventTailOptions {
  readonly log: Pick<LogPort, 'read' | 'status'>
  /** How often the log is asked how far it is while somebody waits, beside what is told. Default 1,000. */
  readonly lookEveryMs?: number
}

/** Readings of the log at the same time. */
const READINGS_MAX = 4
const LOOK_EVERY_MS = 1_000

export function eventTailSpec(options: EventTailOptions): ActorSpec<Command> {
  const spec: ActorSpec<Message> = {
    name: 'event-tail',
    kind: 'EventTail',
    start: context => {
      const tail = new EventTail(options, context)
      return {
        receive: message => tail.receive(message),
        summary: () => ({ readers: tail.waiting.size, readings: tail.readings.size, commit: tail.commit }),
      }
    },
    mailbox: { capacity: 100_000 },
  }
  return spec as ActorSpec<Command>
}

class EventTail {
  commit = 0
  /** By reader. */
  readonly waiting = new Map<string, { readonly cursor: EventCursor; readonly replyTo: Ref<EventPage> }>()
  /** By where they begin. */
  readonly readings = new Set<string>()
  /** Where there was nothing new, and up to which commit; a failed reading rests until the next look. */
  readonly #resting = new Map<string, number>()
  readonly #pages: EventPages
  readonly #options: EventTailOptions
  readonly #context: Context<Message>

  constructor(options: EventTailOptions, context: Context<Message>) {
    this.#options = options
    this.#context = context
    this.#pages = new EventPages(options.log)
  }

  receive(message: Message): void {
    switch (message.type) {
      case 'read':
        this.waiting.set(message.reader, message)
        if (this.waiting.size === 1) this.#look()
        return this.#read()
      case 'forget':
        this.waiting.delete(message.reader)
        return
      case 'committed':
        if (message.position <= this.commit) return
        this.commit = message.position
        return this.#read()
      case 'paged':
        return this.#onPage(message.from, message.commit, message.page)
      case 'readFailed':
        this.#context.log.warn('event-read-failed', { from: message.from, cause: message.cause })
        this.readings.delete(message.from)
        this.#resting.set(message.from, Number.POSITIVE_INFINITY)
        return this.#read()
      case 'look':
        if (this.waiting.size > 0) this.#look()
        return
      case 'looked':
        this.commit = Math.max(this.commit, message.commit ?? 0)
        for (const [from, commit] of this.#resting) if (commit === Number.POSITIVE_INFINITY) this.#resting.delete(from)
        return this.#read()
      default:
        assertNever(message)
    }
  }

  #read(): void {
    for (const { cursor } of this.waiting.values()) {
      if (this.readings.size >= READINGS_MAX) return
      const from = eventCursorText(cursor)
      const { commit } = this
      if (cursor.position > commit || this.readings.has(from)) continue
      if ((this.#resting.get(from) ?? 0) >= commit) continue
      this.readings.add(from)
      this.#context.pipe(this.#pages.read(cursor, commit), settled =>
        settled.ok
          ? { type: 'paged', from, commit, page: settled.value }
          : { type: 'readFailed', from, cause: settled.cause },
      )
    }
  }

  #onPage(from: string, commit: number, page: EventPage): void {
    this.readings.delete(from)
    this.#resting.delete(from)
    if (page.type === 'page' && eventCursorText(page.next) === from) {
      // A transaction that is not whole yet.
      this.#resting.set(from, commit)
    } else {
      for (const [reader, { cursor, replyTo }] of this.waiting) {
        if (eventCursorText(cursor) !== from) continue
        this.waiting.delete(reader)
        replyTo.tell(page)
      }
    }
    this.#read()
  }

  #look(): void {
    this.#context.pipe(this.#options.log.status(), settled => ({
      type: 'looked',
      commit: settled.ok ? settled.value.commit : null,
    }))
    this.#context.startTimer('look', this.#options.lookEveryMs ?? LOOK_EVERY_MS, { type: 'look' })
  }
}

/** Tells the tail what the ledger commits while this node leads, and answers a listener that tells it the rest. */
export function toldOfCommits(ledger: LedgerActor, tail: Ref<Command>): LogListener {
  let told = 0
  const tell = (position: number): void => {
    if (position <= told) return
    told = position
    tail.tell({ type: 'committed', position })
  }
  ledger.subscribe('committed', change => tell(change.position))
  const { listener } = ledger
  return {
    viewChanged: (view, report) => listener.viewChanged(view, report),
    writable: reason => listener.writable(reason),
    committed: entries => {
      listener.committed(entries)
      const last = entries.at(-1)
      if (last !== undefined) tell(last.position)
    },
  }
}
