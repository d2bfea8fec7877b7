import type { Command } from 'commander'
import { action, type Session } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io, unreadable } from './io.ts'
import { example } from './job.ts'
import { say, sayJson, warn } from './report.ts'

/**
 * `daybreak security hash|token|check|import`: what an operator needs to write a security.yaml, on the machine of the
 * node. Passwords are asked for, or read from standard input; never taken from the command line, where `ps` shows them.
 */
export function registerSecurity(program: Command, session: Session): void {
  const security = program.command('security').description('make and check the file that says who may do what')
  security
    .command('hash')
    .summary('hash a password for security.yaml')
    .description('Asks for a password, or reads it from standard input, and prints its hash for `users.NAME.password`.')
    .option('--json', 'print JSON')
    .addHelpText('after', example('security hash'))
    .action(action(session, hash))
  security
    .command('token')
    .summary('draw a token for a program')
    .description('Prints a new token, for DAYBREAK_TOKEN or a header, and its hash for `users.NAME.tokens`.')
    .option('--json', 'print JSON')
    .addHelpText('after', example('security token'))
    .action(action(session, token))
  security
    .command('check')
    .summary('check a security.yaml and tell all of its faults')
    .description('Reads the file as a node would, and tells all faults with their lines.')
    .argument('<file>', 'the security.yaml')
    .option('--json', 'print JSON')
    .addHelpText('after', example('security check /etc/daybreak/security.yaml'))
    .action(action(session, check))
  security
    .command('import')
    .summary('make a security.yaml of the ini file of Aurora')
    .description(
      'Prints a security.yaml with the users, roles and permissions of the file that -shiro_ini_path named; passwords are hashed.',
    )
    .argument('<file>', 'the ini file')
    .option('--no-passwords', 'leave the passwords out: with Kerberos they were placeholders that anybody can guess')
    .option('--json', 'print JSON: the text of the file, and the warnings')
    .addHelpText('after', example('security import shiro.ini > security.yaml'))
    .action(action(session, importIni))
}

type Options = { readonly json?: boolean }
const PASSWORD_CHARACTERS_MIN = 8

async function hash(io: Io, { json }: Options): Promise<ClientExit> {
  const password = await io.readSecret('Password: ')
  const refuse = (text: string): never => {
    throw new CliFailure(CLIENT_EXIT.usage, text, { remedy: 'nothing was hashed; try again' })
  }
  if ([...password].length < PASSWORD_CHARACTERS_MIN)
    refuse(`The password is shorter than ${PASSWORD_CHARACTERS_MIN} characters`)
  if (/\p{Cc}/u.test(password)) refuse('The password has control characters or more than one line')
  if (io.stdin.isTTY && (await io.readSecret('Once more: ')) !== password) refuse('The two are not the same')
  const { hashPassword } = await import('../runtime/security/scrypt.ts')
  const text = await hashPassword(password)
  if (json === true) sayJson(io, { hash: text })
  else say(io, text)
  return CLIENT_EXIT.ok
}

async function token(io: Io, { json }: Options): Promise<ClientExit> {
  const { drawToken, tokenHash } = await import('../runtime/security/scrypt.ts')
  const drawn = drawToken()
  if (json === true) sayJson(io, { token: drawn, hash: tokenHash(drawn) })
  else say(io, `token: ${drawn}\nhash:  ${tokenHash(drawn)}`)
  return CLIENT_EXIT.ok
}

async function check(io: Io, path: string, { json }: Options): Promise<ClientExit> {
  const { readSecurityText } = await import('../runtime/security/security-file.ts')
  const read = readSecurityText(await textOf(io, path), path)
  if (!read.ok) throw faulty(`${path} has faults`, read.faults)
  const { users, reads } = read.policy
  if (json === true) sayJson(io, { ok: true, users: [...users.keys()], reads })
  else say(io, `${path}: no faults; ${users.size} ${users.size === 1 ? 'user' : 'users'}, ${reads} may read`)
  return CLIENT_EXIT.ok
}

async function importIni(
  io: Io,
  path: string,
  { json, passwords }: Options & { readonly passwords: boolean },
): Promise<ClientExit> {
  const { readAuroraIni } = await import('../core/security/aurora-ini.ts')
  const read = readAuroraIni(await textOf(io, path))
  if (!read.ok) {
    const lines = read.faults.map(({ line, text }) => (line === null ? `${path}: ${text}` : `${path}:${line}: ${text}`))
    throw faulty(`${path} cannot be read as a security file of Aurora`, lines)
  }
  const { hashPassword } = await import('../runtime/security/scrypt.ts')
  const { PERMITTED_CALLS } = await import('../runtime/security/permitted-calls.ts')
  const { importedPolicy } = await import('../core/security/imported-policy.ts')
  const { document, toHash, warnings } = importedPolicy(read.ini, PERMITTED_CALLS, { passwords })
  for (const { name, password } of toHash)
    document.users[name] = { password: await hashPassword(password), roles: document.users[name]!.roles }
  const { stringify } = await import('yaml')
  const text = `${IMPORTED}${stringify(document, { lineWidth: 0 })}`
  if (json === true) sayJson(io, { text, warnings })
  else io.stdout.write(text)
  for (const { line, text: warning } of warnings) warn(io, `${path}:${line}: ${warning}`)
  return CLIENT_EXIT.ok
}

const IMPORTED = `# Made of a security file of Aurora. \`reads: anyone\` is as it was there: whoever reaches the port may read without
# logging in; \`reads: users\` ends that. Name this file in security.file, alike on all nodes.
`

async function textOf(io: Io, path: string): Promise<string> {
  try {
    return await io.readText(path)
  } catch (cause) {
    throw new CliFailure(CLIENT_EXIT.configuration, `Unable to read ${path}: ${unreadable(cause)}`, { cause })
  }
}

function faulty(text: string, lines: readonly string[]): CliFailure {
  return new CliFailure(CLIENT_EXIT.configuration, `${text}:\n${lines.map(line => `  ${line}`).join('\n')}`)
}
