/**
 * Watches the free space under the log. Below the reserve appends are refused, so that votes and the way out still find
 * room; the ballast is a file that exists to be deleted, since LMDB needs free pages even to delete. Looks seldom while
 * all is well and five times as often while it is not. Source: the replicated log, C10.
 */
import { rmSync, statfsSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { SpaceLimits } from './log-options.ts'

export interface SpaceReading {
  readonly freeBytes: number
  readonly full: boolean
  readonly low: boolean
}

export class DiskSpace {
  readonly #folder: string
  readonly #limits: SpaceLimits
  readonly #onLook: (reading: SpaceReading, hasTurned: boolean) => void
  readonly #freeBytesOf: (folder: string) => number
  #timer: NodeJS.Timeout | null = null
  #last: SpaceReading

  /** `onLook` is told of every look, and whether `full` or `low` has turned; the first reading is in `last`. */
  constructor(
    folder: string,
    limits: SpaceLimits,
    onLook: (reading: SpaceReading, hasTurned: boolean) => void,
    freeBytesOf = freeBytesAt,
  ) {
    this.#freeBytesOf = freeBytesOf
    this.#folder = folder
    this.#limits = limits
    this.#onLook = onLook
    this.#last = this.read()
  }

  get last(): SpaceReading {
    return this.#last
  }

  read(): SpaceReading {
    const freeBytes = this.#freeBytesOf(this.#folder)
    const { reserveBytes, alarmBytes } = this.#limits
    return { freeBytes, full: freeBytes < reserveBytes, low: freeBytes < alarmBytes }
  }

  /** Begins to look now and then. */
  watch(): void {
    const { checkEveryMs } = this.#limits
    this.#timer = setTimeout(
      () => {
        this.check()
        this.watch()
      },
      this.#last.full ? checkEveryMs / 5 : checkEveryMs,
    )
    this.#timer.unref()
  }

  check(): SpaceReading {
    const before = this.#last
    this.#last = this.read()
    this.#onLook(this.#last, before.full !== this.#last.full || before.low !== this.#last.low)
    return this.#last
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Writes the ballast in small steps, unless it is there or would make space short. Real bytes: a hole holds nothing. */
  async makeBallast(): Promise<void> {
    const { ballastBytes, alarmBytes } = this.#limits
    if (ballastBytes === 0 || this.#ballastSize() >= ballastBytes) return
    if (this.read().freeBytes < ballastBytes + alarmBytes) return
    const file = await open(this.#ballastPath(), 'w')
    try {
      const block = Buffer.alloc(1024 * 1024, 0xdb)
      for (let at = 0; at < ballastBytes; at += block.length) {
        await file.write(block, 0, Math.min(block.length, ballastBytes - at), at)
      }
    } finally {
      await file.close()
    }
  }

  dropBallast(): void {
    rmSync(this.#ballastPath(), { force: true })
  }

  #ballastPath(): string {
    return join(this.#folder, 'ballast')
  }

  #ballastSize(): number {
    return statSync(this.#ballastPath(), { throwIfNoEntry: false })?.size ?? 0
  }
}

/** What a process without root's reserve may still write at `folder`. */
export function freeBytesAt(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

export function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / (1024 * 1024))} MiB`
}
