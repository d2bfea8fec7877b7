/** Secrets and their hashes: passwords by scrypt in the thread pool, tokens drawn and hashed at once. */
import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import {
  HASH_BYTES,
  HASH_COST,
  memoryBytes,
  type PasswordHash,
  passwordHashText,
  SALT_BYTES,
} from '../../core/security/password-hash.ts'

/** As it stands in security.yaml. */
export async function hashPassword(password: string, salt: Buffer = randomBytes(SALT_BYTES)): Promise<string> {
  const hash = await derive(password, { ...HASH_COST, salt }, HASH_BYTES)
  return passwordHashText({ ...HASH_COST, salt: unpadded(salt), hash: unpadded(hash) })
}

export async function verifyPassword(password: string, { salt, hash, ...cost }: PasswordHash): Promise<boolean> {
  const expected = Buffer.from(hash, 'base64')
  const found = await derive(password, { ...cost, salt: Buffer.from(salt, 'base64') }, expected.length)
  return timingSafeEqual(found, expected)
}

/** What nobody's password has: the same work for a user that does not exist. */
export const NOBODY: PasswordHash = { ...HASH_COST, salt: 'A'.repeat(22), hash: 'A'.repeat(43) }

const TOKEN_BYTES = 32

/** For a header: `Authorization: Bearer dbk_…`. */
export const drawToken = (): string => `dbk_${randomBytes(TOKEN_BYTES).toString('base64url')}`

/** As it stands in security.yaml. */
export const tokenHash = (token: string): string => `sha256:${createHash('sha256').update(token).digest('hex')}`

/** One password, written in two ways on two keyboards, is the same. */
function derive(
  password: string,
  { logN, r, p, salt }: { readonly logN: number; readonly r: number; readonly p: number; readonly salt: Buffer },
  bytes: number,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const cost = { N: 2 ** logN, r, p, maxmem: memoryBytes({ logN, r, p }) + 1024 * 1024 }
    scrypt(password.normalize('NFC'), salt, bytes, cost, (error, key) =>
      error === null ? resolve(key) : reject(error),
    )
  })
}

const unpadded = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '')
