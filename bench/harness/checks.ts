/** What an order says of files, looked at before the first measurement. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { hindranceOf } from './comparison.ts'
import { type Order, OrderError } from './order.ts'
import { type Measurement, ReportError, readReport } from './report.ts'

/** Throws an OrderError. Answers the earlier run, null if none was asked for. */
export function checkFiles(order: Order): readonly Measurement[] | null {
  if (order.json !== null) checkTarget(order.json)
  if (order.profile !== null) checkFolder(order.profile)
  return order.against === null ? null : earlierOf(order, order.against)
}

/** Made if only it is missing: a folder whose parents are missing too is a slip of whoever typed. */
function checkFolder(path: string): void {
  const parent = dirname(resolve(path))
  if (statSync(parent, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new OrderError(`--profile ${path}: the folder ${parent} is not there; make it, or name another`)
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new OrderError(`--profile ${path} is a file; name a folder`)
  }
  try {
    mkdirSync(path, { recursive: true })
    accessSync(path, constants.W_OK)
  } catch {
    throw new OrderError(`--profile ${path}: the folder cannot be made or written; name another`)
  }
}

function checkTarget(path: string): void {
  const folder = dirname(resolve(path))
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new OrderError(`--json ${path}: the folder ${folder} is not there; make it, or name another file`)
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new OrderError(`--json ${path} is a folder; name a file in it`)
  }
  try {
    accessSync(folder, constants.W_OK)
  } catch {
    throw new OrderError(`--json ${path}: the folder ${folder} cannot be written; name another file`)
  }
}

function earlierOf({ benches, quick }: Order, path: string): readonly Measurement[] {
  let all: readonly Measurement[]
  try {
    all = readReport(path)
  } catch (cause) {
    if (cause instanceof ReportError) throw new OrderError(`--against ${cause.message}`)
    throw cause
  }
  const names = benches.map(({ name }) => name)
  const common = all.filter(({ bench }) => names.includes(bench))
  if (common.length === 0) {
    const has = all.length === 0 ? 'no bench' : [...new Set(all.map(({ bench }) => bench))].join(', ')
    throw new OrderError(`--against ${path}: it has ${has}, you run ${names.join(', ')}: run one that it has`)
  }
  const usable = common.filter(then => hindranceOf(then, { quick, failed: null }) === null)
  if (usable.length > 0) return all
  const why = hindranceOf(common[0]!, { quick, failed: null })
  throw new OrderError(
    `--against ${path}: nothing to compare: ${why}; ${quick ? 'leave out' : 'add'} --quick, or measure again`,
  )
}
