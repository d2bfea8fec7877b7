/** Accounts of the machine: whom a task may run as, and what its processes are told about it. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'

export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

export type AccountChoice =
  | {
      readonly ok: true
      readonly account: Account /** True: the shim must change to it first. */
      readonly switches: boolean
    }
  | { readonly ok: false; readonly text: string }

export interface AccountRules {
  readonly userMode: 'shared' | 'role'
  readonly allowRoot: boolean
}

/** `/etc/passwd` first, then whatever else the machine knows accounts from (`getent`). Null: no such account. */
export async function findAccount(name: string): Promise<Account | null> {
  const local = readFileSync('/etc/passwd', 'utf8').split('\n')
  const line = local.find(text => text.startsWith(`${name}:`)) ?? (await getent(name))
  const [found, , uid, gid] = line?.split(':') ?? []
  return found === name ? { name, uid: Number(uid), gid: Number(gid) } : null
}

/** Whom the tasks of a role run as. */
export async function accountFor(role: string, rules: AccountRules): Promise<AccountChoice> {
  const self = ownAccount()
  if (rules.userMode === 'shared') return { ok: true, account: self, switches: false }
  const account = await findAccount(role)
  if (account === null) {
    return { ok: false, text: `Could not create sandbox because user does not exist: ${role}` }
  }
  if (account.uid === 0 && !rules.allowRoot) {
    return { ok: false, text: `Role ${role} is root; this agent runs no task as root (agent.allowRoot is off)` }
  }
  if (self.uid !== 0 && account.uid !== self.uid) {
    const remedy = 'run the agent as root, or set agent.userMode to shared'
    return { ok: false, text: `The agent runs as ${self.name} and cannot run tasks as ${role}: ${remedy}` }
  }
  return { ok: true, account, switches: account.uid !== self.uid }
}

/** Whether the program that changes accounts is here. Without it every task of another account would end with 127. */
export function canSwitchAccounts(path = process.env.PATH ?? ''): boolean {
  return path.split(':').some(folder => folder !== '' && existsSync(join(folder, 'setpriv')))
}

export function ownAccount(): Account {
  try {
    const { username, uid, gid } = userInfo()
    return { name: username, uid, gid }
  } catch {
    // A container may run us under a uid that has no account at all: then the number is the name.
    const uid = process.getuid?.() ?? 0
    return { name: String(uid), uid, gid: process.getgid?.() ?? 0 }
  }
}

function getent(name: string): Promise<string | undefined> {
  if (!/^[\w.-]+$/.test(name) || name.startsWith('-')) return Promise.resolve(undefined)
  return new Promise(resolve => {
    // Status 2 means "not found", a missing program means "nothing but the file": both are no account.
    execFile('getent', ['passwd', name], { timeout: 5_000 }, (cause, stdout) =>
      resolve(cause === null ? stdout.trim() : undefined),
    )
  })
}
