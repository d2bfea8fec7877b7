/**
 * Finds out who sends a request, by its `Authorization` header: a token by its hash, a password by scrypt. Scrypt costs
 * a third of a second of a thread that the log's disk work shares, so it runs one at a time, once for the same question
 * asked many times at once, and what was right is remembered for a while: as a digest with a key of this process, never
 * the password. Nothing is remembered of what was wrong.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { Clock } from '../../actors/ports.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { PasswordHash } from '../../core/security/password-hash.ts'
import type { Permission } from '../../core/security/permission.ts'
import { may, type Policy, type User } from '../../core/security/policy.ts'
import { NOBODY, tokenHash, verifyPassword } from './scrypt.ts'

/** Who a request comes from. */
export interface Subject {
  /** Null: somebody who has not said who they are. */
  readonly name: string | null
  may(permission: Permission): boolean
}

export interface Guard {
  readonly reads: Policy['reads']
  /** Of a request without the header. */
  readonly nobody: Subject
  /** UNAUTHENTICATED when it proves nothing, BUSY when too many wait for scrypt. */
  identify(authorization: string): Promise<Subject | Rejection>
}

export interface GuardOptions {
  readonly policy: Policy
  readonly clock: Clock
  /** Only tests set it. */
  readonly verify?: (password: string, hash: PasswordHash) => Promise<boolean>
}

/** From the moment it was found right. */
export const REMEMBERED_MS = 10 * 60_000
const REMEMBERED_MAX = 1_000
/** Questions that wait for their scrypt. */
export const WAITING_MAX = 32

export function createGuard({ policy, clock, verify = verifyPassword }: GuardOptions): Guard {
  const subjects = new Map([...policy.users.values()].map(user => [user.name, subjectOf(user)]))
  const processKey = randomBytes(32)
  const right = new Map<string, { readonly untilMs: number }>()
  const asked = new Map<string, Promise<boolean>>()
  let last: Promise<unknown> = Promise.resolve()

  const isRight = (name: string, password: string): Promise<boolean> | null => {
    const digest = createHmac('sha256', processKey).update(`${name}\0${password}`).digest('base64')
    const known = right.get(digest)
    if (known !== undefined && clock.read().monoMs < known.untilMs) return Promise.resolve(true)
    right.delete(digest)
    const running = asked.get(digest)
    if (running !== undefined) return running
    if (asked.size >= WAITING_MAX) return null
    const hash = policy.users.get(name)?.password ?? null
    const answer = last.then(async () => {
      const isMatch = await verify(password, hash ?? NOBODY)
      if (!isMatch || hash === null) return false
      const oldest = right.keys().next()
      if (right.size >= REMEMBERED_MAX && !oldest.done) right.delete(oldest.value)
      right.set(digest, { untilMs: clock.read().monoMs + REMEMBERED_MS })
      return true
    })
    last = answer.then(
      () => asked.delete(digest),
      () => asked.delete(digest),
    )
    asked.set(digest, answer)
    return answer
  }

  return {
    reads: policy.reads,
    nobody: { name: null, may: () => false },
    async identify(authorization) {
      const given = readAuthorization(authorization)
      switch (given.type) {
        case 'other':
          return unauthenticated(given.text)
        case 'token': {
          const name = policy.tokens.get(tokenHash(given.token))
          return (name === undefined ? undefined : subjects.get(name)) ?? unauthenticated('The token is not known')
        }
        case 'password': {
          const said = isRight(given.name, given.password)
          if (said === null)
            return rejected('BUSY', 'Too many passwords wait to be checked', {
              remedy: 'try again; a token costs no check',
            })
          const subject = (await said) ? subjects.get(given.name) : undefined
          // Not which of the two is wrong.
          return subject ?? unauthenticated('The user or the password is wrong')
        }
      }
    },
  }
}

export function unauthenticated(detail: string): Rejection {
  return rejected('UNAUTHENTICATED', detail, {
    remedy:
      'send a user and password (Basic) or a token (Bearer) that security.yaml of the scheduler nodes lists; the client takes them from DAYBREAK_TOKEN or ~/.daybreak/credentials',
  })
}

const subjectOf = (user: User): Subject => ({ name: user.name, may: permission => may(user, permission) })

type Given =
  | { readonly type: 'token'; readonly token: string }
  | { readonly type: 'password'; readonly name: string; readonly password: string }
  | { readonly type: 'other'; readonly text: string }

const CHARACTERS_MAX = 4_096

export function readAuthorization(header: string): Given {
  const match = /^(\S+)(?: +(\S+))? *$/.exec(header)
  const scheme = match?.[1]?.toLowerCase() ?? ''
  const value = match?.[2] ?? ''
  if (header.length > CHARACTERS_MAX)
    return { type: 'other', text: `Authorization is longer than ${CHARACTERS_MAX} characters` }
  if (scheme === 'bearer' && value !== '') return { type: 'token', token: value }
  if (scheme === 'basic' && /^[A-Za-z0-9+/]+=*$/.test(value)) {
    const text = Buffer.from(value, 'base64').toString('utf8')
    const colon = text.indexOf(':')
    if (colon > 0) return { type: 'password', name: text.slice(0, colon), password: text.slice(colon + 1) }
  }
  if (scheme === 'basic' || scheme === 'bearer')
    return { type: 'other', text: `What Authorization says after ${match?.[1]} cannot be read` }
  return { type: 'other', text: 'Authorization is neither Basic nor Bearer' }
}
