/**
 * What the disks of the other members have shown: the highest start, promise and acknowledged committed position of each.
 * A disk that later shows less is an older copy. Kept in `peers.json` beside the log, written a moment after a change and
 * never waited for: what a crash loses of it only makes a copy of these last moments pass unseen.
 */
import { readFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { mergeRecords, type PeerRecord } from '../../core/log/handshake.ts'

const WRITE_EVERY_MS = 5_000
const TELL_EVERY_MS = 1_000
/** Of disks that are gone only the latest matter. */
const RECORDS_MAX = 64

export class PeerRecords {
  readonly #path: string
  readonly #records: Map<string, PeerRecord>
  readonly #onTrouble: (cause: unknown) => void
  #timer: NodeJS.Timeout | null = null
  #writing: Promise<void> = Promise.resolve()
  #teller: NodeJS.Timeout | null = null
  readonly #onNews: () => void

  /**
   * `folder` must be there. A file that cannot be read counts as none: it can only accuse, never excuse. `onNews` is
   * called a moment after something has changed: the others should know it too.
   */
  constructor(folder: string, onNews: () => void, onTrouble: (cause: unknown) => void) {
    this.#onNews = onNews
    this.#path = join(folder, 'peers.json')
    this.#onTrouble = onTrouble
    this.#records = readRecords(this.#path, onTrouble)
  }

  /** By incarnation; a copy. */
  all(): ReadonlyMap<string, PeerRecord> {
    return new Map(this.#records)
  }

  note(incarnation: string, shown: PeerRecord): void {
    const known = this.#records.get(incarnation) ?? null
    const merged = mergeRecords(known, shown)
    if (known !== null && sameRecord(known, merged)) return
    if (known === null && this.#records.size >= RECORDS_MAX)
      this.#records.delete(this.#records.keys().next().value ?? '')
    this.#records.set(incarnation, merged)
    this.#teller ??= setTimeout(() => {
      this.#teller = null
      this.#onNews()
    }, TELL_EVERY_MS).unref()
    this.#timer ??= setTimeout(() => void this.flush(), WRITE_EVERY_MS).unref()
  }

  stop(): Promise<void> {
    if (this.#teller !== null) clearTimeout(this.#teller)
    return this.flush()
  }

  /** Settles when what is known now is on disk, or the trouble has been told. */
  flush(): Promise<void> {
    if (this.#timer === null) return this.#writing
    clearTimeout(this.#timer)
    this.#timer = null
    this.#writing = this.#writing.then(() => this.#write()).catch(this.#onTrouble)
    return this.#writing
  }

  async #write(): Promise<void> {
    const fresh = `${this.#path}.new`
    const file = await open(fresh, 'w', 0o600)
    try {
      await file.writeFile(`${JSON.stringify(Object.fromEntries(this.#records), null, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(fresh, this.#path)
  }
}

function sameRecord(a: PeerRecord, b: PeerRecord): boolean {
  return (
    a.bootCounter === b.bootCounter &&
    a.committed === b.committed &&
    a.promised[0] === b.promised[0] &&
    a.promised[1] === b.promised[1]
  )
}

function readRecords(path: string, onTrouble: (cause: unknown) => void): Map<string, PeerRecord> {
  try {
    const read = JSON.parse(readFileSync(path, 'utf8')) as Record<string, PeerRecord>
    return new Map(Object.entries(read))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') onTrouble(cause)
    return new Map()
  }
}
