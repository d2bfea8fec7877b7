/** The relays of all members: one process each, and what the links between them are told. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Address } from '../fixtures/real-cluster.ts'
import { projectRoot } from '../fixtures/real-node.ts'
import type { LinkState } from './relay.ts'

/** One fault's hold on a link. */
export interface LinkHold {
  release(): void
}

export class Relays {
  readonly #cluster: string
  readonly #processes = new Map<number, ChildProcess>()
  readonly #holds = new Map<string, Set<LinkState>>()

  /** `cluster`: what tells the members of this run from others, see `relay.ts`. */
  constructor(cluster: string) {
    this.#cluster = cluster
  }

  /** `within`: what runs a process in the network of the member. */
  async start(memberId: number, listen: Address, target: Address, within: readonly string[]): Promise<void> {
    const options = JSON.stringify({ memberId, listen, target, cluster: this.#cluster })
    const entry = join(projectRoot, 'dist', 'scripts', 'chaos-relay.js')
    const [command, ...args] = [...within, process.execPath, entry, options]
    const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#processes.set(memberId, child)
    // Its end is told by its exit; what is written to it meanwhile is for nobody.
    child.stdin.on('error', () => {})
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the relay of member ${memberId} ended with ${code}`)
    })
    await Promise.race([once(child.stdout, 'data'), ended])
    ended.catch(() => {})
  }

  /** From now on, and until it is released. Of two holds on one link the longer delay counts. */
  hold(from: number, to: number, state: LinkState): LinkHold {
    const link = `${from} to ${to}`
    const holds = this.#holds.get(link) ?? new Set()
    this.#holds.set(link, holds.add(state))
    const tell = (): void => {
      const delayMs = Math.max(0, ...[...holds].map(one => one.delayMs))
      const held = [...holds].some(one => one.held)
      const line = `${JSON.stringify({ from, to, state: { delayMs, held } })}\n`
      // Its bytes pass through both: connections of `from` through the relay of `to`, those of `to` through that of `from`.
      for (const end of [from, to]) this.#processes.get(end)?.stdin?.write(line)
    }
    tell()
    return {
      release: () => {
        holds.delete(state)
        tell()
      },
    }
  }

  async remove(): Promise<void> {
    for (const child of this.#processes.values()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
    this.#processes.clear()
  }
}
