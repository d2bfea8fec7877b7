/**
 * What the inspector sees. Everything is read straight from the cells when somebody looks, never through a mailbox, so
 * a stuck actor shows like any other and nothing is spent while nobody looks. Dead letters are counted, the last kept.
 */
import type { ActorReport, Inspection } from '../actor.ts'
import { type Cell, type Message, typeOfMessage } from './cell.ts'
import type { Kernel } from './kernel.ts'

const DEAD_LETTERS_KEPT = 100
/** Of one state summary, names and values together. */
const SUMMARY_CHARS_MAX = 2_048

export class Inspector implements Inspection {
  readonly #kernel: Kernel
  readonly #deadLetters: { path: string; messageType: string; atMs: number }[] = []
  #deadLetterCount = 0

  constructor(kernel: Kernel) {
    this.#kernel = kernel
  }

  get deadLetterCount(): number {
    return this.#deadLetterCount
  }

  deadLetters(): readonly { readonly path: string; readonly messageType: string; readonly atMs: number }[] {
    const count = this.#deadLetterCount
    if (count <= DEAD_LETTERS_KEPT) return [...this.#deadLetters]
    const oldest = count % DEAD_LETTERS_KEPT
    return [...this.#deadLetters.slice(oldest), ...this.#deadLetters.slice(0, oldest)]
  }

  noteDeadLetter(path: string, message: Message): void {
    const letter = { path, messageType: typeOfMessage(message), atMs: this.#kernel.wallMs() }
    this.#deadLetters[this.#deadLetterCount % DEAD_LETTERS_KEPT] = letter
    this.#deadLetterCount++
  }

  actors(): readonly ActorReport[] {
    const reports: ActorReport[] = []
    this.#walk(cell => reports.push(this.#report(cell)))
    return reports
  }

  oldestMessage(): { readonly path: string; readonly ageMs: number } | null {
    const nowMs = this.#kernel.clock.read().monoMs
    let oldest: Cell | null = null
    let ageMs = 0
    this.#walk(cell => {
      const { ring } = cell
      if (ring === null || ring.size === 0 || nowMs - ring.oldestMs <= ageMs) return
      oldest = cell
      ageMs = nowMs - ring.oldestMs
    })
    return oldest === null ? null : { path: (oldest as Cell).path, ageMs }
  }

  /** Parents before their children, children in the order in which they were made. */
  #walk(visit: (cell: Cell) => void): void {
    const waiting: Cell[] = []
    for (let cell: Cell | undefined = this.#kernel.root; cell !== undefined; cell = waiting.pop()) {
      if (cell !== this.#kernel.root) visit(cell)
      if (cell.children === null) continue
      const children = [...cell.children.values()]
      for (let at = children.length - 1; at >= 0; at--) waiting.push(children[at]!)
    }
  }

  actor(path: string): ActorReport | undefined {
    if (!path.startsWith('/')) return undefined
    let cell: Cell | undefined = this.#kernel.root
    for (const name of path.slice(1).split('/')) cell = cell?.children?.get(name)
    return cell === undefined ? undefined : this.#report(cell)
  }

  #report(cell: Cell): ActorReport {
    const rare = cell.rare
    const now = this.#kernel.clock.read()
    const isLive = cell.status === 'new' ? cell.incarnation === 0 : cell.status === 'running'
    return {
      path: cell.path,
      parent: cell.parent === null || cell.parent === this.#kernel.root ? null : cell.parent.path,
      kind: cell.spec?.kind ?? 'Nest',
      status: isLive ? 'running' : cell.status === 'stopping' ? 'stopping' : 'restarting',
      mailboxDepth: cell.ring?.size ?? 0,
      mailboxMax: cell.spec === null ? 0 : cell.capacity,
      oldestMessageAgeMs: cell.ring === null || cell.ring.size === 0 ? 0 : Math.max(0, now.monoMs - cell.ring.oldestMs),
      processed: cell.processed,
      failed: rare?.failed ?? 0,
      refused: rare?.refused ?? 0,
      restarts: rare?.restarts ?? 0,
      busyMs: cell.busyMs + this.#kernel.turnSoFarMs(cell),
      lastError: rare?.lastError ?? null,
      stateSummary: this.#summary(cell),
      startedAtMs: cell.startedAtMs,
      lastMessageAtMs: cell.lastMessageMs < 0 ? null : now.wallMs - Math.max(0, now.monoMs - cell.lastMessageMs),
      children: cell.children?.size ?? 0,
    }
  }

  #summary(cell: Cell): Readonly<Record<string, string | number | boolean | null>> {
    let whole: Readonly<Record<string, string | number | boolean | null>>
    try {
      whole = cell.behaviour?.summary?.() ?? {}
    } catch (error) {
      return { summaryFailed: String(error).slice(0, SUMMARY_CHARS_MAX) }
    }
    const kept: Record<string, string | number | boolean | null> = {}
    let room = SUMMARY_CHARS_MAX
    for (const [name, value] of Object.entries(whole)) {
      const shown = typeof value === 'string' ? value.slice(0, Math.max(0, room - name.length)) : value
      room -= name.length + (typeof shown === 'string' ? shown.length : 8)
      if (room < 0) break
      kept[name] = shown
    }
    return kept
  }
}
