/**
 * What stands between a member and those that dial it: takes TCP connections and passes bytes on, as late as it is told
 * to, in their order. A link is a direction between two members: what one end of a connection sends belongs to the link
 * from that member to the other, whoever has dialed. Packets cannot be lost or overtake each other here: TCP would hide
 * it, and `network.ts` has loss.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'

export interface LinkState {
  readonly delayMs: number
  /** Nothing passes until it is let go, and then all of it. */
  readonly held: boolean
}

const FREE: LinkState = { delayMs: 0, held: false }
/** More than this is not read from the sender, who then notices as it would with a slow peer. */
const LANE_BYTES_MAX = 8 * 1024 * 1024

/** What is on its way in one direction of one connection. Times are monotonic ms. */
export class Lane {
  /** Null: the end. */
  readonly #waiting: { readonly bytes: Buffer | null; readonly dueMs: number }[] = []
  #lastDueMs = 0
  #bytes = 0

  get isFull(): boolean {
    return this.#bytes > LANE_BYTES_MAX
  }

  /** Nothing overtakes what was sent before it, also when the link has become quicker. */
  put(bytes: Buffer | null, nowMs: number, { delayMs }: LinkState): void {
    this.#lastDueMs = Math.max(this.#lastDueMs, nowMs + delayMs)
    this.#waiting.push({ bytes, dueMs: this.#lastDueMs })
    this.#bytes += bytes?.length ?? 0
  }

  /** What has arrived, taken out. */
  take(nowMs: number, { held }: LinkState): readonly (Buffer | null)[] {
    if (held) return []
    const first = this.#waiting.findIndex(({ dueMs }) => dueMs > nowMs)
    const arrived = this.#waiting.splice(0, first === -1 ? this.#waiting.length : first)
    for (const { bytes } of arrived) this.#bytes -= bytes?.length ?? 0
    return arrived.map(({ bytes }) => bytes)
  }

  /** When there is more to take; null: not before somebody puts, or lets go. */
  nextMs({ held }: LinkState): number | null {
    return held ? null : (this.#waiting[0]?.dueMs ?? null)
  }
}

export interface RelayOptions {
  readonly memberId: number
  readonly listen: { readonly host: string; readonly port: number }
  readonly target: { readonly host: string; readonly port: number }
  /** Who has dialed, by the port that the connection comes from; null: a stranger, whose bytes pass freely. */
  readonly dialerAt: (port: number) => number | null
}

export class Relay {
  readonly #options: RelayOptions
  readonly #server: Server
  readonly #links = new Map<string, LinkState>()
  readonly #directions = new Set<Direction>()

  constructor(options: RelayOptions) {
    this.#options = options
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, socket => this.#onDialed(socket))
  }

  listen(): Promise<void> {
    const { host, port } = this.#options.listen
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, resolve)
    })
  }

  set(from: number, to: number, state: LinkState): void {
    this.#links.set(`${from} to ${to}`, state)
    for (const direction of this.#directions) direction.pass()
  }

  close(): Promise<void> {
    for (const direction of this.#directions) direction.end()
    return new Promise(resolve => this.#server.close(() => resolve()))
  }

  #onDialed(dialer: Socket): void {
    const { memberId, target, dialerAt } = this.#options
    const from = dialerAt(dialer.remotePort ?? 0)
    const acceptor = connect({ ...target, allowHalfOpen: true, noDelay: true })
    const stateOf = (source: number | null, to: number | null) => (): LinkState =>
      this.#links.get(`${source} to ${to}`) ?? FREE
    const end = (): void => {
      for (const direction of both) this.#directions.delete(direction)
      dialer.destroy()
      acceptor.destroy()
    }
    const both = [
      new Direction(dialer, acceptor, stateOf(from, memberId), end),
      new Direction(acceptor, dialer, stateOf(memberId, from), end),
    ]
    for (const direction of both) this.#directions.add(direction)
    let open = 2
    const closed = (): void => {
      if (--open === 0) end()
    }
    dialer.once('close', closed)
    acceptor.once('close', closed)
  }
}

class Direction {
  readonly end: () => void
  readonly #lane = new Lane()
  readonly #source: Socket
  readonly #sink: Socket
  readonly #state: () => LinkState
  #timer: NodeJS.Timeout | null = null

  constructor(source: Socket, sink: Socket, state: () => LinkState, end: () => void) {
    this.#source = source
    this.#sink = sink
    this.#state = state
    this.end = end
    source.on('data', bytes => this.#put(bytes))
    source.once('end', () => this.#put(null))
    // A reset is no message that could be late: the other end is told at once, as by a machine that is gone.
    source.once('error', end)
    sink.on('drain', () => this.#flow())
  }

  #put(bytes: Buffer | null): void {
    this.#lane.put(bytes, performance.now(), this.#state())
    this.pass()
  }

  pass(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const nowMs = performance.now()
    for (const bytes of this.#lane.take(nowMs, this.#state())) {
      if (this.#sink.destroyed) return
      if (bytes === null) this.#sink.end()
      else this.#sink.write(bytes)
    }
    this.#flow()
    const nextMs = this.#lane.nextMs(this.#state())
    if (nextMs !== null) this.#timer = setTimeout(() => this.pass(), Math.max(1, nextMs - nowMs))
  }

  #flow(): void {
    if (this.#lane.isFull || this.#sink.writableNeedDrain) this.#source.pause()
    else this.#source.resume()
  }
}

/** In the environment of every member: whose process it is. */
export const MEMBER_VARIABLE = 'DAYBREAK_CHAOS_MEMBER'

/**
 * The member whose process has a connection to `listenPort` from `dialerPort`, also in another network namespace: the
 * kernel lists a process's sockets with their ports, and which of them a process has open. `cluster` tells its members
 * from those of another run.
 */
export function dialerOf(cluster: string, dialerPort: number, listenPort: number): number | null {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    try {
      const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
      const own = variables.find(variable => variable.startsWith(`${MEMBER_VARIABLE}=${cluster}:`))
      if (own === undefined) continue
      const inode = inodeOf(readFileSync(`/proc/${pid}/net/tcp`, 'utf8'), dialerPort, listenPort)
      if (inode === null) continue
      const open = readdirSync(`/proc/${pid}/fd`).map(file => linkOf(`/proc/${pid}/fd/${file}`))
      if (open.includes(`socket:[${inode}]`)) return Number(own.split(':').at(-1))
    } catch {
      // Gone meanwhile, or not ours to look at.
    }
  }
  return null
}

/** Of the table in /proc/<pid>/net/tcp: local address, remote address, and in the tenth column the inode. */
export function inodeOf(table: string, localPort: number, remotePort: number): string | null {
  const ends = (address: string | undefined, port: number): boolean =>
    address?.endsWith(`:${port.toString(16).toUpperCase().padStart(4, '0')}`) === true
  for (const line of table.split('\n').slice(1)) {
    const columns = line.trim().split(/\s+/)
    if (ends(columns[1], localPort) && ends(columns[2], remotePort)) return columns[9] ?? null
  }
  return null
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
