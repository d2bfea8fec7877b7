/**
 * Entries in a frame between members: behind everything else, as the very records that rest on disk, one after the other.
 * They carry their own checksums, which say more than one of the frame could, so that one leaves them out; and nothing is
 * spent on each of them that is not spent on all.
 */
import { type Ballot, compareBallots, type LogEnd } from '../../core/log/ballot.ts'
import { type Entry, readRecords } from '../../core/log/entry.ts'

const ENTRIES_MAX = 4_096

/** Gathers the entries of a frame. */
export class EntriesOut {
  bytes = 0
  readonly #pieces: Uint8Array[] = []

  /** Answers how many bytes they are. */
  add(entries: readonly Entry[]): number {
    const before = this.bytes
    for (let at = 0; at < entries.length; ) {
      const first = entries[at]!.record
      let size = 0
      // The records of one batch were made in one piece.
      for (; at < entries.length; at++) {
        const { record } = entries[at]!
        if (record.buffer !== first.buffer || record.byteOffset !== first.byteOffset + size) break
        size += record.length
      }
      this.#pieces.push(new Uint8Array(first.buffer, first.byteOffset, size))
      this.bytes += size
    }
    return this.bytes - before
  }

  writeTo(frame: Uint8Array, from: number): void {
    let at = from
    for (const piece of this.#pieces) {
      frame.set(piece, at)
      at += piece.length
    }
  }
}

/** Hands out the entries of a frame, in the order in which they were added. Whatever is wrong with them is thrown. */
export class EntriesIn {
  readonly #bytes: Uint8Array
  #at: number
  readonly #end: number

  constructor(bytes: Uint8Array, from: number, to: number) {
    this.#bytes = bytes
    this.#at = from
    this.#end = to
  }

  get left(): number {
    return this.#end - this.#at
  }

  /** The next `size` bytes: entries after `prev`, whose ballots may not go back, nor beyond `leads` if that is given. */
  take(size: number, prev: LogEnd, leads: Ballot | null): readonly Entry[] {
    if (size > this.left) throw new Error(`${size} bytes of entries, and the frame has ${this.left} left`)
    const entries: Entry[] = []
    let before = prev.ballot
    const from = this.#at
    this.#at += size
    for (const record of readRecords(this.#bytes, from, this.#at, prev.position + 1)) {
      const position = prev.position + 1 + entries.length
      if (!record.ok) throw new Error(`entry ${position}: ${record.reason}`)
      if (entries.length === ENTRIES_MAX) throw new Error(`more than ${ENTRIES_MAX} entries in one message`)
      const { entry } = record
      if (compareBallots(entry.ballot, before) < 0 || (leads !== null && compareBallots(entry.ballot, leads) > 0)) {
        throw new Error(`entry ${position}: its ballot is out of order`)
      }
      before = entry.ballot
      entries.push(entry)
    }
    return entries
  }
}
