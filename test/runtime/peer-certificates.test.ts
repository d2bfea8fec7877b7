import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { faultLines, loadConfig, readConfig } from '../../src/runtime/config.ts'
import { readTlsOf } from '../../src/runtime/config-rules.ts'
import { type PeerTls, type ReadPeerTls, readPeerTls } from '../../src/runtime/peer-certificates.ts'

const root = join(import.meta.dirname, '../..')
const fixture = (name: string): string => join(root, 'test/fixtures/tls', `${name}.pem`)
const folder = mkdtempSync(join(tmpdir(), 'daybreak-tls-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}
const textOf = (name: string): string => readFileSync(fixture(name), 'utf8')

const MEMBERS = '[{id: 1, host: 127.0.0.1, port: 8083}, {id: 2, host: a, port: 1}, {id: 3, host: b, port: 1}]'
const secretFile = file('secret', 'sixteen letters!')

/** A config of a scheduler node with these files; the fault of peer.tls stands in lines 5 to 7. */
function config(files: { cert?: string | null; key?: string | null; ca?: string | null }, members = MEMBERS): string {
  const { cert = fixture('node-1'), key = fixture('node-1-key'), ca = fixture('ca') } = files
  const line = (name: string, path: string | null) => (path === null ? '    # -' : `    ${name}: ${path}`)
  return [
    `members: ${members}`,
    `cluster: {secretFile: ${secretFile}}`,
    'peer:',
    '  tls:',
    line('certFile', cert),
    line('keyFile', key),
    line('caFile', ca),
  ].join('\n')
}

function faultsOf(text: string): readonly string[] {
  const read = readConfig(text)
  return read.ok ? [] : faultLines('f.yaml', read.faults)
}

describe('peer.tls', () => {
  test('three files that belong together: no fault, and they cross to the log thread as they are', () => {
    const read = readConfig(config({}))
    if (!read.ok) throw new Error(faultLines('f.yaml', read.faults).join('\n'))
    const { tls } = readTlsOf(read.config) as { tls: PeerTls }
    expect(structuredClone(tls)).toEqual({
      cert: textOf('node-1'),
      key: textOf('node-1-key'),
      ca: textOf('ca'),
      certEndsAtMs: Date.UTC(2199, 11, 31, 23, 59, 59),
      caEndsAtMs: Date.UTC(2199, 11, 31, 23, 59, 59),
    })
  })

  test('none of the three: no TLS', () => {
    expect(readPeerTls({ certFile: null, keyFile: null, caFile: null }, { wallMs: 0, host: null })).toEqual({
      ok: true,
      tls: null,
    })
  })

  test.each<[string, Parameters<typeof config>[0], string, RegExp | string]>([
    ['a key that is not named', { key: null }, 'f.yaml:5: peer.tls.keyFile', 'is not set, but peer.tls.certFile is'],
    ['a CA that is not named', { ca: null }, 'f.yaml:5: peer.tls.caFile', 'set certFile, keyFile and caFile, or none'],
    ['a file that is not there', { cert: '/nowhere/a.pem' }, 'f.yaml:5: peer.tls.certFile', 'cannot be read: ENOENT'],
    ['no PEM', { ca: file('ca.der', '0\x82') }, 'f.yaml:7: peer.tls.caFile', 'ca.der holds no certificate in PEM'],
    ['a key for a certificate', { cert: fixture('node-1-key') }, 'f.yaml:5: peer.tls.certFile', 'changed places'],
    ['a certificate for a key', { key: fixture('node-1') }, 'f.yaml:6: peer.tls.keyFile', 'changed places'],
    ['a damaged certificate', { cert: damaged('node-1') }, 'f.yaml:5: peer.tls.certFile', /certificate 1 in .*damaged/],
    ['a damaged key', { key: damaged('node-1-key') }, 'f.yaml:6: peer.tls.keyFile', /the key in .* is damaged/],
    [
      'a key behind a passphrase',
      { key: fixture('encrypted-key') },
      'f.yaml:6: peer.tls.keyFile',
      /is behind a passphrase, .* write the key without, `openssl pkey -in .*encrypted-key\.pem -out FILE`/,
    ],
    [
      'the key of another certificate',
      { key: fixture('node-2-key') },
      'f.yaml:6: peer.tls.keyFile',
      /node-2-key\.pem does not belong to the certificate in .*node-1\.pem \(CN=node-1\)/,
    ],
    [
      'a certificate of another CA',
      { cert: fixture('other'), key: fixture('node-3-key') },
      'f.yaml:5: peer.tls.certFile',
      /lead to CN=other, issued by CN=Daybreak test other-ca, which is not in caFile .*\(CN=Daybreak test ca\)/,
    ],
    [
      'a chain without the certificate in between',
      {
        cert: file('short.pem', textOf('chain').split(/(?<=-----END CERTIFICATE-----\n)/)[0]!),
        key: fixture('node-3-key'),
      },
      'f.yaml:5: peer.tls.certFile',
      'put the root there, and those in between behind the own one in certFile',
    ],
    [
      'a certificate that has expired',
      { cert: fixture('expired'), key: fixture('node-3-key') },
      'f.yaml:5: peer.tls.certFile',
      /expired\.pem \(CN=expired\) expired on 2001-01-01: make a new one/,
    ],
    [
      'a certificate that is not valid yet',
      { cert: fixture('not-yet'), key: fixture('node-3-key') },
      'f.yaml:5: peer.tls.certFile',
      'is valid from 2190-01-01 only: is the clock of this machine right?',
    ],
    [
      'a certificate for servers only',
      { cert: fixture('server-only'), key: fixture('node-3-key') },
      'f.yaml:5: peer.tls.certFile',
      'may not be used for both ends of a connection: make one with extendedKeyUsage = serverAuth, clientAuth',
    ],
    [
      'a certificate for another host',
      { cert: fixture('elsewhere'), key: fixture('node-3-key') },
      'f.yaml:5: peer.tls.certFile',
      'is for IP Address:10.0.0.3, DNS:elsewhere.example, not for 127.0.0.1, where members say that this node is reached',
    ],
  ])('%s: refused, with the line, the file and the remedy', (_case, files, place, text) => {
    const faults = faultsOf(config(files))
    expect(faults).toHaveLength(1)
    expect(faults[0]!.startsWith(`${place}: `), faults[0]).toBe(true)
    expect(faults[0]).toMatch(text)
  })

  test('three files, each wrong by itself: all three are told at once', () => {
    expect(faultsOf(config({ cert: '/a', key: '/b', ca: '/c' })).map(fault => fault.split(': ')[1])).toEqual([
      'peer.tls.certFile',
      'peer.tls.keyFile',
      'peer.tls.caFile',
    ])
  })

  test('several CAs in one file, the right one last, or the one in between beside the root: taken', () => {
    const [alone, between] = textOf('chain').split(/(?<=-----END CERTIFICATE-----\n)/)
    expect(faultsOf(config({ ca: file('both.pem', textOf('other-ca') + textOf('ca')) }))).toEqual([])
    const whole = file('whole.pem', between! + textOf('ca'))
    expect(faultsOf(config({ cert: file('alone.pem', alone!), key: fixture('node-3-key'), ca: whole }))).toEqual([])
  })

  test('a CA in between without its root: refused, as every handshake would be', () => {
    const [, between] = textOf('chain').split(/(?<=-----END CERTIFICATE-----\n)/)
    const faults = faultsOf(
      config({ cert: fixture('chain'), key: fixture('node-3-key'), ca: file('between.pem', between!) }),
    )
    expect(faults[0]).toContain(
      'lead to CN=Daybreak test between, issued by CN=Daybreak test ca, which is not in caFile',
    )
  })

  test('a CA that has expired: told of caFile', () => {
    const files = { certFile: fixture('node-1'), keyFile: fixture('node-1-key'), caFile: fixture('ca') }
    const read: ReadPeerTls = readPeerTls(files, { wallMs: Date.UTC(2200, 0), host: null })
    expect(read).toMatchObject({
      ok: false,
      faults: [{ key: 'certFile', text: expect.stringContaining('expired on') }],
    })
  })

  test('a host by name, and one in brackets: looked for among the names of the certificate', () => {
    const members = (host: string) =>
      `[{id: 1, host: "${host}", port: 8083}, {id: 2, host: a, port: 1}, {id: 3, host: b, port: 1}]`
    expect(faultsOf(config({}, members('localhost')))).toEqual([])
    expect(faultsOf(config({}, members('[::1]')))[0]).toContain('not for ::1, where members say')
  })

  test('an agent without a scheduler: peer.tls is not its concern', () => {
    const text = `roles: [agent]\nagent: {schedulers: ["http://127.0.0.1:1"]}\n${config({ cert: '/nowhere' })}`
    expect(faultsOf(text)).toEqual([])
  })

  test('whoever only looks at the log on disk needs neither the certificates nor the secret', () => {
    const path = file(
      'node.yaml',
      config({ cert: fixture('expired'), key: '/not/ours' }).replace(secretFile, '/not/ours'),
    )
    expect(loadConfig(path).ok).toBe(false)
    expect(loadConfig(path, { readFiles: false })).toMatchObject({ ok: true })
  })
})

describe('the commands of docs/operating/cluster.md', () => {
  const page = readFileSync(join(root, 'docs/operating/cluster.md'), 'utf8')
  const commands = /```sh\n(# The CA[\s\S]+?)```/.exec(page)?.[1] ?? ''

  test('they name the uses and names that are checked for; run in an empty folder, they make what is taken', () => {
    expect(commands).toContain('extendedKeyUsage=serverAuth,clientAuth')
    expect(commands).toContain('subjectAltName=')
    expect(commands).toContain('basicConstraints=critical,CA:TRUE')
    // Nobody needs openssl to run the tests: where there is none, that is all.
    if (!hasOpenssl()) return
    const place = mkdtempSync(join(folder, 'commands-'))
    execFileSync('bash', ['-euc', commands], { cwd: place, stdio: 'pipe' })
    const made = (name: string): string => join(place, name)
    for (const [node, host] of [
      ['node-1', '10.0.0.1'],
      ['node-2', 'node-2.example'],
      ['node-3', '10.0.0.3'],
    ] as const) {
      const files = { certFile: made(`${node}.pem`), keyFile: made(`${node}-key.pem`), caFile: made('ca.pem') }
      const read = readPeerTls(files, { wallMs: Date.now() + 60_000, host })
      expect(read.ok ? [] : read.faults).toEqual([])
    }
  })
})

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** The middle of it is no longer what it was. */
function damaged(name: string): string {
  const lines = textOf(name).split('\n')
  lines[1] = lines[1]!.replace(/./g, 'A')
  return file(`damaged-${name}.pem`, lines.join('\n'))
}
