import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import {
  advertisedHttpUrl,
  configKeys,
  faultLines,
  loadConfig,
  memberList,
  type NodeConfig,
  nodeName,
  readConfig,
} from '../../src/runtime/config.ts'
import { flagsHelp, readStartArguments } from '../../src/runtime/config-flags.ts'
import { readDuration, readPortRanges, readSize, showDuration, showSize } from '../../src/runtime/config-units.ts'

const folder = mkdtempSync(join(tmpdir(), 'daybreak-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

const root = join(import.meta.dirname, '../..')

function faultsOf(text: string, flags: Record<string, string> = {}): readonly string[] {
  const read = readConfig(text, flags)
  return read.ok ? [] : faultLines('f.yaml', read.faults)
}

function configOf(text: string, flags: Record<string, string> = {}): NodeConfig {
  const read = readConfig(text, flags)
  if (!read.ok) throw new Error(faultLines('f.yaml', read.faults).join('\n'))
  return read.config
}

test.each([
  'initialDelay: -1s',
  'explicitInterval: -1h',
  'implicitInterval: 0',
  'spread: -30min',
  'batchInterval: -5s',
  'batchSize: 0',
  'batchSize: 1001',
])('life-47: scheduler.reconciliation.%s is refused', line => {
  const [name] = line.split(':')
  expect(faultsOf(`scheduler: {reconciliation: {${line}}}`)).toEqual([
    expect.stringContaining(`scheduler.reconciliation.${name}`),
  ])
})

describe('quantities', () => {
  test.each([
    ['150ms', 150],
    ['1.5s', 1500],
    ['5min', 300_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    [0, 0],
  ])('duration %s is %i ms', (text, ms) => {
    expect(readDuration(text)).toEqual({ ok: true, value: ms })
  })

  test.each([5, '5', '5 minutes', '-1s', 's', null, ''])('duration %s: refused with what was found', value => {
    expect(readDuration(value)).toEqual({ ok: false, text: expect.stringContaining(JSON.stringify(value)) })
  })

  test.each([
    ['0', 0],
    ['64MiB', 67_108_864],
    ['1GiB', 1_073_741_824],
    ['10B', 10],
  ])('size %s is %i bytes', (text, bytes) => {
    expect(readSize(text)).toEqual({ ok: true, value: bytes })
  })

  test('size with a decimal unit: refused, so that nobody has to guess', () => {
    expect(readSize('64MB')).toMatchObject({ ok: false })
  })

  test('shown quantity: reads back as the same number', () => {
    for (const ms of [0, 1, 150, 1000, 90_000, 3_600_000, 86_400_000]) {
      expect(readDuration(showDuration(ms))).toEqual({ ok: true, value: ms })
    }
    for (const bytes of [0, 1, 1024, 1536, 67_108_864])
      expect(readSize(showSize(bytes))).toEqual({ ok: true, value: bytes })
  })

  test('port ranges: sorted and joined where they touch', () => {
    expect(readPortRanges('31010-31020, 31000-31009,32000')).toEqual({
      ok: true,
      value: [
        [31_000, 31_020],
        [32_000, 32_000],
      ],
    })
    for (const wrong of ['', '5-1', '0-10', '1-70000', 'a-b', '1-2-3'])
      expect(readPortRanges(wrong)).toMatchObject({ ok: false })
  })
})

describe('faults', () => {
  test('a file with many faults: all told at once, each with its line, in the order of the file', () => {
    const text = [
      'htpp:',
      '  port: 1',
      'http:',
      '  prot: 2',
      '  port: 99999',
      'log: 3',
      'autoBootstrap: true',
      'agent:',
      '  killCap: 3',
      '  userMode: root',
    ].join('\n')
    expect(faultsOf(text)).toEqual([
      'f.yaml:1: htpp: unknown key `htpp`, did you mean `http`?',
      'f.yaml:4: http.prot: unknown key `prot`, did you mean `port`?',
      'f.yaml:5: http.port: must be a whole number from 0 to 65535, found 99999',
      'f.yaml:6: log: must hold keys (autoBootstrap, heartbeat, lease, keepEntries, space), found 3',
      'f.yaml:7: autoBootstrap: unknown key `autoBootstrap`, did you mean `log.autoBootstrap`?',
      'f.yaml:9: agent.killCap: must be a duration with its unit, such as `5min` (ms, s, min, h, d), found 3',
      'f.yaml:10: agent.userMode: must be one of role, shared, found "root"',
    ])
  })

  test.each<[string, string, string]>([
    [
      'quorum of 1 for 3 members',
      `members: ${members(1, 2, 3)}\nquorum: 1`,
      'quorum 1 is wrong for 3 members: it must be 2 (floor(3/2)+1); remove the key',
    ],
    [
      'quorum of 2 for this node alone',
      'quorum: 2',
      'quorum 2 is wrong for 1 members: it must be 1 (floor(1/2)+1); remove the key',
    ],
    ['four members', `members: ${members(1, 2, 3, 4)}`, '4 members listed: use 1, 3, 5 or 7'],
    ['a member twice', `members: ${members(1, 2, 2)}`, 'member id 2 is listed twice'],
    ['own id missing', `node: {id: 4}\nmembers: ${members(1, 2, 3)}`, 'node id 4 is not in the member list'],
    [
      'own port contradicts',
      `members: ${members(1, 2, 3)}\npeer: {port: 9999}`,
      'contradicts members: they say that node 1 is reached at port 8083, this says 9999',
    ],
    ['equal ports', 'http: {port: 8083}', '8083 is taken by http.port: give the two different ports'],
    [
      'own port among those for tasks',
      'http: {port: 31005}',
      'contain http.port 31005, which a task could then be given',
    ],
    [
      'agent with nowhere to register',
      'roles: [agent]',
      'an agent without a scheduler in its own process needs to know where to register',
    ],
    [
      'beyond loopback without a secret',
      'http: {host: 0.0.0.0}\nsecurity: {allowUnsecured: true}',
      '0.0.0.0 is not a loopback address and there is no secret: set cluster.secretFile',
    ],
    [
      'beyond loopback without security',
      'http: {host: 10.0.0.1}\ncluster: {secretFile: package.json}',
      '10.0.0.1 is not a loopback address and nothing says who may do what: set security.file (docs/operating/security.md), use 127.0.0.1, or set security.allowUnsecured',
    ],
    [
      'an agent beyond loopback without security',
      'roles: [agent]\nagent: {schedulers: [http://127.0.0.1:8081]}\nhttp: {host: 10.0.0.1}\ncluster: {secretFile: package.json}',
      '10.0.0.1 is not a loopback address and nothing says who may do what',
    ],
    ['security and none', 'security: {file: x.yaml, allowUnsecured: true}', 'contradicts security.file: remove one'],
    [
      'no security file',
      'security: {file: /nowhere/security.yaml}\ncluster: {secretFile: package.json}',
      'cannot be read: ENOENT',
    ],
    [
      'security without a secret',
      'security: {file: config/security.yaml}',
      'without a secret whoever reaches port 8081 can come in as an agent, and be given tasks: set cluster.secretFile',
    ],
    [
      'an http key without its certificate',
      'http: {tls: {keyFile: x.pem}}',
      'is not set, but http.tls.keyFile is: set both or neither',
    ],
    ['an origin with a path', 'http: {corsOrigins: ["https://ui.example/x"]}', 'must be an origin'],
    ['any origin', 'http: {corsOrigins: ["*"]}', 'must be an origin'],
    [
      'peer beyond loopback without a secret',
      'peer: {host: 10.0.0.1}',
      '10.0.0.1 is not a loopback address and there is no secret: set cluster.secretFile',
    ],
    [
      'scheduler beyond loopback without a secret',
      'agent: {schedulers: ["http://10.0.0.1:8081"]}',
      'http://10.0.0.1:8081 is beyond this machine and there is no secret',
    ],
    [
      'scheduler at a port that cannot be',
      'agent: {schedulers: ["http://127.0.0.1:808100"]}',
      'agent.schedulers[0]: must be a URL such as `http://10.0.0.1:8081`, found "http://127.0.0.1:808100"',
    ],
    [
      'members beyond loopback without a secret',
      'members: [{id: 1, host: 127.0.0.1, port: 8083}, {id: 2, host: 10.0.0.2, port: 8083}, {id: 3, host: 127.0.0.1, port: 8283}]',
      'member 2 at 10.0.0.2 is beyond this machine and there is no secret',
    ],
    ['secret that is not there', 'cluster: {secretFile: /nowhere/secret}', 'cannot be read: ENOENT'],
    [
      'silence too short',
      'scheduler: {agentUnreachable: 10s}',
      '10s is too short for scheduler.agentHeartbeat 5s: at least 3 heartbeats, 15s',
    ],
    [
      'forgotten before it is missed',
      'scheduler: {agentForget: 1min}',
      '1min is shorter than scheduler.agentUnreachable 75s',
    ],
    [
      'an attribute without a value',
      'agent: {attributes: {rack: []}}',
      'attribute "rack" has no value: give it one, or leave it out',
    ],
    [
      'pauses the wrong way round',
      'scheduler: {flapping: {pauseMin: 6min}}',
      '5min is shorter than scheduler.flapping.pauseMin 6min',
    ],
    ['a negative delay', 'scheduler: {startSpread: -5s}', 'must be a duration with its unit'],
    [
      'lease too short',
      'log: {lease: 500ms}',
      '500ms is too short for log.heartbeat 150ms: at least 6 heartbeats, 900ms',
    ],
    ['a role twice', 'roles: [agent, agent, scheduler]', 'names a role twice'],
    ['an empty key', 'http:\n  port:', 'is empty: write a value, or remove the key for its default 8081'],
    ['a key twice', 'http: {port: 1}\nhttp: {port: 2}', 'not valid YAML: Map keys must be unique'],
    ['a list', '- a', 'must be a map of keys'],
    [
      'no regular expression',
      'scheduler: {allowedEnvironments: "("}',
      'must be a regular expression that compiles, found "("',
    ],
    [
      'an unknown key of a member',
      'members: [{id: 1, host: 127.0.0.1, port: 8083, nmae: x}]',
      'unknown key `nmae`, did you mean `name`?',
    ],
  ])('%s: refused, with the place and the remedy', (_case, text, fault) => {
    const faults = faultsOf(text)
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(fault)
    expect(faults[0]).toMatch(/^f\.yaml:\d+: /)
  })

  test('a fault between two keys, one of them unreadable: only the unreadable one is told', () => {
    expect(faultsOf('http: {port: 8083}\npeer: {port: many}')).toEqual([
      'f.yaml:2: peer.port: must be a whole number from 0 to 65535, found "many"',
    ])
  })

  test('faults of the security file are faults of the config, each with its file and line', () => {
    const file = join(folder, 'security.yaml')
    writeFileSync(file, 'users:\n  ann:\n    password: x\nroles:\n  web: [thrift.AuroraAdmn]\n')
    expect(faultsOf(`security: {file: ${file}}\ncluster: {secretFile: package.json}`)).toEqual([
      expect.stringContaining(`security.file: ${file}:5: roles.web.0: there is no service`),
      expect.stringContaining(`security.file: ${file}:3: users.ann.password: is no scrypt hash`),
    ])
  })

  test('a certificate of http.tls for another host, or of another key, is refused; one that fits is taken', () => {
    const tls = (cert: string, key: string, more = '') =>
      faultsOf(
        `http: {${more}tls: {certFile: test/fixtures/tls/${cert}.pem, keyFile: test/fixtures/tls/${key}-key.pem}}`,
      )
    expect(tls('node-1', 'node-1')).toEqual([])
    expect(tls('server-only', 'node-3')).toEqual([])
    expect(tls('node-1', 'node-2')).toEqual([expect.stringContaining('does not belong to the first certificate')])
    expect(tls('elsewhere', 'node-3')).toEqual([expect.stringContaining('not for 127.0.0.1')])
    expect(tls('elsewhere', 'node-3', 'advertise: elsewhere.example, ')).toEqual([])
    expect(tls('expired', 'node-3')).toEqual([expect.stringContaining('expired on 2001-01-01')])
  })

  test('a secret of 16 characters: non-loopback addresses are allowed; a shorter one is refused', () => {
    const file = join(folder, 'secret')
    writeFileSync(file, 'sixteen-letters!\n')
    const text = `cluster: {secretFile: ${file}}\nhttp: {host: 0.0.0.0}\nsecurity: {allowUnsecured: true}`
    expect(configOf(text).http.host).toBe('0.0.0.0')
    writeFileSync(file, 'short')
    expect(faultsOf(`cluster: {secretFile: ${file}}`)[0]).toContain('is shorter than 16 characters')
  })

  test('a file that is not there: refused with its reason', () => {
    const loaded = loadConfig(join(folder, 'none.yaml'))
    expect(loaded).toMatchObject({ ok: false, faults: [{ text: expect.stringContaining('cannot be read: ENOENT') }] })
  })
})

describe('values', () => {
  test('an empty file: every key has its default', () => {
    const config = configOf('')
    expect(config).toMatchObject({
      roles: ['scheduler', 'agent'],
      http: { host: '127.0.0.1', port: 8081 },
      peer: { port: 8083 },
      log: { autoBootstrap: false, space: { reserve: 268_435_456 } },
      scheduler: { flapping: { threshold: 300_000, restartsPerSecond: 100 }, maxTasksPerJob: 4000 },
      executor: { overheadCpus: 10, overheadRam: 8_388_608 },
      agent: { ports: [[31_000, 32_000]], resources: { cpus: null } },
    })
    expect(memberList(config)).toEqual([{ id: 1, host: '127.0.0.1', port: 8083, name: 'node-1' }])
  })

  test('a flag over a file over a default: the source of each is known', () => {
    const read = readConfig('http:\n  port: 1000\n  host: 127.0.0.2\n', { 'http.port': '2000' })
    if (!read.ok) throw new Error('refused')
    expect(read.config.http).toMatchObject({ port: 2000, host: '127.0.0.2', bodyMax: 4_194_304 })
    expect(read.sources.get('http.port')).toEqual({ type: 'flag' })
    expect(read.sources.get('http.host')).toEqual({ type: 'file', line: 3 })
    expect(read.sources.get('http.bodyMax')).toEqual({ type: 'default' })
  })

  test('flags of every kind: read as the key wants them', () => {
    const config = configOf('', {
      roles: 'agent',
      'agent.schedulers': 'http://127.0.0.1:1,http://127.0.0.1:2',
      'agent.attributes': '{rack: r1, dedicated: [b, a]}',
      'agent.resources.cpus': '1.5',
      'agent.allowRoot': 'true',
      'agent.host': '007',
      'node.id': '3',
      'cluster.id': '00000000000000000000000000000001',
    })
    expect(config).toMatchObject({
      roles: ['agent'],
      node: { id: 3 },
      cluster: { id: '00000000000000000000000000000001' },
      agent: {
        schedulers: ['http://127.0.0.1:1', 'http://127.0.0.1:2'],
        attributes: [
          { name: 'dedicated', values: ['a', 'b'] },
          { name: 'rack', values: ['r1'] },
        ],
        resources: { cpus: 1500 },
        allowRoot: true,
        host: '007',
      },
    })
  })

  test('an unknown flag and a wrong one: told with the nearest and with the place', () => {
    expect(faultsOf('', { 'http.prot': '1', 'http.port': 'x' })).toEqual([
      'command line: unknown flag `--http.prot`, did you mean `--http.port`?',
      'command line: --http.port: must be a whole number from 0 to 65535, found "x"',
    ])
  })

  test('name of a node: its member number, of an agent alone its machine, and what the config says before both', () => {
    expect(nodeName(configOf('node: {id: 2}'))).toBe('node-2')
    expect(nodeName(configOf('roles: [agent]\nagent: {host: rack7-3, schedulers: ["http://127.0.0.1:8081"]}'))).toBe(
      'rack7-3',
    )
    expect(nodeName(configOf('roles: [agent]\nagent: {schedulers: ["http://127.0.0.1:8081"]}'))).toBe(hostname())
    expect(nodeName(configOf('roles: [agent]\nnode: {name: x}\nagent: {schedulers: ["http://127.0.0.1:8081"]}'))).toBe(
      'x',
    )
  })

  test('advertised URL: what is stated, else what is bound', () => {
    expect(advertisedHttpUrl(configOf(''), 4711, 'box')).toBe('http://127.0.0.1:4711')
    expect(advertisedHttpUrl(configOf('http: {advertise: "web.example:80"}'), 4711, 'box')).toBe(
      'http://web.example:80',
    )
    expect(advertisedHttpUrl(configOf('http: {advertise: web.example}'), 4711, 'box')).toBe('http://web.example:4711')
  })
})

describe('arguments of start', () => {
  test('a file and flags in any order: both are found, boolean flags need no value', () => {
    expect(
      readStartArguments([
        '--http.port',
        '1',
        'f.yaml',
        '--log.autoBootstrap',
        '--agent.ports=5-6',
        '--room-for-title=__',
      ]),
    ).toEqual({
      ok: true,
      file: 'f.yaml',
      flags: { 'http.port': '1', 'log.autoBootstrap': 'true', 'agent.ports': '5-6' },
    })
  })

  test.each<[string, string[]]>([
    ['say which config file', []],
    ['one config file, please', ['a', 'b']],
    ['--http.port needs a value', ['a', '--http.port']],
    ['--http.port is given twice', ['a', '--http.port', '1', '--http.port', '2']],
  ])('%s', (text, args) => {
    expect(readStartArguments(args)).toMatchObject({ ok: false, text: expect.stringContaining(text) })
  })

  test('help: lists every key with its unit and default', () => {
    const help = flagsHelp()
    for (const { name, facts } of configKeys()) {
      expect(help).toContain(`--${name} <${facts.unit}>`)
      expect(facts.default !== null || facts.unset !== undefined, `${name} says what happens when it is unset`).toBe(
        true,
      )
    }
    expect(help).toMatch(/--http\.port <[^>]+>\n.*\(default: 8081; Aurora: -http_port\)/)
  })
})

describe('config files of the project', () => {
  const files = readdirSync(join(root, 'config')).filter(name => /^(local|node-\d|agent-\d)\.yaml$/.test(name))

  test('local, three nodes and an agent are there', () => {
    expect(files.sort()).toEqual(['agent-1.yaml', 'local.yaml', 'node-1.yaml', 'node-2.yaml', 'node-3.yaml'])
  })

  test.each(files)('%s: loads without a fault', file => {
    const loaded = loadConfig(join(root, 'config', file))
    expect(loaded.ok ? [] : loaded.faults).toEqual([])
  })

  test('local.yaml: every key of the schema stands there, with its default and its Aurora flag in the comment', () => {
    const text = readFileSync(join(root, 'config/local.yaml'), 'utf8')
    const missing = configKeys().filter(({ path, facts }) => {
      const indent = '  '.repeat(path.length - 1)
      const lines = text.split('\n')
      const at = lines.findIndex(
        (line, index) =>
          new RegExp(`^${indent}(# )?${path.at(-1)}:`).test(line) &&
          sectionOf(lines, index) === path.slice(0, -1).join('.'),
      )
      if (at < 0) return true
      let from = at
      while (lines[from - 1]?.trimStart().startsWith('#')) from -= 1
      const comment = lines
        .slice(from, at)
        .map(line => line.trim().replace(/^# ?/, ''))
        .join(' ')
      return (
        !comment.includes('Unit: ') ||
        !comment.includes('Default: ') ||
        (facts.aurora !== null && !comment.includes(facts.aurora))
      )
    })
    expect(missing.map(key => key.name)).toEqual([])
  })

  test('ports: all nodes and the agent run on one machine', () => {
    const taken = files
      .filter(file => file !== 'local.yaml')
      .flatMap(file => {
        const { roles, http, peer } = configOf(readFileSync(join(root, 'config', file), 'utf8'))
        return roles.includes('scheduler') ? [http.port, peer.port] : [http.port]
      })
    expect(taken.sort()).toEqual([1338, 8081, 8083, 8181, 8183, 8281, 8283])
  })

  test('only local.yaml initializes its log by itself', () => {
    const auto = files.filter(file => configOf(readFileSync(join(root, 'config', file), 'utf8')).log.autoBootstrap)
    expect(auto).toEqual(['local.yaml'])
  })
})

function members(...ids: number[]): string {
  return JSON.stringify(ids.map((id, index) => ({ id, host: '127.0.0.1', port: 8083 + 100 * index })))
}

/** The dotted section a line stands in, by indentation. */
function sectionOf(lines: readonly string[], at: number): string {
  const path: string[] = []
  let indent = /^ */.exec(lines[at] ?? '')![0].length
  for (let index = at - 1; index >= 0 && indent > 0; index -= 1) {
    const match = /^( *)(\w+):\s*$/.exec(lines[index] ?? '')
    if (match !== null && match[1]!.length < indent) {
      path.unshift(match[2]!)
      indent = match[1]!.length
    }
  }
  return path.join('.')
}
