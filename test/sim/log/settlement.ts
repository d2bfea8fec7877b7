/**
 * A promise whose end the simulation brings about in one definite moment: whoever waits is called at once and not in some
 * later turn of the event loop, so a run needs no event loop at all and is the same every time.
 */
export class Settlement<T = void> {
  readonly #waiting: { readonly ok: (value: T) => void; readonly no: (cause: unknown) => void }[] = []
  #end: { readonly cause: Error | null; readonly value: T } | null = null

  /** As a port hands it out. Only `then` is there, which is all that `Context.pipe` asks for. */
  get promise(): Promise<T> {
    return this as unknown as Promise<T>
  }

  // biome-ignore lint/suspicious/noThenProperty: being waited for is its purpose
  then(ok: (value: T) => void, no: (cause: unknown) => void): void {
    this.#waiting.push({ ok, no })
    this.#tell()
  }

  settle(cause: Error | null, value: T = undefined as T): void {
    this.#end ??= { cause, value }
    this.#tell()
  }

  #tell(): void {
    if (this.#end === null) return
    const { cause, value } = this.#end
    for (const waiting of this.#waiting.splice(0)) {
      if (cause === null) waiting.ok(value)
      else waiting.no(cause)
    }
  }
}
