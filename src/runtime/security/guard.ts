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
  /** As they stand in security.yaml. */
  readonly permissions: readonly string[]
  may(permission: Permission): boolean
}

export interface Guard {
  readonly reads: Policy['reads']
  /** Of a request without the header. */
  readonly nobody: Subject
  /** From now on these are who may do what. */
  renew(policy: Policy): void
  /** Told after each renewal: what goes on for long has to show anew who it is for. */
  onRenewed(told: () => void): void
  /** Whether what was found out still holds: the policy has not been renewed since. */
  isCurrent(subject: Subject): boolean
  /**
   * UNAUTHENTICATED when it proves nothing, BUSY when too many wait for scrypt, in all or from one address. By the policy of
   * the moment it answers. `from`: the address that asks.
   */
  identify(authorization: string, from: string): Promise<Subject | Rejection>
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
/** Of them from one address: whoever tries passwords leaves places to others. */
export const WAITING_FROM_ONE_MAX = 8

export function createGuard({ policy, clock, verify = verifyPassword }: GuardOptions): Guard {
  const processKey = randomBytes(32)
  let present = stateOf(policy)
  const listeners: (() => void)[] = []
  const asked = new Map<string, Promise<boolean>>()
  /** By address: how many of them. */
  const askedFrom = new Map<string, number>()
  let last: Promise<unknown> = Promise.resolve()

  /** Null: too many wait. */
  const isRight = (state: State, name: string, password: string, from: string): Promise<boolean> | null => {
    const digest = createHmac('sha256', processKey).update(`${state.serial}\0${name}\0${password}`).digest('base64')
    const untilMs = state.right.get(digest) ?? 0
    if (clock.read().monoMs < untilMs) return Promise.resolve(true)
    state.right.delete(digest)
    const running = asked.get(digest)
    if (running !== undefined) return running
    const fromThere = askedFrom.get(from) ?? 0
    if (asked.size >= WAITING_MAX || fromThere >= WAITING_FROM_ONE_MAX) return null
    askedFrom.set(from, fromThere + 1)
    const hash = state.policy.users.get(name)?.password ?? null
    const answer = last.then(async () => {
      const isMatch = await verify(password, hash ?? NOBODY)
      if (!isMatch || hash === null) return false
      const oldest = state.right.keys().next()
      if (state.right.size >= REMEMBERED_MAX && !oldest.done) state.right.delete(oldest.value)
      state.right.set(digest, clock.read().monoMs + REMEMBERED_MS)
      return true
    })
    const over = (): void => {
      asked.delete(digest)
      const left = askedFrom.get(from)! - 1
      if (left > 0) askedFrom.set(from, left)
      else askedFrom.delete(from)
    }
    last = answer.then(over, over)
    asked.set(digest, answer)
    return answer
  }

  const guard: Guard = {
    get reads() {
      return present.policy.reads
    },
    get nobody() {
      return present.nobody
    },
    isCurrent: subject => subject === (subject.name === null ? present.nobody : present.subjects.get(subject.name)),
    renew: next => {
      present = stateOf(next)
      for (const told of listeners) told()
    },
    onRenewed: told => void listeners.push(told),
    async identify(authorization, from) {
      const state = present
      const given = readAuthorization(authorization)
      switch (given.type) {
        case 'other':
          return unauthenticated(given.text)
        case 'token': {
          const name = state.policy.tokens.get(tokenHash(given.token))
          return (
            (name === undefined ? undefined : state.subjects.get(name)) ?? unauthenticated('The token is not known')
          )
        }
        case 'password': {
          const said = isRight(state, given.name, given.password, from)
          if (said === null) {
            const remedy = 'try again; a token costs no check'
            return rejected('BUSY', 'Too many passwords wait to be checked', { remedy })
          }
          const subject = (await said) ? state.subjects.get(given.name) : undefined
          // Somebody may have been taken out, or given another password, while scrypt was at it.
          if (state !== present) return guard.identify(authorization, from)
          // Not which of the two is wrong.
          return subject ?? unauthenticated('The user or the password is wrong')
        }
      }
    },
  }
  return guard
}

/** Of one policy; what was found under another is forgotten with it. */
interface State {
  readonly serial: string
  readonly policy: Policy
  readonly subjects: ReadonlyMap<string, Subject>
  readonly nobody: Subject
  /** Digests of what was right, and until when it need not be looked at again. */
  readonly right: Map<string, number>
}

function stateOf(policy: Policy): State {
  const subjects = new Map([...policy.users.values()].map(user => [user.name, subjectOf(user)]))
  const nobody: Subject = { name: null, permissions: [], may: () => false }
  return { serial: randomBytes(8).toString('hex'), policy, subjects, nobody, right: new Map() }
}

export function unauthenticated(detail: string): Rejection {
  return rejected('UNAUTHENTICATED', detail, {
    remedy:
      'send a user and password (Basic) or a token (Bearer) that security.yaml of the scheduler nodes lists; the client takes them from DAYBREAK_TOKEN or ~/.daybreak/credentials',
  })
}

const subjectOf = (user: User): Subject => ({
  name: user.name,
  permissions: user.grants.map(({ text }) => text),
  may: permission => may(user, permission),
})

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
