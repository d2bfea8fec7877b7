/**
 * What the faults of a run are done with, as far as they need it and this machine has it: networks, relays, small disks,
 * a preloaded library. All of it is made here and removed here, whatever happened in between.
 */
import { NEEDS, type Need } from './catalogue.ts'
import { makeNetwork, type Network } from './network.ts'
import { makePreload, type Preload } from './preload.ts'
import { Relays } from './relays.ts'
import { makeSmallDisks, type SmallDisks } from './small-disks.ts'

export interface Equipment {
  /** Null: not needed, or not possible here. */
  readonly network: Network | null
  readonly relays: Relays | null
  readonly disks: SmallDisks | null
  readonly preload: Preload | null
  /** What is needed and not there, and why. */
  readonly missing: ReadonlyMap<Need, string>
  remove(options: { readonly keepData: boolean }): Promise<void>
}

export function makeEquipment(folder: string, nodes: number, needs: ReadonlySet<Need>): Equipment {
  const missing = new Map<Need, string>()
  const make = <T>(need: Need, attempt: () => T | string): T | null => {
    if (!needs.has(need)) return null
    const made = attempt()
    if (typeof made !== 'string') return made
    missing.set(need, made)
    return null
  }
  const preload = make('preload', () => makePreload(folder))
  const relays = make('relays', () => new Relays(folder))
  const network = make('network', () => makeNetwork(nodes))
  if (needs.has('loss') && network !== null && network.noLoss !== null) missing.set('loss', network.noLoss)
  const disks = make('disks', () => makeSmallDisks(folder, nodes))
  if (needs.has('power') && disks !== null && disks.noPowerCut !== null) missing.set('power', disks.noPowerCut)
  return {
    network,
    relays,
    disks,
    preload,
    missing,
    async remove(options) {
      const removals = [() => relays?.remove(), () => network?.remove(), () => disks?.remove(options)]
      // One that fails must not keep the others.
      const ends = await Promise.allSettled(removals.map(async removal => removal()))
      for (const end of ends) if (end.status === 'rejected') throw end.reason
    },
  }
}

/** What this machine lacks for any fault; what was made to find out is gone again. */
export async function findMissing(folder: string): Promise<ReadonlyMap<Need, string>> {
  const equipment = makeEquipment(folder, 1, new Set(NEEDS))
  await equipment.remove({ keepData: false })
  return equipment.missing
}
