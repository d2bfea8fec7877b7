/**
 * Every fault there is: what it does, what it cannot do without, and whether it stands alone, because what must hold
 * while it lasts needs the others to be well.
 */

/** What a machine may lack: see `equipment.ts`. */
export const NEEDS = ['network', 'loss', 'relays', 'disks', 'power', 'preload'] as const
export type Need = (typeof NEEDS)[number]

interface FaultKind {
  readonly does: string
  readonly needs?: readonly Need[]
  readonly alone?: true
}

const KINDS = {
  'kill-leader': { does: 'SIGKILL of the leader, started again within three leases' },
  'kill-follower': { does: 'SIGKILL of a follower, started again within three leases' },
  'kill-all': { does: 'SIGKILL of all nodes at once', alone: true },
  'kill-in-take-over': { does: 'SIGKILL of the leader, and of whoever takes over from it, at any moment of that' },
  'kill-while-starting': { does: 'SIGKILL of a follower, and again at any moment of its start' },
  'freeze-leader': { does: 'SIGSTOP of the leader for up to three leases' },
  'freeze-follower': { does: 'SIGSTOP of a follower for up to three leases' },
  'starve-leader': { does: 'the leader runs for 50 ms of every second' },
  'starve-follower': { does: 'a follower runs for 50 ms of every second' },
  'restart-leader': { does: 'the leader is stopped as planned and started again' },
  'restart-follower': { does: 'a follower is stopped as planned and started again' },
  'kill-agent': { does: 'SIGKILL of the agent, started again within three leases' },

  'cut-leader-off': { does: 'no packet passes between the leader and the others', needs: ['network'] },
  'cut-follower-off': { does: 'no packet passes between a follower and the others', needs: ['network'] },
  'leader-cannot-send': { does: 'no packet of the leader reaches the others', needs: ['network'] },
  'leader-cannot-hear': { does: 'no packet of the others reaches the leader', needs: ['network'] },
  'cut-one-link': { does: 'no packet passes between two of the nodes', needs: ['network'] },
  'lossy-leader': { does: 'every fifth packet between the leader and the others is lost', needs: ['network', 'loss'] },
  'lossy-network': { does: 'every fifth packet between any two nodes is lost', needs: ['network', 'loss'] },
  'slow-leader': { does: 'between the leader and the others everything takes 300 ms longer', needs: ['relays'] },
  'slow-network': { does: 'between any two nodes everything takes 300 ms longer', needs: ['relays'] },
  'late-messages': {
    does: 'what the leader and the others send each other is held back and arrives in the end, seconds late',
    needs: ['relays'],
  },

  'full-disk-leader': { does: 'the disk of the leader is full, and freed later', needs: ['disks'], alone: true },
  'full-disk-follower': { does: 'the disk of a follower is full, and freed later', needs: ['disks'], alone: true },
  'power-cut-leader': {
    does: 'what the leader has written and not flushed is gone, as when the power fails',
    needs: ['disks', 'power'],
  },
  'power-cut-follower': {
    does: 'what a follower has written and not flushed is gone, as when the power fails',
    needs: ['disks', 'power'],
  },
  'power-cut-all': { does: 'the power of all nodes fails at once', needs: ['disks', 'power'], alone: true },
  'slow-flush-leader': { does: 'every flush of the leader takes 400 ms longer', needs: ['preload'] },
  'slow-flush-follower': { does: 'every flush of a follower takes 400 ms longer', needs: ['preload'] },
  'stuck-flush-leader': { does: 'every flush of the leader takes 10 s longer', needs: ['preload'], alone: true },
  'stuck-flush-follower': { does: 'every flush of a follower takes 10 s longer', needs: ['preload'], alone: true },
  'failed-flush-leader': {
    does: 'flushes of the leader fail with EIO; then what an operator does',
    needs: ['preload'],
    alone: true,
  },
  'failed-flush-follower': {
    does: 'flushes of a follower fail with EIO; then what an operator does',
    needs: ['preload'],
    alone: true,
  },
  'wall-clock-leader': { does: 'the wall clock of the leader is an hour ahead or behind', needs: ['preload'] },
  'wall-clock-follower': { does: 'the wall clock of a follower is an hour ahead or behind', needs: ['preload'] },

  'flip-record': { does: 'one byte of a record in the log of a stopped node is flipped', alone: true },
  'flip-row': { does: 'one byte of a row in the tables of a stopped node is flipped', alone: true },
  'foreign-folder': { does: 'a node is started on the folder of another cluster', alone: true },
  'old-copy': { does: 'a node is started on an old copy of its folder', alone: true },
  'empty-folder': { does: 'a node is started on an empty folder', alone: true },
  'new-disk': { does: 'a node is started on a folder that was initialized again', alone: true },
} as const satisfies Record<string, FaultKind>

export type FaultName = keyof typeof KINDS
export const FAULTS = Object.keys(KINDS) as readonly FaultName[]

export const kindOf = (name: FaultName): FaultKind => KINDS[name]
export const isFault = (name: string): name is FaultName => name in KINDS
export const needsOf = (name: FaultName): readonly Need[] => kindOf(name).needs ?? []
