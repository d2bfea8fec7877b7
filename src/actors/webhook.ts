/**
 * Tells a web server of the transitions of tasks: every one at least once, those of a task in order, from a cursor in the
 * rows of the cluster, so that the next leader goes on where the last one was. The cursor is written rarely; what was
 * posted since is posted again after a failover, under the same id. What the log does not hold any more when its turn
 * comes is told as a gap. Nothing of the scheduler waits for it.
 */
import { assertNever } from '../core/base/assert.ts'
import type { TaskTransition } from '../core/events/cluster-events.ts'
import { Deliveries, type Delivery } from '../core/events/deliveries.ts'
import { type EventCursor, eventCursorText } from '../core/events/event-cursor.ts'
import { type EventFilter, wantsEvent } from '../core/events/event-filter.ts'
import type { TaskStatus } from '../core/task/status.ts'
import { eventIdOf, gapBody, webhookBody } from '../wire/events.ts'
import type { ActorSpec, Context, Ref } from './actor.ts'
import type * as EventTail from './event-tail.ts'
import type { Ledger } from './ledger.ts'
import type { Metrics } from './ports.ts'

export interface WebhookPort {
  /** Never rejects. `status` null: there was no answer. Any 2xx is a success. */
  /** `timestampMs`: of this try. */
  post(what: { readonly id: string; readonly timestampMs: number; readonly body: string }): Promise<WebhookAnswer>
}
export interface WebhookAnswer {
  readonly ok: boolean
  readonly status: number | null
  readonly why: string
}

export interface WebhookOptions {
  readonly ledger: Ledger
  readonly events: Ref<EventTail.Command>
  readonly port: WebhookPort
  readonly metrics: Metrics
  /** Only transitions into these; empty: all. */
  readonly statuses: readonly TaskStatus[]
  readonly filter: EventFilter
}

type Message =
  | EventTail.EventPage
  | { readonly type: 'posted'; readonly delivery: Posted; readonly answer: WebhookAnswer }
  | { readonly type: 'resume'; readonly lane: string }
  | { readonly type: 'askAgain' }
  | { readonly type: 'save' }

interface Posted extends Delivery {
  readonly event: TaskTransition | null
  readonly body: string | null
}

export const WEBHOOK_CURSOR = 'webhook-cursor'
const SAVE_AFTER_MS = 5_000
/** While nothing is posted the cursor is written after so many positions, so that it stays within the log. */
const SAVE_POSITIONS = 1_000
/** The tail may have been made anew and have forgotten the question. */
const ASK_AGAIN_MS = 30_000
const GAP_LANE = 'gap'

export function webhookSpec(options: WebhookOptions): ActorSpec<never> {
  const spec: ActorSpec<Message> = {
    name: 'webhook',
    kind: 'Webhook',
    start: context => {
      const webhook = new Webhook(options, context)
      webhook.start()
      return {
        receive: message => webhook.receive(message),
        stopping: () => void options.events.tell({ type: 'forget', reader: READER }),
        summary: () => webhook.summary(),
      }
    },
    // A fault in here must not end the leader.
    supervision: { type: 'restart', backoffMs: 1_000, backoffMsMax: 60_000, limit: 1_000_000, withinMs: 60_000 },
  }
  return spec as ActorSpec<never>
}

const READER = 'webhook'

class Webhook {
  readonly #options: WebhookOptions
  readonly #context: Context<Message>
  #cursor: EventCursor
  #saved: EventCursor | null = null
  #hasPosted = false
  #deliveries = new Deliveries<Posted>([])
  /** Where to go on when these are done. */
  #next: EventCursor
  #isFailing = false

  constructor(options: WebhookOptions, context: Context<Message>) {
    this.#options = options
    this.#context = context
    this.#saved = readCursor(options.ledger.view.meta(WEBHOOK_CURSOR)?.value)
    // The first time it begins with what happens from now on.
    this.#cursor = this.#saved ?? { position: options.ledger.applied + 1, seen: 0 }
    this.#next = this.#cursor
  }

  start(): void {
    if (this.#saved === null) this.#save()
    this.#ask()
  }

  summary(): Record<string, string | number | boolean | null> {
    return {
      cursor: eventCursorText(this.#cursor),
      saved: this.#saved === null ? null : eventCursorText(this.#saved),
      failing: this.#deliveries.failing,
    }
  }

  receive(message: Message): void {
    switch (message.type) {
      case 'page':
        if (this.#isOther(message.from)) return
        return this.#begin(
          message.events.flatMap(event => (event.type === 'task.transition' ? this.#deliveryOf(event) : [])),
          message.next,
        )
      case 'gone':
        if (this.#isOther(message.from)) return
        return this.#onGone(message.begin)
      case 'posted':
        return this.#onPosted(message.delivery, message.answer)
      case 'resume':
        this.#deliveries.resume(message.lane)
        return this.#post()
      case 'askAgain':
        if (this.#deliveries.isDone) this.#ask()
        return
      case 'save':
        return this.#save()
      default:
        assertNever(message)
    }
  }

  /** An answer to a question that was asked twice, or is being worked on already. */
  #isOther(from: EventCursor): boolean {
    return !this.#deliveries.isDone || eventCursorText(from) !== eventCursorText(this.#cursor)
  }

  #ask(): void {
    const { events } = this.#options
    events.tell({ type: 'read', reader: READER, cursor: this.#cursor, replyTo: this.#context.self })
    this.#context.startTimer('askAgain', ASK_AGAIN_MS, { type: 'askAgain' })
  }

  #begin(deliveries: readonly Posted[], next: EventCursor): void {
    this.#deliveries = new Deliveries(deliveries)
    this.#next = next
    if (deliveries.length > 0) this.#hasPosted = true
    this.#post()
  }

  #onGone(begin: number): void {
    const from = eventCursorText(this.#cursor)
    this.#context.log.warn('webhook-gap', { from, begin })
    const timestampMs = this.#context.now().wallMs
    const body = gapBody({ from, to: begin, timestampMs })
    this.#begin([{ id: `gap-${from}-${begin}`, lane: GAP_LANE, event: null, body }], {
      position: begin,
      seen: 0,
    })
  }

  #deliveryOf(event: TaskTransition): Posted[] {
    const { statuses, filter } = this.#options
    if (statuses.length > 0 && !statuses.includes(event.event.status)) return []
    if (!wantsEvent(filter, event)) return []
    return [{ id: eventIdOf(event), lane: event.row.taskId, event, body: null }]
  }

  #post(): void {
    const { port, ledger, metrics } = this.#options
    for (const delivery of this.#deliveries.next()) {
      const { id, event } = delivery
      const timestampMs = this.#context.now().wallMs
      const body =
        delivery.body ?? (event === null ? '' : webhookBody(event, ledger.view.config(event.row.configId) ?? null))
      metrics.count('webhooks_attempts')
      this.#context.pipe(port.post({ id, timestampMs, body }), settled => {
        const answer = settled.ok ? settled.value : { ok: false, status: null, why: String(settled.cause) }
        return { type: 'posted', delivery, answer }
      })
    }
    if (!this.#deliveries.isDone) return
    this.#cursor = this.#next
    const moved = this.#cursor.position - (this.#saved?.position ?? 0)
    if (this.#hasPosted || moved >= SAVE_POSITIONS) this.#saveLater()
    this.#ask()
  }

  #onPosted(delivery: Posted, { ok, status, why }: WebhookAnswer): void {
    const { metrics } = this.#options
    const { log } = this.#context
    if (ok) {
      metrics.count('webhooks_success')
      this.#deliveries.taken(delivery)
      if (this.#isFailing && this.#deliveries.failing === 0) {
        this.#isFailing = false
        log.info('webhook-recovered', { event: delivery.id })
      }
    } else {
      metrics.count(status === null ? 'webhooks_errors' : 'webhooks_user_errors')
      const pauseMs = this.#deliveries.failed(delivery)
      if (pauseMs === null) return
      if (!this.#isFailing) log.warn('webhook-failing', { event: delivery.id, status, why, retryInMs: pauseMs })
      this.#isFailing = true
      this.#context.startTimer(`resume ${delivery.lane}`, pauseMs, { type: 'resume', lane: delivery.lane })
    }
    this.#post()
  }

  #saveLater(): void {
    if (this.#isSaving) return
    this.#isSaving = true
    this.#context.startTimer('save', SAVE_AFTER_MS, { type: 'save' })
  }
  #isSaving = false

  #save(): void {
    const { ledger } = this.#options
    this.#isSaving = false
    if (ledger.refusal() !== null) return this.#saveLater()
    const { position, seen } = this.#cursor
    const value = { position, seen }
    const change = {
      type: 'put',
      table: 'meta',
      key: WEBHOOK_CURSOR,
      row: { v: 1, name: WEBHOOK_CURSOR, value },
    } as const
    ledger.stage({ cause: { who: 'webhook', why: 'cursor', wallMs: this.#context.now().wallMs }, changes: [change] })
    this.#saved = value
    this.#hasPosted = !this.#deliveries.isDone
  }
}

function readCursor(value: unknown): EventCursor | null {
  if (typeof value !== 'object' || value === null) return null
  const { position, seen } = value as { position?: unknown; seen?: unknown }
  return typeof position === 'number' && typeof seen === 'number' ? { position, seen } : null
}
