/** Members that speak TLS, over real sockets, and all kinds of others that knock at their door. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { formatLog } from '../../../src/runtime/log/log-folder.ts'
import type { PeerTls } from '../../../src/runtime/peer-certificates.ts'
import { PEER_PATH, PEER_SUBPROTOCOL } from '../../../src/wire/messages/peer.ts'
import { freePorts } from '../../fixtures/free-ports.ts'
import { putRow } from './log-folders.ts'
import { append, CLUSTER, eventually, Member, memberOptions } from './member.ts'

const pem = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../../fixtures/tls', `${name}.pem`), 'utf8')
const LATER = Date.UTC(2199, 0)

/** As they are in the fixtures, unlike what the config would let through. */
function tlsWith(cert: string, change: { key?: string; ca?: string; certEndsAtMs?: number } = {}): PeerTls {
  const { key = 'node-3-key', ca = 'ca', certEndsAtMs = LATER } = change
  return { cert: pem(cert), key: pem(key), ca: pem(ca), certEndsAtMs, caEndsAtMs: LATER }
}
const own = (memberId: number): PeerTls => tlsWith(`node-${memberId}`, { key: `node-${memberId}-key` })

const SECRET = 'a secret of this cluster'

/** Three members; 1 and 2 with certificates of their own, 3 with what is given, null: in clear. */
async function withThird(third: PeerTls | null, secret = SECRET): Promise<readonly [Member, Member, Member]> {
  const all = await tlsOptions(memberId => (memberId === 3 ? third : own(memberId)))
  await Promise.all(all.map(one => formatLog(one, CLUSTER)))
  const [first, second, last] = all.map(one => new Member(one))
  const other = new Member({ ...last!.options, peer: { ...last!.options.peer!, secret } })
  await Promise.all([first!, second!, other].map(member => member.start()))
  return [first!, second!, other]
}

async function tlsOptions(tlsOf: (memberId: number) => PeerTls | null, secret = SECRET) {
  const all = await memberOptions(3)
  return all.map(one => {
    const tls = tlsOf(one.memberId)
    return { ...one, peer: { ...one.peer!, secret, ...(tls === null ? {} : { tls }) } }
  })
}

/** What the one says about the other, for `cluster status`. */
async function trouble(of: Member, memberId: number): Promise<string> {
  let said: string | null = null
  await eventually(async () => {
    said = (await of.status()).peers.find(peer => peer.memberId === memberId)?.trouble ?? null
    return said !== null && !/not dialled|not connected|ECONNREFUSED/.test(said)
  })
  return said!
}

const linesAbout = (member: Member, text: string) =>
  member.lines.filter(line => JSON.stringify(line.fields).includes(text))

describe('members with certificates of one CA', () => {
  test('all three: one leads, an append is on all of them, one is lost and comes back, the others go on', async () => {
    const members = await withThird(own(3))
    const { leader, position } = await append(members, putRow('a', '1'))
    await Promise.all(
      members
        .filter(member => member !== leader)
        .map(member => member.when(() => member.entries.at(-1)?.position === position)),
    )
    await leader.stop()
    const two = members.filter(member => member !== leader)
    const { position: next } = await append(two, putRow('b', '1'))
    const back = await new Member(leader.options).start()
    await back.when(() => back.entries.some(entry => entry.position === next))
  })

  test('what members say does not show on the wire, and does without TLS', async () => {
    const wire = async (tlsOf: (memberId: number) => PeerTls | null): Promise<Buffer> => {
      const all = await tlsOptions(tlsOf)
      const hidden = await freePorts(3)
      const seen: Buffer[] = []
      for (const [at, { peer }] of all.entries()) await listenBetween(peer.port, hidden[at]!, seen)
      const members = await Promise.all(
        all.map(async (one, at) => {
          await formatLog(one, CLUSTER)
          return new Member({ ...one, peer: { ...one.peer, port: hidden[at]! } }).start()
        }),
      )
      const { leader, position } = await append(members, putRow('a', '1'))
      await Promise.all(
        members
          .filter(member => member !== leader)
          .map(member => member.when(() => member.entries.at(-1)?.position === position)),
      )
      return Buffer.concat(seen)
    }
    const marks = [CLUSTER, 'node-2', PEER_PATH]
    const [clear, hidden] = await Promise.all([wire(() => null), wire(own)])
    expect(marks.map(mark => clear.includes(mark))).toEqual([true, true, true])
    expect(hidden.length).toBeGreaterThan(10_000)
    expect(marks.map(mark => hidden.includes(mark))).toEqual([false, false, false])
  })

  test('beyond loopback: warned about in clear, not with TLS; a secret is needed all the same', async () => {
    const started = async (tls: PeerTls | null, secret: string): Promise<Member> => {
      const [options] = await tlsOptions(() => tls, secret)
      const member = new Member({ ...options!, peer: { ...options!.peer, host: '0.0.0.0' } })
      return member.start()
    }
    const inClear = (member: Member): boolean => member.lines.some(({ event }) => event === 'log-peers-in-clear')
    expect(inClear(await started(null, SECRET))).toBe(true)
    expect(inClear(await started(own(1), SECRET))).toBe(false)
    await expect(started(own(1), '')).rejects.toThrow('there is no secret')
  })

  test('the certificate ends in a few days: said at the start, with what to do', async () => {
    const days = 86_400_000
    const tls = tlsWith('node-1', { key: 'node-1-key', certEndsAtMs: Date.now() + 5.5 * days })
    const [options] = await tlsOptions(() => tls)
    const member = await new Member(options!).start()
    expect(member.lines.find(({ event }) => event === 'log-peer-certificate-ends')).toMatchObject({
      level: 'warn',
      fields: { key: 'peer.tls.certFile', daysLeft: 5, because: expect.stringContaining('restart of this node') },
    })
  })
})

describe('members that do not come together', () => {
  test('one in clear, two with TLS: each end says which node lacks peer.tls, once, counts every try; with TLS it is back at once', async () => {
    const [first, second, third] = await withThird(null)
    expect(await trouble(first, 3)).toBe(
      'it speaks without TLS and this node with it: set peer.tls on that node and restart it',
    )
    expect(await trouble(third, 1)).toBe(
      'it refuses this node: it speaks TLS and this node does not: set peer.tls on this node and restart it',
    )
    expect((await first.status()).waitingFor).toContain('member 3 (node-3')
    // As a dialler, by member id, and as an acceptor, by where it comes from; again and again.
    const said = (member: Member) => linesAbout(member, 'TLS_ONE_SIDED').map(({ fields }) => fields.peer)
    await eventually(async () => [first, third].every(one => (one.counts.get(ONE_SIDED) ?? 0) >= 6))
    expect(said(first)).toEqual(expect.arrayContaining([3, expect.stringMatching(/^127\.0\.0\.1:\d+$/)]))
    expect(said(first)).toHaveLength(2)
    expect(said(third)).toEqual(expect.arrayContaining([1, 2, expect.stringMatching(/^127\.0\.0\.1:\d+$/)]))
    expect(said(third)).toHaveLength(3)
    expect(linesAbout(first, 'TLS_ONE_SIDED').every(({ event }) => event === 'log-peer-refused')).toBe(true)

    await third.stop()
    const again = await new Member({
      ...third.options,
      peer: { ...third.options.peer!, tls: own(3) },
    }).start()
    await append([first, second, again], putRow('a', '1'))
  })

  test('a certificate of another CA: both ends say so, about the other and about themselves', async () => {
    const [first, , third] = await withThird(tlsWith('other', { ca: 'other-ca' }))
    const text =
      'its certificate is not signed by peer.tls.caFile of this node: give both nodes certificates of one CA and its caFile'
    expect(await trouble(first, 3)).toBe(text)
    expect(await trouble(third, 1)).toBe(text)
    expect(first.counts.get('log_handshake_refused TLS_CERTIFICATE')).toBeGreaterThan(0)
    expect((await third.status()).peers.every(peer => peer.status === null)).toBe(true)
  })

  test.each([
    [
      'of another CA, while it trusts this one',
      tlsWith('other'),
      'its certificate is not signed by peer.tls.caFile of this node',
      "it refuses this node: this node's certificate (peer.tls.certFile) is not signed by peer.tls.caFile there",
      'its certificate (CN=other) is not signed by',
    ],
    [
      'that has expired',
      tlsWith('expired'),
      'its certificate has expired, or that of its CA: make a new one and restart that node',
      "it refuses this node: this node's certificate (peer.tls.certFile) has expired, or that of its CA: make a new one and restart this node",
      'its certificate (CN=expired) has expired',
    ],
    [
      'that is not valid yet',
      tlsWith('not-yet'),
      'its certificate is not valid yet: compare the clocks of both machines',
      "it refuses this node: this node's certificate (peer.tls.certFile) is not valid yet",
      'its certificate (CN=not-yet) is not valid yet',
    ],
  ])(
    'a certificate %s: refused at both ends, and each knows whose it is',
    async (_case, tls, there, here, accepted) => {
      const [first, , third] = await withThird(tls)
      expect(await trouble(first, 3)).toContain(there)
      expect(await trouble(third, 1)).toContain(here)
      await first.said('log-peer-refused', accepted)
      await third.said('log-refused-by-peer', 'TLS_CERTIFICATE')
      expect((await third.status()).peers.every(peer => peer.status === null)).toBe(true)
    },
  )

  test('a certificate for another host: whoever dials it refuses, and names both hosts', async () => {
    const [first] = await withThird(tlsWith('elsewhere'))
    expect(await trouble(first, 3)).toBe(
      'its certificate is for IP Address:10.0.0.3, DNS:elsewhere.example, not for 127.0.0.1, where members say it is ' +
        'reached: make one with that name in subjectAltName and restart that node',
    )
  })

  test('a certificate for servers only: refused where it is shown by a client', async () => {
    const [, , third] = await withThird(tlsWith('server-only'))
    expect(await trouble(third, 1)).toContain('may not be used for this: make one with extendedKeyUsage')
  })

  test('a chain over a CA in between, behind the own certificate: let in', async () => {
    const members = await withThird(tlsWith('chain'))
    await append(members, putRow('a', '1'))
  })

  test('another secret behind a good certificate: authentication failed, as without TLS', async () => {
    const [first, , third] = await withThird(own(3), 'another secret, just as long')
    await first.said('log-peer-refused', 'AUTH')
    await third.said('log-peer-refused', 'authentication failed')
  })
})

describe('strangers at the door of a member with TLS', () => {
  const ONE_OF_US = { ca: pem('ca'), cert: pem('node-2'), key: pem('node-2-key') }

  const alone = async (tls: PeerTls | null = own(1)): Promise<{ member: Member; port: number }> => {
    const [options] = await tlsOptions(() => tls)
    return { member: await new Member(options!).start(), port: options!.peer.port }
  }
  const shaken = async (port: number, options: ConnectionOptions): Promise<TLSSocket> => {
    const socket = connectTls({ host: '127.0.0.1', port, ...options })
    kept(socket)
    await once(socket, 'secureConnect')
    return socket
  }

  test('no certificate, not even in a second connection that goes on from the first: told so, and nothing is read', async () => {
    const { member, port } = await alone()
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const options = { ca: pem('ca'), minVersion: version, maxVersion: version }
      const socket = await shaken(port, options)
      let session: Buffer | undefined
      socket.on('session', ticket => {
        session = ticket
      })
      expect(await allOf(socket)).toMatch(/^HTTP\/1\.1 403 Forbidden\r\ndaybreak-refusal: NONE\r\n/)
      const again = await shaken(port, { ...options, ...(session === undefined ? {} : { session }) })
      expect(again.isSessionReused()).toBe(false)
      again.write(upgradeRequest())
      expect(await allOf(again)).toContain('403 Forbidden')
    }
    expect(linesAbout(member, 'no certificate was shown: set peer.tls on that node and restart it')).toHaveLength(1)
    expect(member.counts.get('log_handshake_refused TLS_CERTIFICATE')).toBe(4)
  })

  test('only TLS 1.1: refused, and said with the least version', async () => {
    const { member, port } = await alone()
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    const socket = kept(connectTls({ host: '127.0.0.1', port, ...ONE_OF_US, ...old }))
    await closed(socket)
    await member.said('log-peer-refused', 'TLS 1.2 is the least')
  })

  test('HTTP in clear: answered that TLS is needed', async () => {
    const { port } = await alone()
    const socket = kept(connectTcp(port, '127.0.0.1'))
    socket.write(upgradeRequest())
    expect(await allOf(socket)).toMatch(/^HTTP\/1\.1 426 Upgrade Required\r\nUpgrade: TLS\/1\.2, HTTP\/1\.1\r\n/)
  })

  test('a good certificate, then no WebSocket, another path, or a request of many bytes: turned away', async () => {
    const { port } = await alone()
    const answerTo = async (request: string): Promise<string> => {
      const socket = await shaken(port, ONE_OF_US)
      socket.write(request)
      return (await allOf(socket)).split('\r\n')[0]!
    }
    expect(await answerTo('GET / HTTP/1.1\r\nHost: x\r\n\r\n')).toBe('HTTP/1.1 426 Upgrade Required')
    expect(await answerTo(upgradeRequest('/elsewhere'))).toBe('HTTP/1.1 404 Not Found')
    expect(await answerTo(`GET / HTTP/1.1\r\nX: ${'x'.repeat(5_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('a web page is no member: a browser names its origin, and is turned away', async () => {
    const { port } = await alone(null)
    const socket = kept(connectTcp(port, '127.0.0.1'))
    socket.write(upgradeRequest(PEER_PATH, 'Origin: https://evil.example'))
    expect(await allOf(socket)).toMatch(/^HTTP\/1\.1 503 /)
  })

  test.each([
    ['with TLS', own(1)],
    ['in clear', null],
  ])('%s, a frame of a megabyte before the handshake: cut off long before it is all there', async (_case, tls) => {
    const { port } = await alone(tls)
    const socket = tls === null ? kept(connectTcp(port, '127.0.0.1')) : await shaken(port, ONE_OF_US)
    socket.write(upgradeRequest())
    const [head] = (await once(socket, 'data')) as [Buffer]
    expect(head.toString('latin1')).toContain('101 Switching Protocols')
    const frame = Buffer.alloc(14)
    frame.set([0x82, 0x80 | 127])
    frame.writeBigUInt64BE(1_048_576n, 2)
    socket.write(frame)
    let sent = 0
    while (!socket.destroyed && sent < 1_048_576) {
      socket.write(Buffer.alloc(16_384))
      sent += 16_384
      await new Promise(resolve => setImmediate(resolve))
    }
    socket.resume()
    await closed(socket)
    expect(socket.destroyed).toBe(true)
  })

  test('32 that connect and never finish: the next is turned away and that is said once; in 5 s they are gone, and members come in', {
    timeout: 40_000,
  }, async () => {
    const all = await tlsOptions(own)
    await Promise.all(all.map(one => formatLog(one, CLUSTER)))
    const [first, ...others] = all.map(one => new Member(one))
    await first!.start()
    const { port } = first!.options.peer!
    const openedMs = performance.now()
    const hello = await clientHello()
    // Nothing at all, the beginning of a handshake, a whole one and then silence, one that trickles.
    const kinds: ((socket: Socket) => void)[] = [
      () => {},
      socket => socket.write(hello.subarray(0, 3)),
      socket => socket.write(hello),
      socket => {
        let at = 0
        const trickle = setInterval(() => socket.write(hello.subarray(at, ++at)), 200)
        socket.once('close', () => clearInterval(trickle))
      },
    ]
    const silent = await shaken(port, ONE_OF_US)
    const strangers: Socket[] = [silent]
    for (let at = 1; at < 32; at++) {
      const socket = kept(connectTcp(port, '127.0.0.1'))
      await once(socket, 'connect')
      kinds[at % kinds.length]!(socket)
      strangers.push(socket)
    }
    const gone = strangers.map(closed)
    for (let at = 0; at < 2; at++) await closed(kept(connectTcp(port, '127.0.0.1')))
    expect(performance.now() - openedMs).toBeLessThan(4_000)
    expect(first!.lines.filter(({ event }) => event === 'log-peer-strangers')).toHaveLength(1)
    expect(strangers.some(socket => socket.destroyed)).toBe(false)
    await Promise.all(gone)
    const tookMs = performance.now() - openedMs
    expect(tookMs).toBeGreaterThan(4_900)
    expect(tookMs).toBeLessThan(15_000)
    expect(first!.counts.get('log_peer_trouble slowStranger')).toBe(32)
    await Promise.all(others.map(member => member.start()))
    await append([first!, ...others], putRow('a', '1'))
  })

  test('a member stops while a stranger dawdles: it does not wait for it', async () => {
    const { member, port } = await alone()
    const socket = kept(connectTcp(port, '127.0.0.1'))
    await once(socket, 'connect')
    await shaken(port, ONE_OF_US)
    const startedMs = performance.now()
    await member.stop()
    expect(performance.now() - startedMs).toBeLessThan(2_000)
  })
})

const ONE_SIDED = 'log_handshake_refused TLS_ONE_SIDED'

/** Destroyed when the test ends; its errors are none of ours. */
function kept<S extends Socket>(socket: S): S {
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  return socket
}

/** Whatever it has met. */
function closed(socket: Socket): Promise<void> {
  if (socket.destroyed) return Promise.resolve()
  return new Promise(resolve => socket.resume().once('close', () => resolve()))
}

/** Until the other end closes. */
async function allOf(socket: Socket): Promise<string> {
  const parts: Buffer[] = []
  socket.on('data', part => parts.push(part))
  await closed(socket)
  return Buffer.concat(parts).toString('latin1')
}

const upgradeRequest = (path = PEER_PATH, ...more: string[]): string =>
  `${[
    `GET ${path} HTTP/1.1`,
    'Host: x',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`,
    `Sec-WebSocket-Protocol: ${PEER_SUBPROTOCOL}`,
    ...more,
  ].join('\r\n')}\r\n\r\n`

/** What a client of TLS says first. */
async function clientHello(): Promise<Buffer> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const client = kept(connectTls({ host: '127.0.0.1', port: typeof address === 'object' ? (address?.port ?? 0) : 0 }))
  const [socket] = (await once(server, 'connection')) as [Socket]
  const [hello] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}

/** Listens at `port`, hands everything on to `to`, and keeps it. */
async function listenBetween(port: number, to: number, seen: Buffer[]): Promise<void> {
  const server = createServer(near => {
    const far = kept(connectTcp(to, '127.0.0.1'))
    kept(near)
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', part => {
        seen.push(part)
        into.write(part)
      })
      from.on('close', () => into.destroy())
    }
  })
  onTestFinished(() => void server.close())
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
}
