/**
 * The hashes of rows that were written lately. The digest of all rows needs the hash of what a row was; a row that changes
 * once is likely to change again soon, and to read and hash it anew each time costs more than to write it.
 */
const ROWS_MAX = 65_536

export class RowHashes {
  readonly #byTable = new Map<number, Map<string, number>>()
  #count = 0

  /** Undefined: not known here. 0: there is no such row. */
  get(table: number, key: string): number | undefined {
    return this.#byTable.get(table)?.get(key)
  }

  set(table: number, key: string, hash: number): void {
    let known = this.#byTable.get(table)
    if (known === undefined) {
      known = new Map()
      this.#byTable.set(table, known)
    }
    const before = known.size
    known.set(key, hash)
    this.#count += known.size - before
    if (this.#count > ROWS_MAX) this.#forget()
  }

  /** All at once: what is needed is soon known again. */
  #forget(): void {
    this.#byTable.clear()
    this.#count = 0
  }
}
