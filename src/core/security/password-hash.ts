/** Scrypt hashes of passwords as text, `$scrypt$ln=15,r=8,p=3$SALT$HASH`: what they say, and what is refused of them. */

export interface PasswordHash {
  /** Of the cost N, which is 2 to this. */
  readonly logN: number
  readonly r: number
  readonly p: number
  /** Base64 without padding. */
  readonly salt: string
  readonly hash: string
}

/** Of new hashes: 32 MiB and about a third of a second, once per password and a while. */
export const HASH_COST = { logN: 15, r: 8, p: 3 } as const
export const SALT_BYTES = 16
export const HASH_BYTES = 32

/** A hash that costs more would hold up everybody else's login. */
const MEMORY_BYTES_MAX = 256 * 1024 * 1024
const LOG_N_MIN = 12
const P_MAX = 16
const FORM = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{43,86})$/

export const memoryBytes = ({ logN, r, p }: Pick<PasswordHash, 'logN' | 'r' | 'p'>): number =>
  128 * r * (2 ** logN + p + 2)

export const passwordHashText = ({ logN, r, p, salt, hash }: PasswordHash): string =>
  `$scrypt$ln=${logN},r=${r},p=${p}$${salt}$${hash}`

/** A text says why it is none, and never repeats it: it may be a password. */
export function readPasswordHash(value: unknown): PasswordHash | { readonly fault: string } {
  const match = typeof value === 'string' ? FORM.exec(value) : null
  if (match === null)
    return { fault: 'is no scrypt hash; passwords do not stand here: `daybreak security hash` makes one' }
  const [logN, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const found = { logN, r, p, salt: match[4] ?? '', hash: match[5] ?? '' }
  if (logN < LOG_N_MIN || r < 1 || p < 1)
    return { fault: `is too cheap to guess (ln=${logN}): make one by \`daybreak security hash\`` }
  if (memoryBytes(found) > MEMORY_BYTES_MAX || p > P_MAX)
    return {
      fault: `costs more than a node gives for a login (ln=${logN},r=${r},p=${p}): make one by \`daybreak security hash\``,
    }
  return found
}

/** `sha256:<64 hex digits>`: tokens are drawn, not chosen, so a fast hash will do. */
export const TOKEN_HASH = /^sha256:[0-9a-f]{64}$/
