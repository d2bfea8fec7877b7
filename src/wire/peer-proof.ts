/**
 * The proof that two scheduler nodes belong to one cluster: an HMAC over both nonces under a key that is derived from
 * the cluster secret with the word `peer`, so an agent's key proves nothing here. The two directions differ by a word,
 * so that a proof cannot be played back to its sender.
 */
import type { Hmac } from './agent-proof.ts'

export type PeerSide = 'dialer' | 'acceptor'

/** Empty secret: no proof is asked for or given; then both sides must be on loopback. */
export function peerKey(hmac: Hmac, secret: string): string {
  return secret === '' ? '' : hmac(secret, 'peer')
}

/** What the member on `side` has to show. */
export function peerProof(hmac: Hmac, key: string, side: PeerSide, nonces: Readonly<Record<PeerSide, string>>): string {
  return key === '' ? '' : hmac(key, `log ${side} ${nonces.dialer} ${nonces.acceptor}`)
}
