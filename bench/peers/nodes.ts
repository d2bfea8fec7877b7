/** The three processes of a peer, by node: started, killed, started again, asked until they agree, and ended. */
import { PEER_NODES, until } from './peer.ts'
import { type PeerCommand, PeerProcess } from './process.ts'

export class PeerNodes {
  readonly #title: string
  readonly #commandOf: (at: number) => PeerCommand
  /** Null while it is down. */
  readonly all: (PeerProcess | null)[]

  /** Starts all of them. `title`: the peer, as messages name it. */
  constructor(title: string, commandOf: (at: number) => PeerCommand) {
    this.#title = title
    this.#commandOf = commandOf
    this.all = Array.from({ length: PEER_NODES }, (_, at) => new PeerProcess(commandOf(at)))
  }

  /** SIGKILL; settles when the process is gone. */
  kill(at: number): Promise<void> {
    const killed = this.all[at]?.kill() ?? Promise.resolve()
    this.all[at] = null
    return killed
  }

  start(at: number): void {
    this.all[at] = new PeerProcess(this.#commandOf(at))
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map(node => node?.stop()))
  }

  /**
   * What the nodes say of themselves, null for those that are down, as soon as all that live say something and `areLevel`
   * holds of it. Rejects with their last words if that takes too long.
   */
  agreed<Status>(
    ask: (at: number) => Promise<Status | null>,
    areLevel: (alive: readonly Status[]) => boolean,
  ): Promise<readonly (Status | null)[]> {
    return until(
      `the nodes of ${this.#title} did not agree on a leader`,
      async () => {
        const said = await Promise.all(this.all.map((node, at) => (node === null ? null : ask(at))))
        const alive = said.filter(one => one !== null)
        return alive.length === this.all.filter(node => node !== null).length && areLevel(alive) ? said : null
      },
      () => this.all.map(node => node?.tail() ?? '').join('\n'),
    )
  }
}
