/**
 * Aurora's users and roles as a document of security.yaml. What means the same goes over; what would never have held, or
 * would open a door that Aurora kept shut, is left out and told.
 */
import type { AuroraIni } from './aurora-ini.ts'
import { readGrant } from './permission.ts'
import { type Calls, USER_NAME } from './policy.ts'

export interface ImportedPolicy {
  readonly document: {
    readonly reads: 'anyone'
    readonly users: Record<string, { password?: string; roles: readonly string[] }>
    readonly roles: Record<string, readonly string[]>
  }
  /** Passwords in clear, to be hashed by whoever has a hash. */
  readonly toHash: readonly { readonly name: string; readonly password: string }[]
  readonly warnings: readonly { readonly line: number; readonly text: string }[]
}

/** Shorter ones are placeholders, or as good as. */
const PASSWORD_CHARACTERS_MIN = 3

export function importedPolicy(
  ini: AuroraIni,
  calls: Calls,
  { passwords }: { readonly passwords: boolean },
): ImportedPolicy {
  const warnings: { line: number; text: string }[] = []
  const roles: ImportedPolicy['document']['roles'] = {}
  for (const { line, name, permissions } of ini.roles) {
    roles[name] = permissions.filter(text => {
      const read = readGrant(text, calls)
      if (!read.ok) warnings.push({ line, text: `left out of role ${name}: ${read.text}` })
      return read.ok
    })
  }
  const users: ImportedPolicy['document']['users'] = {}
  const toHash: { name: string; password: string }[] = []
  const times = new Map<string, number>()
  for (const { password } of ini.users) times.set(password, (times.get(password) ?? 0) + 1)
  for (const { line, name, password, roles: named } of ini.users) {
    if (!USER_NAME.test(name)) {
      warnings.push({ line, text: `user ${name} is left out: a name has letters, digits, ., -, _ and @` })
      continue
    }
    users[name] = {
      roles: named.filter(role => {
        if (Object.hasOwn(roles, role)) return true
        warnings.push({ line, text: `left out of user ${name}: there is no role ${role}` })
        return false
      }),
    }
    if (!passwords) continue
    const shared = (times.get(password) ?? 0) > 1
    if (!shared && password.length >= PASSWORD_CHARACTERS_MIN) toHash.push({ name, password })
    else {
      const why = shared ? 'others have the same' : 'it is too short'
      warnings.push({
        line,
        text: `the password of ${name} is left out, as a placeholder would be (${why}): set one by \`daybreak security hash\``,
      })
    }
  }
  return { document: { reads: 'anyone', users, roles }, toHash, warnings }
}
