/** The bodies of the stores that the contract suites hold for, each as a way to open it again and again. */
import { join } from 'node:path'
import type { LogStore, StateStore } from '../../../src/actors/log-ports.ts'
import { type Entry, makeEntry } from '../../../src/core/log/entry.ts'
import type { LogMeta } from '../../../src/core/log/meta.ts'
import { formatLogStore, openLogStore } from '../../../src/runtime/log/lmdb-log-store.ts'
import { openStateStore } from '../../../src/runtime/log/lmdb-state-store.ts'
import { metaOf } from '../../core/log/log-cluster.ts'
import { temporaryFolder } from './log-folders.ts'
import { MemoryDisk, MemoryLogStore, MemoryStateStore } from './memory-stores.ts'

export const data = (position: number, value = `v${position}`): Entry =>
  makeEntry(position, [1, 1], 'DATA', new TextEncoder().encode(value))
export const owner = { clusterId: 'c', incarnation: 'disk-1' }
export const genesis = {
  clusterId: 'c',
  genesisHash: 'g',
  memberId: 1,
  incarnation: 'disk-1',
  genesisMembers: [{ memberId: 1, name: 'node-1', address: 'alone' }],
}

/** Writes entries on top of what the store has. */
export class Writer {
  meta: LogMeta
  #ticket = 0
  readonly #store: LogStore
  constructor(store: LogStore) {
    this.#store = store
    this.meta = store.restored.meta
  }
  write(
    entries: readonly Entry[],
    change: Partial<LogMeta> = {},
    cutFrom: number | null = null,
    dropBefore: number | null = null,
  ): Promise<void> {
    const end = entries.at(-1)?.position ?? this.meta.end
    this.meta = { ...this.meta, end, promised: [1, 1], ...change, generation: this.meta.generation + 1 }
    return this.#store.write({ ticket: ++this.#ticket, dropBefore, cutFrom, entries, meta: this.meta })
  }
}

export const LOG_STORES: [string, () => Promise<() => Promise<LogStore>>][] = [
  [
    'memory',
    async () => {
      const disk = new MemoryDisk(metaOf(1, 1, { bootCounter: 0 }))
      return async () => new MemoryLogStore(disk)
    },
  ],
  [
    'LMDB',
    async () => {
      const folder = join(temporaryFolder(), 'store')
      await formatLogStore(folder, genesis)
      return () => openLogStore(folder)
    },
  ],
]

export const STATE_STORES: [string, () => () => Promise<StateStore>][] = [
  [
    'memory',
    () => {
      // It is its own disk.
      const state = new MemoryStateStore()
      return async () => state
    },
  ],
  [
    'LMDB',
    () => {
      const folder = join(temporaryFolder(), 'state')
      return () => openStateStore(folder, owner, { begin: 1, end: 1_000 })
    },
  ],
]
