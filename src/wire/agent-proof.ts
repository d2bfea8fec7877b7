/**
 * The proof that agent and scheduler belong to one cluster: an HMAC over both nonces under the agent key, which is
 * itself derived from the cluster secret with the word `agent`, so that a stolen agent cannot join the consensus.
 * The two directions differ by a word, so that a proof cannot be played back to its sender.
 */

/** HMAC-SHA-256 as hex; handed in because this folder knows no crypto. */
export type Hmac = (key: Uint8Array | string, text: string) => string

/** Empty secret: no proof is asked for or given; then both sides must be on loopback. */
export function agentKey(hmac: Hmac, secret: string): string {
  return secret === '' ? '' : hmac(secret, 'agent')
}

export function agentProof(hmac: Hmac, key: string, listenerNonce: string, agentNonce: string): string {
  return key === '' ? '' : hmac(key, `agent>leader ${listenerNonce} ${agentNonce}`)
}

export function leaderProof(hmac: Hmac, key: string, listenerNonce: string, agentNonce: string): string {
  return key === '' ? '' : hmac(key, `leader>agent ${agentNonce} ${listenerNonce}`)
}
