/** What the benches need to know of a cluster of a peer: three nodes of it on loopback, durable as its documents say. */
import type { PeerName } from '../bench.ts'
import type { PeerProcess } from './process.ts'

export const PEER_NODES = 3

export interface PeerCluster {
  readonly name: PeerName
  /** As the servers say when asked. */
  readonly version: string
  /** One fact a line. */
  readonly configuration: readonly string[]
  /** `host:port` for clients, by node. */
  readonly addresses: readonly string[]
  /** By node; null while it is down. */
  readonly nodes: readonly (PeerProcess | null)[]
  /** Which node leads, once all that live agree and have caught up. */
  leader(): Promise<number>
  /** SIGKILL; settles when the process is gone. The signal is sent before this returns. */
  kill(at: number): Promise<void>
  /** Starts it again with the data that it has; does not wait until it serves. */
  start(at: number): void
  end(): Promise<void>
}

/** A peer can be measured, or why not and what to do about it in one line. */
export type Found<Installed> =
  | { readonly skipped: null; readonly installed: Installed }
  | { readonly skipped: string; readonly installed: null }

/** One way to load a peer with a number of writers that have one write out each. */
export interface Shape {
  /** In words, for the report. */
  readonly title: string
  /** Writes for so long; a reason instead if one of them failed, because then there is nothing to be read from it. */
  round(writers: number, ms: number): Promise<PeerRound | string>
}

export interface PeerRound {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly writes: number
}

const POLL_MS = 20
const WAIT_MS_MAX = 60_000

/** Asks until there is an answer. `what` is said, with the last trouble, if there is none in time. */
export async function until<Value>(
  what: string,
  ask: () => Promise<Value | null>,
  trouble: () => string,
): Promise<Value> {
  let last: unknown = null
  for (const endMs = performance.now() + WAIT_MS_MAX; performance.now() < endMs; ) {
    try {
      const value = await ask()
      if (value !== null) return value
    } catch (cause) {
      last = cause
    }
    await new Promise(resolve => setTimeout(resolve, POLL_MS))
  }
  throw new Error(`${what} within ${WAIT_MS_MAX / 1_000} s: ${trouble()}`, { cause: last })
}
