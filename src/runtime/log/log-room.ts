/** Whether the log's disk has room, what everybody is told of it, and the wait for room after a write has met the full disk. */
import type { Logger, Metrics } from '../../actors/ports.ts'
import { DiskSpace, mebibytes, type SpaceReading } from './disk-space.ts'
import { SPACE_LIMITS, type SpaceLimits } from './log-options.ts'

export interface LogRoomPorts {
  readonly log: Logger
  readonly metrics: Metrics
  /** Default: the file system's word. */
  readonly freeBytesOf?: ((folder: string) => number) | undefined
  /** Each look, for the actors. */
  readonly onReading: (reading: SpaceReading, limits: SpaceLimits) => void
  /** Appends are taken again, or not any more and why. */
  readonly onWritable: (reason: string | null) => void
  /** This node leads, and there are others who might. */
  readonly leadsOthers: () => boolean
}

export class LogRoom {
  readonly #path: string
  readonly #limits: SpaceLimits
  readonly #ports: LogRoomPorts
  #space: DiskSpace | null = null
  /** Why the log is closed for want of room. */
  #trouble: string | null = null
  #isClosedTold = false
  #wait: NodeJS.Timeout | null = null

  constructor(path: string, limits: Partial<SpaceLimits> | undefined, ports: LogRoomPorts) {
    this.#path = path
    this.#limits = { ...SPACE_LIMITS, ...limits }
    this.#ports = ports
  }

  /** The folder is there. From the first call on, free space is looked at now and then. */
  watch(): void {
    if (this.#space !== null) return
    const onLook = (reading: SpaceReading, hasTurned: boolean): void => {
      this.#ports.metrics.gauge('log_disk_free_bytes', reading.freeBytes)
      this.#ports.onReading(reading, this.#limits)
      if (!hasTurned) return
      this.#warn(reading)
      // While the log is being closed for want of room, that is told once it is closed.
      if (this.#trouble === null || this.#isClosedTold) this.#ports.onWritable(this.notWritable())
    }
    this.#space = new DiskSpace(this.#path, this.#limits, onLook, this.#ports.freeBytesOf)
    this.#space.watch()
  }

  /** Also the moment for a new ballast. */
  opened(): void {
    const space = this.#space!
    this.#warn(space.check())
    void space.makeBallast().catch((cause: Error) => this.#ports.log.warn('log-ballast', { cause: cause.message }))
    if (this.#isClosedTold) this.#ports.onWritable(this.notWritable())
    this.#isClosedTold = false
  }

  get freeBytes(): number {
    return this.#space?.read().freeBytes ?? 0
  }

  /** A write has found the disk full: the log is closed, or about to be. */
  tellFull(cause: unknown): void {
    this.#trouble = cause instanceof Error ? cause.message : String(cause)
    this.#ports.log.error('log-disk-full', { path: this.#path })
  }

  awaitRoom(onRoom: () => void): void {
    this.#isClosedTold = true
    this.#ports.onWritable(this.#trouble)
    this.#space?.dropBallast()
    this.#wait = setInterval(() => {
      if (this.#space?.check().full !== false) return
      this.stopWaiting()
      this.#trouble = null
      onRoom()
    }, this.#limits.checkEveryMs / 5)
    this.#wait.unref()
  }

  stopWaiting(): void {
    if (this.#wait !== null) clearInterval(this.#wait)
    this.#wait = null
  }

  notWritable(): string | null {
    if (this.#trouble !== null) return this.#trouble
    const reading = this.#space?.last
    if (!reading?.full) return null
    const few = `only ${mebibytes(reading.freeBytes)} are free at ${this.#path}`
    const refusal = `appends are refused below ${mebibytes(this.#limits.reserveBytes)}`
    const place = this.#ports.leadsOthers()
      ? ', and leadership stays here as long as no other member, and a quorum, has room'
      : ''
    return `${few}${place}; ${refusal} (log.space.reserve): free some space`
  }

  stop(): void {
    this.stopWaiting()
    this.#space?.stop()
  }

  #warn({ full, low, freeBytes }: SpaceReading): void {
    if (full || low) this.#ports.log.warn('log-disk-space', { freeBytes, path: this.#path, refusing: full })
  }
}
