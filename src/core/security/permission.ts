/**
 * Permissions as Shiro writes them: parts divided by `:`, alternatives of a part by `,`, `*` for any. A grant with fewer
 * parts covers everything below it, one with more only if what is over is `*`. What is asked for is always one call,
 * and the job it is about. Source: the outside interfaces, section 7.
 *
 * The first two parts, service and call, are compared without case, as Aurora does. What is behind them is a role, an
 * environment and a name, which have their case here: `Ads` and `ads` are two roles.
 */
import type { JobKey } from '../base/ids.ts'

export interface Grant {
  /** As it was written. */
  readonly text: string
  /** Alternatives of each part; those of service and call in small letters. Never empty, nor is any of them. */
  readonly parts: readonly (readonly string[])[]
}

/** One call that somebody wants to make. `job` null: it is about no single job. */
export interface Permission {
  readonly service: Service
  readonly call: string
  readonly job: JobKey | null
}

export type Service = (typeof SERVICES)[number]
export const SERVICES = ['thrift.ReadOnlyScheduler', 'thrift.AuroraSchedulerManager', 'thrift.AuroraAdmin'] as const

export const jobPermission = (call: string, job: JobKey): Permission => {
  return { service: 'thrift.AuroraSchedulerManager', call, job }
}
export const adminPermission = (call: string): Permission => ({ service: 'thrift.AuroraAdmin', call, job: null })

/** `thrift.AuroraSchedulerManager:killTasks:www-data:prod:hello`: what a grant of exactly this looks like. */
export function permissionText(permission: Permission): string {
  return partsOf(permission).join(':')
}

export type ReadGrant =
  | { readonly ok: true; readonly grant: Grant }
  /** A sentence about the grant, without its place. */
  | { readonly ok: false; readonly text: string }

const ANY = '*'
/** Service, call, role, environment, name. */
const PARTS_MAX = 5
const CALL_PARTS = 2

/** `calls`: those there are, by service; a grant that names another would never hold, and is refused as a slip. */
export function readGrant(text: string, calls: Readonly<Record<Service, readonly string[]>>): ReadGrant {
  const parts = text
    .trim()
    .split(':')
    .map(part => part.split(',').map(one => one.trim()))
  if (parts.some(part => part.includes('')))
    return fault(`\`${text}\` has an empty part: write * where anything will do`)
  const half = parts.flat().find(one => one !== ANY && one.includes(ANY))
  if (half !== undefined)
    return fault(`\`${half}\` matches nothing: * stands for a whole part, never for a piece of one`)
  const over = parts.slice(PARTS_MAX).flat()
  if (over.some(one => one !== ANY))
    return fault(`\`${text}\` has more than ${PARTS_MAX} parts: SERVICE:CALL:ROLE:ENVIRONMENT:NAME`)
  const [services = [], called = [ANY]] = parts
  const known = SERVICES.filter(service => services.some(one => one === ANY || sameWord(one, service)))
  const foreign = services.find(one => one !== ANY && !SERVICES.some(service => sameWord(one, service)))
  if (foreign !== undefined) return fault(`there is no service \`${foreign}\`: use ${SERVICES.slice(1).join(' or ')}`)
  const there = known.flatMap(service => calls[service])
  const missing = called.find(one => one !== ANY && !there.some(call => sameWord(one, call)))
  if (missing !== undefined) {
    const home = SERVICES.find(service => calls[service].some(call => sameWord(missing, call)))
    const hint = home === undefined ? `there are ${[...there].sort().join(', ')}` : `it is a call of ${home}`
    return fault(`${known.join(' and ')} has no call \`${missing}\`: ${hint}`)
  }
  const grant = {
    text: text.trim(),
    parts: parts.map((part, at) => (at < CALL_PARTS ? part.map(one => one.toLowerCase()) : part)),
  }
  return { ok: true, grant }
}

/** One call written out, with the job it is about: what `permissionText` writes. Null: it is more or less than that. */
export function readPermission(text: string, calls: Readonly<Record<Service, readonly string[]>>): Permission | null {
  const read = readGrant(text, calls)
  if (!read.ok || read.grant.parts.some(part => part.length > 1 || part.includes(ANY))) return null
  const [service = '', call = '', role, environment, name] = read.grant.text.split(':').map(part => part.trim())
  const known = SERVICES.find(one => sameWord(one, service))
  if (known === undefined) return null
  const job = role && environment && name ? { role, environment, name } : null
  const isWhole = read.grant.parts.length === (known === 'thrift.AuroraSchedulerManager' ? PARTS_MAX : CALL_PARTS)
  return isWhole ? { service: known, call, job } : null
}

/** Whether whoever has the grant may do it. */
export function implies({ parts }: Grant, permission: Permission): boolean {
  const wanted = partsOf(permission)
  return (
    parts.slice(wanted.length).every(part => part.includes(ANY)) &&
    wanted.every((want, at) => {
      const part = parts[at]
      return part === undefined || part.includes(ANY) || part.includes(at < CALL_PARTS ? want.toLowerCase() : want)
    })
  )
}

function partsOf({ service, call, job }: Permission): readonly string[] {
  return job === null ? [service, call] : [service, call, job.role, job.environment, job.name]
}

const sameWord = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()
const fault = (text: string): ReadGrant => ({ ok: false, text })
