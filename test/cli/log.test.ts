import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { describe, expect, onTestFinished, test } from 'vitest'
import { registerLog } from '../../src/cli/log.ts'
import { foldDigest } from '../../src/core/log/crc.ts'
import { type Entry, encodeNote, makeEntry } from '../../src/core/log/entry.ts'
import { openLogStore } from '../../src/runtime/log/lmdb-log-store.ts'
import { markNeedsVerify, storeFolder } from '../../src/runtime/log/log-folder.ts'
import { lockFolder } from '../../src/runtime/log/store-lock.ts'
import { deleteRow, putRow } from '../runtime/log/log-folders.ts'

/** A config file in a folder of its own. */
function place(members = ''): { config: string; log: string } {
  const folder = mkdtempSync(join(tmpdir(), 'daybreak-cli-log-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const config = join(folder, 'node.yaml')
  writeFileSync(config, `data: {dir: ${folder}/data}\n${members}`)
  return { config, log: join(folder, 'data/log') }
}
const THREE = `members:
  - {id: 1, host: 127.0.0.1, port: 8083}
  - {id: 2, host: 127.0.0.1, port: 8183}
  - {id: 3, host: 127.0.0.1, port: 8283}
`

async function run(
  args: readonly string[],
  fetcher?: typeof fetch,
): Promise<{ status: number; out: string; err: string }> {
  const ended = { status: -1, out: '', err: '' }
  const program = new Command('daybreak').exitOverride()
  registerLog(program, {
    exit: status => {
      ended.status = status
    },
    write: text => {
      ended.out += text
    },
    writeError: text => {
      ended.err += text
    },
    ...(fetcher === undefined ? {} : { fetch: fetcher }),
  })
  await program.parseAsync(['log', ...args], { from: 'user' })
  return ended
}

async function withEntries(): Promise<{ config: string; log: string }> {
  const at = place()
  expect((await run(['initialize', at.config])).status).toBe(0)
  const store = await openLogStore(storeFolder(at.log))
  const entries = [
    makeEntry(1, [1, 1], 'LEADER', new TextEncoder().encode('{"v":1,"memberId":1,"wallMs":0,"software":"0.1.0"}')),
    makeEntry(2, [1, 1], 'DATA', putRow('www-data-devel-hello-0', 'row')),
    makeEntry(3, [1, 1], 'DATA', deleteRow('www-data-devel-hello-0')),
  ]
  const { meta } = store.restored
  await store.write({
    ticket: 1,
    dropBefore: null,
    cutFrom: null,
    entries,
    meta: { ...meta, status: 'VOTING', promised: [1, 1], end: 3 },
  })
  await store.close()
  return at
}

/** Appends to the store of a stopped node, or drops its first entries. */
async function change(log: string, entries: readonly Entry[], begin = 1): Promise<void> {
  const store = await openLogStore(storeFolder(log))
  const { meta } = store.restored
  const end = entries.at(-1)?.position ?? meta.end
  const gone = store.read(1, begin - 1, begin)
  const digest = gone.reduce((sum, { crc }) => foldDigest(sum, crc), 0)
  const commit = begin - 1
  const base = { ballot: gone.at(-1)?.ballot ?? ([0, 0] as const), digest }
  const dropBefore = begin === 1 ? null : begin
  const changed = { ...meta, begin, base, commit, digest, end, generation: meta.generation + 1 }
  await store.write({ ticket: 1, dropBefore, cutFrom: null, entries, meta: changed })
  await store.close()
}
const truncate = (log: string, begin: number): Promise<void> => change(log, [], begin)

describe('daybreak log', () => {
  test('initialize: formats the store as STARTING, once; again says that it is not empty', async () => {
    const { config, log } = place()
    const first = await run(['initialize', config])
    expect(first).toMatchObject({ status: 0, out: expect.stringMatching(/member 1 at .*, cluster [0-9a-f]{32}/) })
    expect(await run(['status', config])).toMatchObject({ status: 0, out: expect.stringContaining('STARTING') })
    expect(await run(['initialize', config])).toEqual({ status: 1, out: '', err: 'error: The log is not empty\n' })
    expect(existsSync(log)).toBe(true)
  })

  test('initialize one of three without a cluster id: writes the genesis file that the others need', async () => {
    const one = place(THREE)
    expect((await run(['initialize', one.config])).out).toContain('--genesis genesis.json')
    const genesis = join(one.log, 'genesis.json')
    const two = place(`node: {id: 2}\npeer: {port: 8183}\n${THREE}`)
    expect(await run(['initialize', two.config, '--genesis', genesis])).toMatchObject({ status: 0, err: '' })
    const { clusterId } = JSON.parse(readFileSync(genesis, 'utf8'))
    const status = JSON.parse((await run(['status', two.config, '--json'])).out)
    expect(status).toMatchObject({ clusterId, memberId: 2, quorum: 2, status: 'STARTING' })
  })

  test('status, read and verify where no log is: an error with what to run, and nothing is made', async () => {
    const { config, log } = place()
    for (const verb of ['status', 'read', 'verify']) {
      expect(await run([verb, config])).toMatchObject({ status: 1, err: expect.stringContaining('There is no log at') })
    }
    expect(existsSync(log)).toBe(false)
  })

  test('read of a stopped node: type, ballot, bytes, committed, checksum, and who changed which rows', async () => {
    const { config } = await withEntries()
    const { out, status } = await run(['read', config])
    expect(status).toBe(0)
    expect(out).toMatch(/^1 {2}LEADER {2}ballot 1\.1 {2}\d+ bytes {2}committed yes {2}crc ok\n {4}member 1 took over/)
    expect(out).toContain('tester: test')
    expect(out).toContain('put task www-data-devel-hello-0 (3 bytes)')
    expect(out).toContain('delete task www-data-devel-hello-0')
    const one = (await run(['read', config, '--from', '2', '--to', '2', '--format', 'json'])).out
    expect(JSON.parse(one)).toMatchObject({ position: 2, type: 'DATA', ballot: [1, 1], committed: 'yes', crc: 'ok' })
  })

  test('read of a bad range: the typed error', async () => {
    const { config } = await withEntries()
    expect((await run(['read', config, '--from', '3', '--to', '2'])).err).toContain('BAD_RANGE')
    expect((await run(['read', config, '--to', '9'])).err).toContain('PAST_COMMIT')
    expect((await run(['read', config, '--from', 'x'])).err).toContain(
      "--from is a position, a whole number from 1, not 'x'",
    )
  })

  test('a truncated log: status shows what is held and what the row tables stand for; a read before it is refused by name', async () => {
    const { config, log } = await withEntries()
    await truncate(log, 3)
    expect((await run(['status', config])).out).toMatch(/^holds +positions 3 to 3; the row tables stand for 1 to 2$/m)
    expect(await run(['read', config, '--from', '2'])).toEqual({
      status: 1,
      out: '',
      err: 'error: TRUNCATED: the log begins at 3\n',
    })
    expect((await run(['read', config])).out).toMatch(/^3 {2}DATA/)
    expect((await run(['read', config, '--from', '4'])).err).toContain('PAST_COMMIT: the log ends at 3')
    expect((await run(['verify', config])).status).toBe(0)
  })

  test('a log that begins with a snapshot and holds no entry yet: said so, and there is nothing to read', async () => {
    const { config, log } = await withEntries()
    await truncate(log, 4)
    expect((await run(['status', config])).out).toMatch(/^holds +no position; the row tables stand for 1 to 3$/m)
    expect(await run(['read', config])).toEqual({ status: 0, out: '', err: '' })
  })

  test('a running node refuses a range by name: the same words here', async () => {
    const { config, log } = await withEntries()
    const lock = await lockFolder(log)
    onTestFinished(() => lock.release())
    const fetcher = (async (url: string) => {
      if (url.endsWith('/log/status')) return new Response(JSON.stringify({ path: log }))
      return new Response(JSON.stringify({ detail: 'TRUNCATED: the log begins at 51' }), { status: 422 })
    }) as typeof fetch
    expect(await run(['read', config, '--from', '5'], fetcher)).toMatchObject({
      status: 1,
      err: 'error: TRUNCATED: the log begins at 51\n',
    })
  })

  test('entries about the log itself: said in words', async () => {
    const { config, log } = await withEntries()
    const notes = [encodeNote({ to: 3 }), encodeNote({ position: 2, rowsDigest: 0xbeef })] as const
    await change(log, [makeEntry(4, [1, 1], 'TRUNCATE', notes[0]), makeEntry(5, [1, 1], 'CHECKPOINT', notes[1])])
    const { out } = await run(['read', config, '--from', '4'])
    expect(out).toContain('positions before 3 are no longer needed')
    expect(out).toContain('the rows as of position 2 have digest 0000beef')
  })

  test('a node runs: status and read ask it, page by page', async () => {
    const { config, log } = await withEntries()
    const lock = await lockFolder(log)
    onTestFinished(() => lock.release())
    const asked: string[] = []
    const entry = (position: number) => ({ position, ballot: [1, 1], type: 'NOP', payload: '' })
    const fetcher = (async (url: string) => {
      if (url.endsWith('/log/status')) return new Response(JSON.stringify({ path: log }))
      asked.push(url.replace('http://127.0.0.1:8081/api/v1', ''))
      const isFirst = asked.length === 1
      return new Response(JSON.stringify({ entries: [entry(isFirst ? 1 : 2)], next: isFirst ? 2 : null }))
    }) as typeof fetch
    const { out } = await run(['read', config, '--to', '2'], fetcher)
    expect(asked).toEqual(['/log/entries?to=2', '/log/entries?from=2&to=2'])
    expect(out.match(/NOP/g)).toHaveLength(2)
    expect((await run(['verify', config])).err).toContain(`in use by process ${process.pid}`)
  })

  test('another node answers at the URL of the config: refused with both folders, not shown as this one', async () => {
    const { config, log } = await withEntries()
    const lock = await lockFolder(log)
    onTestFinished(() => lock.release())
    const fetcher = (async () => new Response(JSON.stringify({ path: '/elsewhere/log' }))) as unknown as typeof fetch
    for (const verb of ['status', 'read']) {
      const { status, out, err } = await run([verb, config], fetcher)
      expect({ status, out }).toEqual({ status: 1, out: '' })
      expect(err).toContain(log)
      expect(err).toMatch(
        /at http:\/\/127\.0\.0\.1:8081 answers another one, with its log at \/elsewhere\/log.*--url URL/,
      )
    }
  })

  test('verify: whole records; a failure on record stays one until it is accepted', async () => {
    const { config, log } = await withEntries()
    expect(await run(['verify', config])).toMatchObject({ status: 0, out: expect.stringContaining('is whole') })
    markNeedsVerify(log, { kind: 'disk', reason: 'EIO' })
    expect(await run(['verify', config])).toMatchObject({ status: 1, err: expect.stringContaining('--accept') })
    expect((await run(['verify', config, '--accept'])).status).toBe(0)
    expect((await run(['verify', config])).status).toBe(0)
  })
})

describe('daybreak log transfer', () => {
  const members = [1, 2, 3].map(memberId => ({ memberId, name: `node-${memberId}`, address: `127.0.0.1:${memberId}` }))
  const done = { memberId: 2, httpUrl: 'http://127.0.0.1:8181', moved: true, tookMs: 48 }
  const asked: { url: string; body: unknown }[] = []
  const node = (answer: object, status = 200): typeof fetch =>
    (async (url: string, init?: RequestInit) => {
      if (url.endsWith('/log/status')) return new Response(JSON.stringify({ members }))
      asked.push({ url, body: JSON.parse(String(init?.body)) })
      return new Response(JSON.stringify(answer), { status })
    }) as typeof fetch
  const transfer = (answer: object, args: readonly string[], status = 200) =>
    run(['transfer', '--url', 'http://n', ...args], node(answer, status))

  test('to a member by id or name: who leads now and how long it took', async () => {
    for (const to of ['2', 'node-2']) {
      expect(await transfer(done, ['--to', to])).toEqual({
        status: 0,
        out: 'member 2 (node-2) leads now at http://127.0.0.1:8181; it took 48 ms\n',
        err: '',
      })
      expect(asked.pop()).toEqual({ url: 'http://n/api/v1/log:transfer', body: { to: 2 } })
    }
    expect(JSON.parse((await transfer(done, ['--json'])).out)).toEqual(done)
    expect(asked.pop()?.body).toEqual({})
  })

  test('it leads already: said, and no failure', async () => {
    const { status, out } = await transfer({ ...done, moved: false, tookMs: 0 }, ['--to', '2'])
    expect([status, out]).toEqual([0, 'member 2 (node-2) leads already\n'])
  })

  test('refused: the reason and what to do, status 1', async () => {
    const problem = { detail: 'member 2 has not answered for 1240 ms', remedy: 'start it, or choose another' }
    const { status, err } = await transfer(problem, ['--to', '2'], 409)
    expect([status, err]).toEqual([1, 'error: member 2 has not answered for 1240 ms\n  start it, or choose another\n'])
  })

  test('another member was quicker: status 1, and who leads', async () => {
    const { status, err } = await transfer({ ...done, memberId: 3 }, ['--to', '2'])
    expect([status, err]).toEqual([1, expect.stringContaining('member 3 (node-3) leads now, not member 2 (node-2)')])
  })

  test('a member that is none: refused with those that are, and no node is asked', async () => {
    asked.length = 0
    const { status, err } = await transfer(done, ['--to', 'node-9'])
    expect([status, err]).toEqual([1, expect.stringContaining("There is no member 'node-9': members are 1 node-1, ")])
    expect(asked).toEqual([])
  })

  test('the node of the file is down: refused, since no store can do that', async () => {
    const { config } = await withEntries()
    expect(await run(['transfer', config])).toMatchObject({ status: 1, err: expect.stringContaining('is not running') })
  })
})
