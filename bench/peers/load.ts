/** Client processes that load a peer together; as many as load Daybreak. */
import { percentile } from '../bench.ts'
import { Child } from '../log/child.ts'
import type { ClientRound, LostRound } from '../log/client.ts'
import { CLIENT_PROCESSES } from '../log/cluster.ts'
import type { PeerRound } from './peer.ts'

/** How one process reaches the servers. */
export interface Connections {
  readonly addresses: readonly string[]
  /** At most so many of them, spread over the addresses; `each` for one per writer. */
  readonly connections: number | 'each'
  /** Part of each key: two processes do not write the same. */
  readonly client: string
  readonly writers: number
  readonly valueBytes: number
}

export type PeerClientQuestions = {
  /** In the place of the connections before; ready for so many writers when it answers. */
  connect: { readonly ask: Connections; readonly answer: null }
  round: { readonly ask: { readonly ms: number }; readonly answer: ClientRound | LostRound }
  disconnect: { readonly ask: null; readonly answer: null }
}

export class PeerLoad {
  readonly #children: readonly Child<PeerClientQuestions>[]
  readonly #reach: Pick<Connections, 'addresses' | 'connections' | 'valueBytes'>
  #writers = 0

  constructor(entry: URL, name: string, reach: Pick<Connections, 'addresses' | 'connections' | 'valueBytes'>) {
    this.#reach = reach
    this.#children = Array.from({ length: CLIENT_PROCESSES }, (_, at) => new Child(entry, `${name}-client-${at + 1}`))
  }

  async round(writers: number, ms: number): Promise<PeerRound | string> {
    const children = this.#children.slice(0, Math.min(writers, this.#children.length))
    if (writers !== this.#writers) await this.#connect(children, writers)
    const answers = await Promise.all(children.map(child => child.ask('round', { ms })))
    return joined(answers)
  }

  /** Connections that are not used cost the servers something too. */
  async rest(): Promise<void> {
    if (this.#writers > 0) await Promise.all(this.#children.map(child => child.ask('disconnect', null)))
    this.#writers = 0
  }

  async end(): Promise<void> {
    await Promise.all(this.#children.map(child => child.end()))
  }

  async #connect(children: readonly Child<PeerClientQuestions>[], writers: number): Promise<void> {
    await Promise.all(this.#children.map(child => child.ask('disconnect', null)))
    await Promise.all(
      children.map((child, at) => {
        const share = Math.floor(writers / children.length) + (at < writers % children.length ? 1 : 0)
        return child.ask('connect', { ...this.#reach, client: `${at + 1}`, writers: share })
      }),
    )
    this.#writers = writers
  }
}

function joined(answers: readonly (ClientRound | LostRound)[]): PeerRound | string {
  const rounds: ClientRound[] = []
  for (const answer of answers) {
    if (answer.lost !== null) return answer.lost
    rounds.push(answer)
  }
  const tookMs = rounds.flatMap(round => [...round.tookMs])
  return {
    writes: tookMs.length,
    perSecond: tookMs.length / Math.max(...rounds.map(({ seconds }) => seconds)),
    p50Ms: percentile(tookMs, 0.5),
    p99Ms: percentile(tookMs, 0.99),
  }
}
