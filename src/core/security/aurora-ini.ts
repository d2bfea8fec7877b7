/**
 * Aurora's security file (`-shiro_ini_path`): `[users]` with `name = password, role…` and `[roles]` with
 * `name = permission, …`. Source: the outside interfaces, section 7.
 */

export interface AuroraIni {
  readonly users: readonly IniUser[]
  readonly roles: readonly IniRole[]
}
export interface IniUser {
  readonly line: number
  readonly name: string
  /** In clear. */
  readonly password: string
  readonly roles: readonly string[]
}
export interface IniRole {
  readonly line: number
  readonly name: string
  readonly permissions: readonly string[]
}
export interface IniFault {
  /** Null: about the whole file. */
  readonly line: number | null
  readonly text: string
}

const ALLOWED = ['roles', 'users']

/** Faults never repeat a value: it may be a password. */
export function readAuroraIni(
  text: string,
): { readonly ok: true; readonly ini: AuroraIni } | { readonly ok: false; readonly faults: readonly IniFault[] } {
  const faults: IniFault[] = []
  const sections = new Set<string>()
  const users: IniUser[] = []
  const roles: IniRole[] = []
  let section: string | null = null
  for (const { line, text: entry } of entriesOf(text)) {
    const head = /^\[(.*)\]$/.exec(entry)
    if (head !== null) {
      section = (head[1] ?? '').trim()
      sections.add(section)
      continue
    }
    if (section === null) faults.push({ line, text: 'stands before any section: put it under [users] or [roles]' })
    if (section !== 'users' && section !== 'roles') continue
    const found = /^((?:\\.|[^\s=:\\])+)\s*[=:]?\s*(.*)$/.exec(entry)
    const name = (found?.[1] ?? '').replace(/\\(.)/g, '$1')
    const [first = '', ...others] = splitValue(found?.[2] ?? '')
    if (name === '')
      faults.push({
        line,
        text: `has no name: write \`name = ${section === 'users' ? 'password, role' : 'permission'}\``,
      })
    else if ([...(section === 'users' ? users : roles)].some(one => one.name === name))
      faults.push({ line, text: `names ${name} a second time in [${section}]: remove one of the two` })
    else if (section === 'users') users.push({ line, name, password: first, roles: others.filter(role => role !== '') })
    else roles.push({ line, name, permissions: [first, ...others].filter(permission => permission !== '') })
  }
  const extra = [...sections].filter(name => !ALLOWED.includes(name))
  if (extra.length > 0) faults.unshift({ line: null, text: `Extra sections present: [${extra.join(', ')}]` })
  if (sections.size === 0)
    faults.unshift({ line: null, text: `No sections present. Allowed sections are: ${ALLOWED.join(',')}` })
  return faults.length > 0 ? { ok: false, faults } : { ok: true, ini: { users, roles } }
}

/** Lines that say something; one that ends with a backslash goes on in the next. */
function* entriesOf(text: string): Generator<{ readonly line: number; readonly text: string }> {
  let begun: { line: number; text: string } | null = null
  for (const [at, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const trimmed = raw.trim()
    if (begun === null && (trimmed === '' || /^[#;]/.test(trimmed))) continue
    const entry: { line: number; text: string } = begun ?? { line: at + 1, text: '' }
    const goesOn = /(^|[^\\])(\\\\)*\\$/.test(trimmed)
    entry.text += goesOn ? trimmed.slice(0, -1) : trimmed
    begun = goesOn ? entry : null
    if (!goesOn) yield entry
  }
  if (begun !== null) yield begun
}

/** By commas that are not in double quotes; the quotes go. */
function splitValue(value: string): readonly string[] {
  const parts: string[] = ['']
  let isQuoted = false
  for (const letter of value) {
    if (letter === '"') isQuoted = !isQuoted
    else if (letter === ',' && !isQuoted) parts.push('')
    else parts[parts.length - 1] += letter
  }
  return parts.map(part => part.trim())
}
