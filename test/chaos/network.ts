/**
 * A network of its own for every member: a namespace each, joined by a bridge. Links are cut by routes that lead nowhere,
 * so a cut can be in one direction only: what the one sends is lost while it still hears the other. Where `nft` is
 * installed a link can also lose some of its packets: not every kernel has netem, and these rules every one has. Clients
 * and the agent stay on the machine's own side of the bridge and reach everybody, also a leader that is cut off.
 */
import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'

export interface Network {
  readonly hosts: readonly string[]
  /** Why no packets can be lost by chance, or null. */
  readonly noLoss: string | null
  within(memberId: number): readonly string[]
  /** From now on nothing that `from` sends reaches `to`. */
  cut(from: number, to: number): void
  heal(from: number, to: number): void
  /** From now on every fifth packet of `from` does not reach `to`, by chance. */
  lose(from: number, to: number): void
  loseNoMore(from: number, to: number): void
  remove(): void
}

const LOSS_PERCENT = 20
const TABLE = ['inet', 'daybreak_chaos']

/** Or why there cannot be one here. Nothing is installed, and nothing stays behind. */
export function makeNetwork(count: number): Network | string {
  if (process.getuid?.() !== 0) return 'only root can make network namespaces'
  if (spawnSync('ip', ['-V']).status !== 0) return 'the tool `ip` (iproute2) is not there'
  if (spawnSync('nsenter', ['--version']).status !== 0) return 'the tool `nsenter` (util-linux) is not there'
  const tag = `dbc${process.pid % 100_000}`
  // Of the addresses for tests of networks (RFC 2544): nobody's own.
  const prefix = `198.${randomInt(18, 20)}.${randomInt(0, 256)}`
  const bridge = `${tag}br`
  const hostOf = (memberId: number): string => `${prefix}.${memberId}`
  const spaceOf = (memberId: number): string => `${tag}-${memberId}`
  // `ip netns exec` would also give each process mounts of its own, and a disk would stay mounted in all of them.
  const within = (memberId: number): readonly string[] => ['nsenter', `--net=/run/netns/${spaceOf(memberId)}`]
  const made: string[][] = []
  const remove = (): void => {
    for (const undo of made.splice(0).reverse()) spawnSync('ip', undo)
  }
  const ip = (...args: string[]): void => run('ip', ...args)
  const nft = (memberId: number, ...args: string[]): void => run(...within(memberId), 'nft', ...args)
  try {
    ip('link', 'add', bridge, 'type', 'bridge')
    made.push(['link', 'del', bridge])
    ip('addr', 'add', `${prefix}.254/24`, 'dev', bridge)
    ip('link', 'set', bridge, 'up')
    for (let id = 1; id <= count; id++) {
      const [space, outer] = [spaceOf(id), `${tag}v${id}`]
      ip('netns', 'add', space)
      made.push(['netns', 'del', space])
      ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
      // Not only with its namespace: connections that nobody has ended keep that alive for minutes.
      made.push(['link', 'del', outer])
      ip('link', 'set', outer, 'master', bridge, 'up')
      ip('-n', space, 'addr', 'add', `${hostOf(id)}/24`, 'dev', 'eth0')
      ip('-n', space, 'link', 'set', 'eth0', 'up')
      ip('-n', space, 'link', 'set', 'lo', 'up')
    }
  } catch (cause) {
    remove()
    return (cause as Error).message
  }
  const change = (by: 'add' | 'del', from: number, to: number): void =>
    ip('-n', spaceOf(from), 'route', by, 'blackhole', `${hostOf(to)}/32`)
  const cuts = new Links((from, to, isCut) => change(isCut ? 'add' : 'del', from, to))
  const losses = new Links((from, to, isLossy) => {
    // A set of those that lose: the rule itself stands from the start.
    nft(to, isLossy ? 'add' : 'delete', 'element', ...TABLE, 'lossy', `{ ${hostOf(from)} }`)
  })
  return {
    hosts: Array.from({ length: count }, (_none, at) => hostOf(at + 1)),
    noLoss: makeLossy(count, nft),
    within,
    cut: (from, to) => cuts.add(from, to),
    heal: (from, to) => cuts.remove(from, to),
    lose: (from, to) => losses.add(from, to),
    loseNoMore: (from, to) => losses.remove(from, to),
    remove,
  }
}

/** The rule of every namespace by which packets of some hosts are lost; it goes with the namespace. */
function makeLossy(count: number, nft: (memberId: number, ...args: string[]) => void): string | null {
  if (spawnSync('nft', ['--version']).status !== 0) return 'the tool `nft` (nftables) is not there'
  try {
    for (let id = 1; id <= count; id++) {
      nft(id, 'add', 'table', ...TABLE)
      nft(id, 'add', 'set', ...TABLE, 'lossy', '{ type ipv4_addr; }')
      nft(id, 'add', 'chain', ...TABLE, 'input', '{ type filter hook input priority 0; }')
      nft(id, 'add', 'rule', ...TABLE, 'input', `ip saddr @lossy numgen random mod 100 < ${LOSS_PERCENT} drop`)
    }
    return null
  } catch (cause) {
    return (cause as Error).message
  }
}

/** Two faults may have hold of the same link; it is whole again when both have let go. */
class Links {
  readonly #change: (from: number, to: number, on: boolean) => void
  readonly #holds = new Map<string, number>()

  constructor(change: (from: number, to: number, on: boolean) => void) {
    this.#change = change
  }

  add(from: number, to: number): void {
    const link = `${from} to ${to}`
    const holds = (this.#holds.get(link) ?? 0) + 1
    this.#holds.set(link, holds)
    if (holds === 1) this.#change(from, to, true)
  }

  remove(from: number, to: number): void {
    const link = `${from} to ${to}`
    const holds = (this.#holds.get(link) ?? 0) - 1
    this.#holds.set(link, holds)
    if (holds === 0) this.#change(from, to, false)
  }
}

function run(...words: string[]): void {
  const [command, ...args] = words
  const { status, stderr, error } = spawnSync(command!, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${words.join(' ')}: ${error?.message ?? stderr.trim()}`)
}
