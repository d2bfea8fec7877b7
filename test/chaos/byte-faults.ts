/**
 * Bytes that change while nobody looks: in a record of the log, or in a row of the tables that are made from it. A node
 * must refuse what it finds and name it, or make it whole again from its peers or its log; never believe it.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { inspectLogStore } from '../../src/runtime/log/lmdb-log-store.ts'
import { openStateStore } from '../../src/runtime/log/lmdb-state-store.ts'
import { stateFolder, storeFolder } from '../../src/runtime/log/log-folder.ts'
import { refusal, STORE_STATUS } from './disk-faults.ts'
import type { DrawnFault } from './draw.ts'
import { kill, memberIds, start, stop, type World, within } from './world.ts'

const WHOLE_MS_MAX = 60_000
/** Shorter ones may stand in the file by chance elsewhere. */
const BYTES_MIN = 16

/**
 * A byte of a committed record, on all copies of it in the file: pages that are no longer in use hold older ones. The
 * node must refuse the log and name the position, or repair the record from its peers; never believe it.
 */
export async function flipRecord(world: World, victim: number, fault: DrawnFault): Promise<string> {
  await kill(world, victim)
  const folder = storeFolder(join(world.cluster.dataDirs[victim - 1]!, 'log'))
  const { position, places } = await recordIn(folder, fault)
  if (position === null) {
    await start(world, victim)
    return `no record of member ${victim} to flip a byte in`
  }
  const file = join(folder, 'data.mdb')
  flip(file, places)
  const refused = await refusal(world, victim)
  if (refused !== null) {
    const names = new RegExp(`damaged.*\\b${position}\\b`)
    if (refused.code !== STORE_STATUS || !names.test(refused.said)) {
      world.violation(`member ${victim} has a damaged record at ${position} and does not say so: ${refused.message}`)
    }
    flip(file, places)
    await start(world, victim)
    return `one byte of position ${position} of member ${victim} flipped: refused, position named`
  }
  const repaired = await within(world, WHOLE_MS_MAX, async () => {
    const texts = await Promise.all(memberIds(world).map(id => entryText(world, id, position)))
    return texts[victim - 1] !== null && new Set(texts).size === 1 ? true : null
  })
  if (repaired === null) {
    world.violation(
      `member ${victim} started with a damaged record at ${position}, and it is not as the others have it`,
    )
  }
  return `one byte of position ${position} of member ${victim} flipped: it started and ${repaired ? 'has it whole again' : 'BELIEVED it'}`
}

async function recordIn(folder: string, { which, moment }: DrawnFault) {
  const log = await inspectLogStore(folder)
  const { begin, commit } = log.meta
  const position = begin + (which % Math.max(1, commit - begin + 1))
  const [found] = log.read(position, position)
  await log.close()
  const payload = found?.entry?.payload
  if (payload === undefined || payload.length < BYTES_MIN) return { position: null, places: [] }
  const places = placesOf(join(folder, 'data.mdb'), payload, Math.floor(moment * payload.length))
  return { position: places.length === 0 ? null : position, places }
}

/** Where the byte `at` of `wanted` is in the file, in all copies of it. */
function placesOf(path: string, wanted: Uint8Array, at: number): readonly number[] {
  const bytes = readFileSync(path)
  const places: number[] = []
  for (let from = bytes.indexOf(wanted); from !== -1; from = bytes.indexOf(wanted, from + 1)) places.push(from + at)
  return places
}

const flipBits = (byte: number | undefined): number => (byte ?? 0) ^ 0x10

/** Twice is as before. */
function flip(path: string, places: readonly number[]): void {
  const bytes = readFileSync(path)
  const file = openSync(path, 'r+')
  try {
    for (const place of places) writeSync(file, Buffer.from([flipBits(bytes[place])]), 0, 1, place)
  } finally {
    closeSync(file)
  }
}

/** Null when it does not answer. Truncated by one is an answer too, as long as it is that of all. */
async function entryText(world: World, memberId: number, position: number): Promise<string | null> {
  const url = `${world.cluster.urls[memberId - 1]}/api/v1/log/entries?from=${position}&to=${position}`
  const answer = await fetch(url, { signal: AbortSignal.timeout(1_000) }).catch(() => null)
  if (answer === null || answer.status >= 500) return null
  return answer.ok ? answer.text().catch(() => null) : 'TRUNCATED'
}

/** Rows have no position to be named by: the whole table is damaged, or made again. */
export async function flipRow(world: World, victim: number, fault: DrawnFault): Promise<string> {
  await stop(world, victim)
  const folder = join(world.cluster.dataDirs[victim - 1]!, 'log')
  const rows = await rowsIn(folder)
  const row = rows[fault.which % Math.max(1, rows.length)]
  if (row === undefined) {
    await start(world, victim)
    return `no row of member ${victim} to flip a byte in`
  }
  const file = join(stateFolder(folder), 'data.mdb')
  const at = Math.floor(fault.moment * row.bytes.length)
  flip(file, placesOf(file, row.bytes, at))
  const flipped = Buffer.from(row.bytes)
  flipped[at] = flipBits(flipped[at])
  const what = `one byte of row ${row.table} ${row.key} of member ${victim} flipped`
  const refused = await refusal(world, victim)
  if (refused !== null) {
    if (refused.code !== STORE_STATUS || !/damaged/.test(refused.said)) {
      world.violation(`${what}, and it does not say so: ${refused.message}`)
    }
    flip(file, placesOf(file, flipped, at))
    await start(world, victim)
    return `${what}: refused`
  }
  await stop(world, victim)
  const after = (await rowsIn(folder)).find(one => one.table === row.table && one.key === row.key)
  const isBelieved = after !== undefined && flipped.equals(after.bytes)
  if (isBelieved) {
    world.violation(`${what}, and it is believed`)
    flip(file, placesOf(file, flipped, at))
  }
  await start(world, victim)
  return `${what}: it started and ${isBelieved ? 'BELIEVED it' : 'made it whole again'}`
}

async function rowsIn(folder: string) {
  const log = await inspectLogStore(storeFolder(folder))
  const { clusterId, incarnation, begin, end } = log.meta
  await log.close()
  const state = await openStateStore(stateFolder(folder), { clusterId, incarnation }, { begin, end })
  const { rows } = state.readRows(null, 10_000)
  await state.close()
  return rows.filter(row => row.bytes.length >= BYTES_MIN)
}
