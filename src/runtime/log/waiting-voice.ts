/**
 * A stuck node says what it waits for and from whom: once a minute, and when it changes, though not more often than every
 * few seconds, because a peer that is back in a moment is not worth a line.
 */
export const WAITING_LINE_MS = 60_000
const WAITING_CHANGE_MS = 5_000

export class WaitingVoice {
  readonly #text: () => string | null
  readonly #say: (text: string) => void
  #said: { readonly text: string; readonly atMs: number } | null = null
  #later: NodeJS.Timeout | null = null

  /** `text`: what is waited for now, or null; `say` says it. */
  constructor(text: () => string | null, say: (text: string) => void) {
    this.#text = text
    this.#say = say
  }

  /** With others about to be reached, the first words would soon be wrong. */
  holdBack(): void {
    this.#said = { text: '', atMs: performance.now() }
  }

  speak(): void {
    const text = this.#text()
    if (text === null) return
    const atMs = performance.now()
    const sinceMs = atMs - (this.#said?.atMs ?? Number.NEGATIVE_INFINITY)
    if (this.#said?.text === text && sinceMs < WAITING_LINE_MS / 2) return
    if (sinceMs < WAITING_CHANGE_MS) return this.#speakIn(WAITING_CHANGE_MS - sinceMs)
    this.#said = { text, atMs }
    this.#say(text)
  }

  speakSoon(): void {
    this.#speakIn(WAITING_CHANGE_MS)
  }

  #speakIn(ms: number): void {
    this.#later ??= setTimeout(() => {
      this.#later = null
      this.speak()
    }, ms).unref()
  }

  stop(): void {
    if (this.#later !== null) clearTimeout(this.#later)
  }
}
