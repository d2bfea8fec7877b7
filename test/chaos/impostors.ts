/**
 * Folders that are not the member's own: of another cluster, an old copy, empty, initialized again. What was promised and
 * acknowledged on the right one is not in them, so a member on one must be refused, and its vote must never count.
 */
import { cpSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { daybreak } from '../fixtures/real-node.ts'
import type { FaultName } from './catalogue.ts'
import { holding, kill, lasting, leaderOf, memberIds, signal, start, statusOf, type World, within } from './world.ts'

const IMPOSTOR_MS_MAX = 60_000

/** What a member on such a folder, or the others of it, must say. */
const REFUSALS: Readonly<Partial<Record<FaultName, RegExp>>> = {
  'foreign-folder': /CLUSTER_ID/,
  'old-copy': /ROLLED_BACK/,
  'empty-folder': /log initialize|Do not initialize/,
  'new-disk': /INCARNATION/,
}

/**
 * A member is started on a folder that is not its own. It must be refused and never take part: with one more of three
 * stopped, nobody may lead, because that would need its vote.
 */
export async function impostor(world: World, memberId: number, kind: FaultName): Promise<string> {
  const own = world.cluster.dataDirs[memberId - 1]!
  const kept = `${own}.kept`
  const config = world.cluster.configs[memberId - 1]!
  await kill(world, memberId)
  if (kind === 'old-copy') {
    const copy = `${own}.copy`
    cpSync(own, copy, { recursive: true })
    await start(world, memberId)
    await committedMore(world, memberId)
    await kill(world, memberId)
    renameSync(own, kept)
    renameSync(copy, own)
  } else {
    renameSync(own, kept)
    mkdirSync(own)
    const genesis = kind === 'new-disk' ? ['--genesis', join(world.cluster.dataDirs[0]!, 'log', 'genesis.json')] : []
    if (memberId === 1 && kind === 'new-disk') genesis[1] = join(kept, 'log', 'genesis.json')
    if (kind !== 'empty-folder') await initialize(config, genesis)
  }
  await start(world, memberId)
  const node = world.cluster.nodes[memberId - 1]!
  const refusal = REFUSALS[kind]!
  const refused = await within(world, IMPOSTOR_MS_MAX, async () => {
    const report = await statusOf(world, memberId)
    const said = [report?.waitingFor, ...(report?.peers.map(peer => peer.trouble) ?? []), node.output()].join('\n')
    return refusal.test(said) ? said : null
  })
  if (refused === null)
    world.violation(`${kind}: member ${memberId} was not refused within a minute:\n${node.output()}`)
  const alone = memberIds(world).length === 3 ? await votesOfImpostor(world, memberId, kind) : ''
  // It may ask for votes as long as nobody hears it.
  if ((await statusOf(world, memberId))?.view.role === 'LEADER') world.violation(`${kind}: member ${memberId} leads`)
  await kill(world, memberId)
  rmSync(own, { recursive: true, force: true })
  renameSync(kept, own)
  await start(world, memberId)
  return `${kind} of member ${memberId}: ${refused === null ? 'NOT refused' : `refused${alone}`}`
}

async function initialize(config: string, flags: readonly string[]): Promise<void> {
  const { status, stderr } = await daybreak('http://127.0.0.1:1', 'log', 'initialize', config, ...flags)
  if (status !== 0) throw new Error(stderr)
}

/**
 * Until the leader has heard that this disk holds something committed that a copy from before does not. What a disk has
 * flushed and not acknowledged may be lost with it: nobody has counted on it.
 */
async function committedMore(world: World, memberId: number): Promise<void> {
  const ofLeader = async () => {
    const leader = await leaderOf(world)
    return leader === null ? null : await statusOf(world, leader)
  }
  const before = await within(world, IMPOSTOR_MS_MAX, ofLeader)
  const more = await within(world, IMPOSTOR_MS_MAX, async () => {
    const peer = (await ofLeader())?.peers.find(one => one.memberId === memberId)
    return before !== null && (peer?.committed ?? 0) > before.end ? true : null
  })
  if (more === null) throw new Error(`member ${memberId} has acknowledged nothing new within a minute`)
}

/** Of three, one is the impostor and one is stopped: the last alone is no quorum. */
async function votesOfImpostor(world: World, memberId: number, kind: FaultName): Promise<string> {
  const leader = await leaderOf(world)
  const other = memberIds(world).find(id => id !== leader && id !== memberId && !world.held.has(id))
  if (leader === null || other === undefined) return ''
  return (
    (await holding(world, [other], async () => {
      signal(world, other, 'SIGSTOP')
      const gone = await within(world, 10 * world.leaseMs, async () => ((await leaderOf(world)) === null ? true : null))
      if (gone === null) {
        world.violation(`${kind}: member ${leader} leads on although only member ${memberId} could vote for it`)
      }
      const until = performance.now() + 2 * world.leaseMs
      while (performance.now() < until) {
        const led = await leaderOf(world)
        if (led !== null) world.violation(`${kind}: member ${led} leads by the vote of member ${memberId}`)
        await lasting(world, 100)
      }
      signal(world, other, 'SIGCONT')
      return `, and gave no vote while member ${other} was stopped`
    })) ?? ''
  )
}
