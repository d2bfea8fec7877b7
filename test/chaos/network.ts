/**
 * A network of its own for every member: a namespace each, joined by a bridge. Links are cut by routes that lead nowhere,
 * so a cut can be in one direction only: what the one sends is lost while it still hears the other. Clients and the
 * agent stay on the machine's own side of the bridge and reach everybody, also a leader that is cut off.
 */
import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'

export interface Network {
  readonly hosts: readonly string[]
  within(memberId: number): readonly string[]
  /** From now on nothing that `from` sends reaches `to`. */
  cut(from: number, to: number): void
  heal(from: number, to: number): void
  remove(): void
}

/** Or why there cannot be one here. Nothing is installed, and nothing stays behind. */
export function makeNetwork(count: number): Network | string {
  if (process.getuid?.() !== 0) return 'only root can make network namespaces'
  if (spawnSync('ip', ['-V']).status !== 0) return 'the tool `ip` (iproute2) is not there'
  const tag = `dbc${process.pid % 100_000}`
  // Of the addresses for tests of networks (RFC 2544): nobody's own.
  const prefix = `198.${randomInt(18, 20)}.${randomInt(0, 256)}`
  const bridge = `${tag}br`
  const hostOf = (memberId: number): string => `${prefix}.${memberId}`
  const spaceOf = (memberId: number): string => `${tag}-${memberId}`
  const made: string[][] = []
  const remove = (): void => {
    for (const undo of made.splice(0).reverse()) spawnSync('ip', undo)
  }
  /** Two faults may cut the same link; it is whole again when both are healed. */
  const cuts = new Map<string, number>()
  const change = (by: 1 | -1, from: number, to: number): void => {
    const link = `${from} to ${to}`
    const before = cuts.get(link) ?? 0
    cuts.set(link, before + by)
    if (before > 0 && before + by > 0) return
    run('-n', spaceOf(from), 'route', by === 1 ? 'add' : 'del', 'blackhole', `${hostOf(to)}/32`)
  }
  try {
    run('link', 'add', bridge, 'type', 'bridge')
    made.push(['link', 'del', bridge])
    run('addr', 'add', `${prefix}.254/24`, 'dev', bridge)
    run('link', 'set', bridge, 'up')
    for (let id = 1; id <= count; id++) {
      const [space, outer] = [spaceOf(id), `${tag}v${id}`]
      run('netns', 'add', space)
      made.push(['netns', 'del', space])
      run('link', 'add', outer, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
      run('link', 'set', outer, 'master', bridge, 'up')
      run('-n', space, 'addr', 'add', `${hostOf(id)}/24`, 'dev', 'eth0')
      run('-n', space, 'link', 'set', 'eth0', 'up')
      run('-n', space, 'link', 'set', 'lo', 'up')
    }
  } catch (cause) {
    remove()
    return (cause as Error).message
  }
  return {
    hosts: Array.from({ length: count }, (_none, at) => hostOf(at + 1)),
    within: memberId => ['ip', 'netns', 'exec', spaceOf(memberId)],
    cut: (from, to) => change(1, from, to),
    heal: (from, to) => change(-1, from, to),
    remove,
  }
}

function run(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr.trim()}`)
}
