import { isIdentifier } from '../core/base/ids.ts'
import type { FullKey } from '../core/job/job-file.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure } from './io.ts'

/** How jobs, instances and sets of jobs are written on the command line. Source: api and client, section 10. */
export interface JobAndInstances {
  readonly key: FullKey
  /** Sorted, none twice; null when the argument names none. */
  readonly instances: readonly number[] | null
}

/** Shell patterns per part; what is left out is `*`. */
export interface JobPattern {
  readonly cluster: string
  readonly role: string
  readonly environment: string
  readonly name: string
  /** No part is a pattern and none is left out. */
  readonly exact: boolean
}

const INSTANCES_MAX = 100_000
const PARTS = ['cluster', 'role', 'env', 'name'] as const

/** `CLUSTER/ROLE/ENV/NAME` */
export function parseJobKey(text: string): FullKey {
  const parts = text.split('/')
  if (parts.length !== 4) {
    throw usage(`Invalid path '${text}'. path should be a string in the form CLUSTER/ROLE/ENV/NAME`)
  }
  for (const [index, part] of parts.entries()) {
    if (!isIdentifier(part)) throw usage(`Invalid ${PARTS[index]} '${part}'`)
  }
  const [cluster = '', role = '', environment = '', name = ''] = parts
  return { cluster, role, environment, name }
}

/** `CLUSTER/ROLE/ENV/NAME[/INSTANCES]` */
export function parseJobAndInstances(text: string): JobAndInstances {
  const parts = text.split('/')
  if (parts.length !== 5) return { key: parseJobKey(text), instances: null }
  return { key: parseJobKey(parts.slice(0, 4).join('/')), instances: parseInstances(parts[4] as string) }
}

/** `CLUSTER/ROLE/ENV/NAME/INSTANCE` */
export function parseTaskInstance(text: string): { readonly key: FullKey; readonly instance: number } {
  const parts = text.split('/')
  const last = parts.length === 5 ? (parts[4] as string) : ''
  if (!/^\d{1,9}$/.test(last)) {
    throw usage(`Invalid instance '${text}'. It should be a string in the form CLUSTER/ROLE/ENV/NAME/INSTANCE`)
  }
  return { key: parseJobKey(parts.slice(0, 4).join('/')), instance: Number(last) }
}

/** `0-2,5,7-9`: ids and closed ranges. */
export function parseInstances(text: string): readonly number[] {
  const wanted = new Set<number>()
  for (const part of text.split(',')) {
    const found = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part)
    const from = Number(found?.[1])
    const to = Number(found?.[2] ?? found?.[1])
    if (found === null || to < from) throw usage(`Invalid instances '${text}': ids and ranges such as 0-2,5`)
    if (to - from + wanted.size >= INSTANCES_MAX) throw usage(`Invalid instances '${text}': more than ${INSTANCES_MAX}`)
    for (let id = from; id <= to; id++) wanted.add(id)
  }
  return [...wanted].sort((a, b) => a - b)
}

/** `CLUSTER[/ROLE[/ENV[/NAME]]]` */
export function parseJobPattern(text: string): JobPattern {
  const parts = text.split('/')
  const fits = parts.length <= 4 && parts.every(part => /^[\w\-.*?]+$/.test(part))
  if (!fits || (/[*?]/.test(parts[0] as string) && parts[0] !== '*')) {
    throw usage(`Invalid path '${text}'. path should be a string in the form CLUSTER[/ROLE[/ENV[/NAME]]]`)
  }
  const [cluster = '*', role = '*', environment = '*', name = '*'] = parts
  return { cluster, role, environment, name, exact: parts.length === 4 && !/[*?]/.test(text) }
}

/** `[0-2, 5]`, as people read it. */
export function instancesText(instances: readonly number[]): string {
  const ranges: [number, number][] = []
  for (const id of instances) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === id - 1) last[1] = id
    else ranges.push([id, id])
  }
  return `[${ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ')}]`
}

function usage(text: string): CliFailure {
  return new CliFailure(CLIENT_EXIT.usage, text)
}
