/**
 * Who there is and what they may: `security.yaml` once its text has become plain values. All faults are told at once,
 * each with its place. Nothing here knows how somebody proves who they are.
 *
 * Shape: `{reads, users: {NAME: {password, tokens, roles, permissions}}, roles: {NAME: [permission]}}`.
 */

import { type PasswordHash, readPasswordHash, TOKEN_HASH } from './password-hash.ts'
import { type Grant, implies, type Permission, readGrant, type Service } from './permission.ts'

export interface Policy {
  /** Who may read: those who have proved who they are, or anyone, as with Aurora. */
  readonly reads: Reads
  /** By name, which has its case. */
  readonly users: ReadonlyMap<string, User>
  /** User names by the hash of a token. */
  readonly tokens: ReadonlyMap<string, string>
}

export type Reads = (typeof READS)[number]
export const READS = ['users', 'anyone'] as const

export interface User {
  readonly name: string
  /** Null: cannot log in with a password. */
  readonly password: PasswordHash | null
  /** Those of their roles and their own. */
  readonly grants: readonly Grant[]
}

export const may = ({ grants }: User, permission: Permission): boolean =>
  grants.some(grant => implies(grant, permission))

export interface PolicyFault {
  /** Keys and indexes from the root of the file; the place of a missing key is that of its parent. */
  readonly path: readonly (string | number)[]
  readonly text: string
}

export type ReadPolicy =
  | { readonly ok: true; readonly policy: Policy }
  | { readonly ok: false; readonly faults: readonly PolicyFault[] }

export type Calls = Readonly<Record<Service, readonly string[]>>

/** Also what stands as the user of a change; see `USER` of mutations. */
export const USER_NAME = /^[\w.@-]{1,255}$/
const ROLE_NAME = /^[^\s:,]{1,255}$/

/** `calls`: what can be permitted. */
export function readPolicy(value: unknown, calls: Calls): ReadPolicy {
  const faults: PolicyFault[] = []
  const put = (path: PolicyFault['path'], text: string): void => void faults.push({ path, text })
  if (value === null || value === undefined)
    put([], 'is empty: write `users` and `roles`, as docs/operating/security.md shows')
  const root = mapAt(value ?? {}, [], ['reads', 'users', 'roles'], put)
  const reads = root.reads ?? 'users'
  if (!isReads(reads)) put(['reads'], `must be ${READS.join(' or ')}, found ${shown(reads)}`)

  const grantsAt = (given: unknown, path: PolicyFault['path']): readonly Grant[] =>
    listAt(given, path, 'permissions', put).flatMap((text, at) => {
      const read = readGrant(text, calls)
      if (read.ok) return [read.grant]
      put([...path, at], read.text)
      return []
    })
  const roles = new Map<string, readonly Grant[]>()
  for (const [name, given] of Object.entries(mapAt(root.roles ?? {}, ['roles'], null, put))) {
    if (!ROLE_NAME.test(name)) put(['roles', name], 'a role has a name without blanks, commas and colons')
    roles.set(name, grantsAt(given, ['roles', name]))
  }

  const users = new Map<string, User>()
  const tokens = new Map<string, string>()
  for (const [name, given] of Object.entries(mapAt(root.users ?? {}, ['users'], null, put))) {
    const path = ['users', name]
    if (!USER_NAME.test(name)) put(path, 'a user has a name of letters, digits, `.`, `-`, `_` and `@`')
    const user = mapAt(given ?? {}, path, ['password', 'tokens', 'roles', 'permissions'], put)
    const password = user.password == null ? null : readPasswordHash(user.password)
    if (password !== null && 'fault' in password) put([...path, 'password'], password.fault)
    for (const [at, hash] of listAt(user.tokens, [...path, 'tokens'], 'hashes of tokens', put).entries()) {
      const owner = tokens.get(hash)
      if (!TOKEN_HASH.test(hash))
        put(
          [...path, 'tokens', at],
          'is no hash of a token; tokens do not stand here: `daybreak security token` makes both',
        )
      else if (owner !== undefined)
        put([...path, 'tokens', at], `is a token of ${owner} already: a token says who somebody is`)
      else tokens.set(hash, name)
    }
    const grants = listAt(user.roles, [...path, 'roles'], 'names of roles', put).flatMap((role, at) => {
      const found = roles.get(role)
      if (found === undefined)
        put([...path, 'roles', at], `there is no role \`${role}\`; there are ${namesText(roles)}`)
      return found ?? []
    })
    grants.push(...grantsAt(user.permissions, [...path, 'permissions']))
    users.set(name, { name, password: password !== null && 'fault' in password ? null : password, grants })
  }
  if (faults.length > 0 || !isReads(reads)) return { ok: false, faults }
  return { ok: true, policy: { reads, users, tokens } }
}

type Put = (path: PolicyFault['path'], text: string) => void

/** `keys` null: any. What is no map counts as empty once it has been told. */
function mapAt(
  value: unknown,
  path: PolicyFault['path'],
  keys: readonly string[] | null,
  put: Put,
): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const what = keys === null ? 'names' : `the keys ${keys.join(', ')}`
    put(path, `must be a map with ${what}, found ${shown(value)}`)
    return {}
  }
  for (const key of keys === null ? [] : Object.keys(value).filter(one => !keys.includes(one)))
    put([...path, key], `unknown key; known here: ${keys?.join(', ')}`)
  return value as Record<string, unknown>
}

function listAt(value: unknown, path: PolicyFault['path'], what: string, put: Put): readonly string[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) {
    put(path, `must be a list of ${what}`)
    return []
  }
  return value.filter((one, at): one is string => {
    if (typeof one === 'string') return true
    put([...path, at], `must be one of the ${what}, found ${shown(one)}; a text with a : in it needs quotes`)
    return false
  })
}

const isReads = (value: unknown): value is Reads => READS.includes(value as Reads)
const namesText = (roles: ReadonlyMap<string, unknown>): string =>
  roles.size === 0 ? 'none' : [...roles.keys()].join(', ')

/** Of a kind, and short: what stands in the file may be secret. */
function shown(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a map' : `a ${typeof value === 'string' ? 'text' : typeof value}`
}
