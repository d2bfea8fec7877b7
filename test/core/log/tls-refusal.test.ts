import { describe, expect, test } from 'vitest'
import { certificateEndings } from '../../../src/core/log/certificate-end.ts'
import { certificateRefusal, handshakeRefusal, isTlsRefusal } from '../../../src/core/log/tls-refusal.ts'

const openssl = (words: string): string =>
  `write EPROTO 800C:error:0A00010B:SSL routines:ssl3_get_record:${words}:../deps/openssl/ssl/record.c:350:\n`

describe('a handshake that fails', () => {
  test.each<[string, { code: string; message: string }, string | null]>([
    ['an answer in clear', { code: 'EPROTO', message: openssl('wrong version number') }, 'TLS_ONE_SIDED'],
    ['the same by its code', { code: 'ERR_SSL_WRONG_VERSION_NUMBER', message: '' }, 'TLS_ONE_SIDED'],
    ['an answer of another kind', { code: 'ERR_SSL_PACKET_LENGTH_TOO_LONG', message: '' }, 'TLS_ONE_SIDED'],
    ['a version too old', { code: 'EPROTO', message: openssl('tlsv1 alert protocol version') }, 'TLS_VERSION'],
    ['the same seen by the other end', { code: 'ERR_SSL_UNSUPPORTED_PROTOCOL', message: '' }, 'TLS_VERSION'],
    ['no cipher in common', { code: 'ERR_SSL_NO_SHARED_CIPHER', message: '' }, 'TLS_VERSION'],
    ['a connection that broke', { code: 'ECONNRESET', message: 'socket hang up' }, null],
    ['nobody there', { code: 'ECONNREFUSED', message: 'connect ECONNREFUSED 10.0.0.3:8083' }, null],
  ])('%s: %o is %s', (_case, failure, code) => {
    expect(handshakeRefusal(failure)?.code ?? null).toBe(code)
  })

  test('a certificate that is refused for a reason nobody foresaw: said with its code', () => {
    const refusal = certificateRefusal({ whose: 'peer', reason: 'CERT_REVOKED', subject: 'CN=node-3' })
    expect(refusal).toEqual({ code: 'TLS_CERTIFICATE', text: 'its certificate (CN=node-3) is refused (CERT_REVOKED)' })
    expect(isTlsRefusal(refusal)).toBe(true)
    expect(isTlsRefusal({ code: 'AUTH' })).toBe(false)
  })
})

describe('a certificate that ends', () => {
  const day = 86_400_000
  test('31 days left: nothing; 29 days left or ended: said with the key and the days', () => {
    const ends = { certEndsAtMs: 100 * day, caEndsAtMs: 200 * day }
    expect(certificateEndings(ends, 69 * day)).toEqual([])
    expect(certificateEndings(ends, 71 * day)).toEqual([
      { key: 'peer.tls.certFile', endsAtMs: 100 * day, daysLeft: 29 },
    ])
    expect(certificateEndings(ends, 200.5 * day)).toMatchObject([
      { key: 'peer.tls.certFile', daysLeft: -101 },
      { key: 'peer.tls.caFile', daysLeft: -1 },
    ])
  })
})
