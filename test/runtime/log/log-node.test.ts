import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type LogTransport, StoreFailed, StoreFull } from '../../../src/actors/log-ports.ts'
import {
  type LeaderView,
  type Logger,
  type LogListener,
  type LogPort,
  type LogStatusReport,
  silentLogger,
  silentMetrics,
} from '../../../src/actors/ports.ts'
import { createActorSystem } from '../../../src/actors/shell.ts'
import { prng } from '../../../src/core/base/prng.ts'
import { payloadRows } from '../../../src/core/ledger/payload.ts'
import { Applier } from '../../../src/core/log/apply.ts'
import { makeEntry } from '../../../src/core/log/entry.ts'
import { BATCH_ENTRIES_MAX } from '../../../src/core/log/follower-feed.ts'
import { NO_BASE } from '../../../src/core/log/meta.ts'
import { realClock } from '../../../src/runtime/clock.ts'
import { openLogStore } from '../../../src/runtime/log/lmdb-log-store.ts'
import { openStateStore } from '../../../src/runtime/log/lmdb-state-store.ts'
import {
  acceptVerified,
  drawClusterId,
  formatLog,
  markNeedsVerify,
  needsVerify,
  stateFolder,
  storeFolder,
} from '../../../src/runtime/log/log-folder.ts'
import { LogFront, type LogThreadDeath } from '../../../src/runtime/log/log-front.ts'
import { LogNode } from '../../../src/runtime/log/log-node.ts'
import type { LogNodePorts } from '../../../src/runtime/log/log-node-ports.ts'
import type { LogNodeOptions } from '../../../src/runtime/log/log-options.ts'
import { eventually } from '../../fixtures/real-node.ts'
import { deleteRow, logOptions, putRow, THREE, temporaryFolder } from './log-folders.ts'

/** A log node in this thread, with everything it said. */
class Opened implements LogListener {
  readonly port: LogPort
  readonly views: LeaderView[] = []
  readonly reasons: (string | null)[] = []
  readonly lines: { level: string; event: string; fields?: Readonly<Record<string, unknown>> | undefined }[] = []
  readonly deaths: LogThreadDeath[] = []
  report: LogStatusReport | null = null
  #waiting: { until: () => boolean; resolve: () => void }[] = []

  constructor(options: LogNodeOptions, ports: Partial<LogNodePorts> = {}) {
    const at = (level: string) => (event: string, fields?: Readonly<Record<string, unknown>>) => {
      this.lines.push({ level, event, fields })
      this.#look()
    }
    const log: Logger = { ...silentLogger, info: at('info'), warn: at('warn'), error: at('error'), child: () => log }
    const front: LogFront = new LogFront(
      new LogNode(options, {
        log,
        metrics: silentMetrics,
        ...ports,
        emit: event => front.told([event]),
        makeSystem: onEndProcess =>
          createActorSystem({ name: 'log', clock: realClock, random: prng(1), log: silentLogger, onEndProcess }),
      }),
      { log, metrics: silentMetrics, onDeath: death => void this.deaths.push(death) },
    )
    this.port = front
  }

  async start(): Promise<LogStatusReport> {
    onTestFinished(() => this.port.stop())
    return this.port.start(this)
  }

  async lead(): Promise<this> {
    await this.start()
    await this.when(() => this.views.at(-1)?.role === 'LEADER')
    return this
  }

  when(until: () => boolean): Promise<void> {
    return new Promise(resolve => {
      this.#waiting.push({ until, resolve })
      this.#look()
    })
  }

  viewChanged(view: LeaderView, report: LogStatusReport): void {
    this.views.push(view)
    this.report = report
    this.#look()
  }
  committed(): void {}
  writable(reason: string | null): void {
    this.reasons.push(reason)
    this.#look()
  }

  #look(): void {
    this.#waiting = this.#waiting.filter(({ until, resolve }) => {
      if (!until()) return true
      resolve()
      return false
    })
  }
}

const rowsOf = async (port: LogPort): Promise<string[]> => {
  const page = await port.readRows(null, 1_000)
  return page.rows.map(row => `${row.key}=${new TextDecoder().decode(row.bytes)}`)
}

describe('a node that is its own quorum', () => {
  test('empty folder with auto-bootstrap: leads, position 1 is LEADER, the first append is 2', async () => {
    const log = await new Opened(logOptions(join(temporaryFolder(), 'log'))).lead()
    expect(log.report).toMatchObject({ status: 'VOTING', quorum: 1, promised: [1, 1], waitingFor: null, applied: 1 })
    expect(log.views.map(view => view.version)).toEqual(log.views.map((_, at) => at + 1))
    expect(await log.port.append(putRow('a', '1'))).toEqual({ type: 'ok', position: 2 })
    const entries = await log.port.read(1, 2)
    expect(entries.map(entry => entry.type)).toEqual(['LEADER', 'DATA'])
    expect(payloadRows(entries[1]!.payload)[0]).toMatchObject({ table: 1, key: 'a' })
  })

  test('stopped and opened again: a higher ballot, one more start, and every row is there', async () => {
    const path = join(temporaryFolder(), 'log')
    const first = await new Opened(logOptions(path)).lead()
    for (const key of ['a', 'b', 'c']) await first.port.append(putRow(key, key))
    await first.port.append(deleteRow('b'))
    await first.port.stop()
    const second = await new Opened(logOptions(path)).lead()
    expect(second.report).toMatchObject({ bootCounter: 2, promised: [2, 1], end: 6, commit: 6, applied: 6 })
    expect(
      await eventually(
        () => rowsOf(second.port),
        rows => rows.length === 2,
      ),
    ).toEqual(['a=a', 'c=c'])
  })

  test('life-56: tables at position B, a log that still holds A and C: B and what follows it, and A is not applied again', async () => {
    const path = join(temporaryFolder(), 'log')
    const first = await new Opened(logOptions(path)).lead()
    for (const key of ['a', 'b', 'c']) await first.port.append(putRow(key, 'log'))
    await first.port.stop()
    // Tables as they were right after the third position; their rows differ from the log's, so a second application shows.
    const log = await openLogStore(storeFolder(path))
    const { meta } = log.restored
    const { base } = new Applier(NO_BASE).apply(log.read(1, 3, 10))
    await log.close()
    rmSync(stateFolder(path), { recursive: true })
    const tables = await openStateStore(stateFolder(path), meta, meta)
    const rows = ['a', 'b'].map(key => ({ table: 1, key, bytes: new TextEncoder().encode('tables') }))
    await tables.write({ rows, applied: 3, resumeFrom: 4, base })
    await tables.close()
    const second = await new Opened(logOptions(path)).lead()
    const found = await eventually(
      () => rowsOf(second.port),
      read => read.length === 3,
    )
    expect(found).toEqual(['a=tables', 'b=tables', 'c=log'])
  })

  test('row tables lost: made again from the log', async () => {
    const path = join(temporaryFolder(), 'log')
    const first = await new Opened(logOptions(path)).lead()
    await Promise.all(['a', 'b'].map(key => first.port.append(putRow(key, key))))
    await first.port.stop()
    rmSync(join(path, 'state'), { recursive: true })
    const second = await new Opened(logOptions(path)).lead()
    expect(
      await eventually(
        () => rowsOf(second.port),
        rows => rows.length === 2,
      ),
    ).toEqual(['a=a', 'b=b'])
  })

  test('a large transaction in parts takes effect whole, or not at all when a new leader cut it off', async () => {
    const { batchPayload, encodeTransaction, splitPayload } = await import('../../../src/core/ledger/payload.ts')
    const big = (key: string) =>
      batchPayload([
        encodeTransaction({ who: 'w', why: 'y', wallMs: 1 }, [{ table: 1, key, bytes: new Uint8Array(1_500_000) }]),
      ])
    const path = join(temporaryFolder(), 'log')
    const first = await new Opened(logOptions(path)).lead()
    await Promise.all(splitPayload(big('whole'), 1).map(part => first.port.append(part)))
    await Promise.all(
      splitPayload(big('torn'), 2)
        .slice(0, 2)
        .map(part => first.port.append(part)),
    )
    await first.port.stop()
    const second = await new Opened(logOptions(path)).lead()
    await second.port.append(putRow('later', '1'))
    await second.port.stop()
    const third = await new Opened(logOptions(path)).lead()
    const page = await third.port.readRows(null, 10)
    expect(page.rows.map(row => `${row.key} ${row.bytes.length}`)).toEqual(['later 1', 'whole 1500000'])
  })

  test('read: a backward, unborn or uncommitted range is refused by name', async () => {
    const log = await new Opened(logOptions(join(temporaryFolder(), 'log'))).lead()
    await expect(log.port.read(2, 1)).rejects.toThrow('BAD_RANGE')
    await expect(log.port.read(0, 1)).rejects.toThrow('BAD_RANGE')
    await expect(log.port.read(1, 2)).rejects.toThrow('PAST_COMMIT')
  })
})

describe('a node without a log', () => {
  test('no auto-bootstrap: EMPTY, refuses appends, says the known line and what to run, makes nothing', async () => {
    const path = join(temporaryFolder(), 'log')
    const log = new Opened(logOptions(path, { autoBootstrap: false }))
    expect(await log.start()).toMatchObject({
      status: 'EMPTY',
      view: { role: 'NONE' },
      waitingFor: 'an initialized log: run `daybreak log initialize node.yaml`',
    })
    expect(await log.port.append(putRow('a', '1'))).toEqual({ type: 'notLeader' })
    expect(log.lines[0]).toMatchObject({
      event: 'Replica in EMPTY status received a broadcasted recover request',
      fields: { run: 'daybreak log initialize node.yaml' },
    })
    expect(existsSync(path)).toBe(false)
  })

  test('initialized while it runs: it takes up its work without a restart', async () => {
    const options = logOptions(join(temporaryFolder(), 'log'), { autoBootstrap: false })
    const log = new Opened(options)
    await log.start()
    await formatLog(options, drawClusterId())
    await log.when(() => log.views.at(-1)?.role === 'LEADER')
    expect((await log.port.append(putRow('a', '1'))).type).toBe('ok')
  })

  test('one of three, initialized, peers not reached: STARTING, names whom it waits for, does not vote', async () => {
    const options = logOptions(join(temporaryFolder(), 'log'), { members: THREE, clusterId: 'ab'.repeat(16) })
    await formatLog(options, 'ab'.repeat(16))
    const log = new Opened(options)
    const report = await log.start()
    expect(report).toMatchObject({ status: 'STARTING', quorum: 2, view: { role: 'NONE' } })
    expect(report.waitingFor).toContain('member 2 (node-2, 127.0.0.1:8023) has not been reached')
    expect(report.waitingFor).toContain('member 3')
    expect(await log.port.append(putRow('a', '1'))).toEqual({ type: 'notLeader' })
  })

  test('three members, auto-bootstrap, none reached: stays EMPTY and formats nothing', async () => {
    const path = join(temporaryFolder(), 'log')
    const log = new Opened(logOptions(path, { members: THREE, clusterId: 'ab'.repeat(16) }))
    const report = await log.start()
    expect(report.status).toBe('EMPTY')
    expect(report.waitingFor).toContain('member 2 (node-2, 127.0.0.1:8023)')
    expect(existsSync(join(path, 'store'))).toBe(false)
  })
})

describe('a log that must not be opened', () => {
  const initialized = async (change: Partial<LogNodeOptions> = {}): Promise<LogNodeOptions> => {
    const options = logOptions(join(temporaryFolder(), 'log'), change)
    const log = await new Opened(options).lead()
    await log.port.append(putRow('a', '1'))
    await log.port.stop()
    return options
  }

  test.each([
    [
      'another cluster',
      { clusterId: 'ef'.repeat(16) },
      /the store belongs to cluster [0-9a-f]{32}, the config to cluster (ef){16}/,
    ],
    [
      'another member id',
      { memberId: 2, members: [{ memberId: 2, name: 'b', address: 'b' }] },
      /that of member 1, the config is that of 2/,
    ],
    [
      'another member list',
      { members: THREE },
      /configured members \[1 node-1 .*\] do not match stored descriptor \[1 node-1 alone\]/,
    ],
    ['an even member list', { members: THREE.slice(0, 2) }, /2 members listed: use 1, 3, 5 or 7/],
  ])('%s in the config: refused with both, data intact', async (_what, change, text) => {
    const options = await initialized()
    await expect(new Opened({ ...options, ...change }).start()).rejects.toThrow(text)
    const again = await new Opened(options).lead()
    expect(again.report).toMatchObject({ bootCounter: 2 })
    expect(
      await eventually(
        () => rowsOf(again.port),
        rows => rows.length === 1,
      ),
    ).toEqual(['a=1'])
  })

  test('open elsewhere: refused, naming the process; free again when that one has stopped', async () => {
    const options = logOptions(join(temporaryFolder(), 'log'))
    const holder = await new Opened(options).lead()
    await expect(new Opened(options).start()).rejects.toThrow(`in use by process ${process.pid}`)
    expect((await holder.port.append(putRow('a', '1'))).type).toBe('ok')
    await holder.port.stop()
    await new Opened(options).lead()
  })

  test('two starters at once: exactly one wins, ten times over', async () => {
    for (let round = 0; round < 10; round++) {
      const options = logOptions(join(temporaryFolder(), 'log'))
      const starts = await Promise.allSettled([new Opened(options).start(), new Opened(options).start()])
      expect(starts.map(start => start.status).sort()).toEqual(['fulfilled', 'rejected'])
    }
  })

  test('lock file left behind by a killed process, or cut short: does not block', async () => {
    const options = await initialized()
    const ownStat = readFileSync('/proc/self/stat', 'utf8')
    for (const left of [
      JSON.stringify({ pid: 999_999_999, startTicks: '1', bootId: 'x' }),
      // The pid lives, but as another process than the one that wrote the file.
      JSON.stringify({
        pid: process.ppid,
        startTicks: '1',
        bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      }),
      ownStat.slice(0, 7),
      '',
    ]) {
      writeFileSync(join(options.path, 'lock'), left)
      const log = await new Opened(options).lead()
      await log.port.stop()
    }
  })

  test('a flush has failed before: refused until the operator accepts', async () => {
    const options = await initialized()
    markNeedsVerify(options.path, { kind: 'disk', reason: 'a write of the log failed: EIO' })
    await expect(new Opened(options).start()).rejects.toThrow(/EIO.*daybreak log verify node\.yaml --accept/)
  })

  test('the disk takes no flush of that note either: it is left all the same', async () => {
    const options = await initialized()
    // In the way of the file that would be flushed and renamed.
    mkdirSync(join(options.path, 'needs-verify.new'))
    const doubt = { kind: 'disk', reason: 'a write of the log failed: EIO' } as const
    markNeedsVerify(options.path, doubt)
    expect(needsVerify(options.path)).toEqual(doubt)
  })

  test('a flush fails while it opens: refused by name, and again until the operator accepts', async () => {
    const options = await initialized()
    const openStore = (): Promise<never> =>
      Promise.reject(Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' }))
    await expect(new Opened(options, { openStore }).start()).rejects.toThrow(
      /EIO.*daybreak log verify node\.yaml --accept/,
    )
    await expect(new Opened(options).start()).rejects.toThrow(/disk failure \(opening it failed: EIO/)
  })
})

describe('a disk that fills up', () => {
  const space = { reserveBytes: 100, alarmBytes: 200, ballastBytes: 0, checkEveryMs: 50 }

  test('below the reserve: appends are refused by name, rows can be read; above it again: they are taken', async () => {
    const disk = { freeBytes: 1_000 }
    const options = logOptions(join(temporaryFolder(), 'log'), { space })
    const log = await new Opened(options, { freeBytesOf: () => disk.freeBytes }).lead()
    await log.port.append(putRow('a', '1'))
    disk.freeBytes = 99
    await log.when(() => log.reasons.at(-1) !== undefined && log.reasons.at(-1) !== null)
    expect(await log.port.append(putRow('b', '2'))).toEqual({ type: 'noSpace', freeBytes: 99 })
    expect((await log.port.status()).notWritable).toMatch(/only 0 MiB are free at .*; appends are refused below/)
    // The row tables follow the log a few milliseconds later.
    expect(
      await eventually(
        () => rowsOf(log.port),
        rows => rows.length > 0,
      ),
    ).toEqual(['a=1'])
    disk.freeBytes = 1_000
    await log.when(() => log.reasons.at(-1) === null)
    expect((await log.port.append(putRow('b', '2'))).type).toBe('ok')
  })

  test('a full disk met by one of several writes under way: nothing is written behind it, and the store opens again', async () => {
    const disk = { freeBytes: 1_000, writesUntilFull: Number.POSITIVE_INFINITY }
    let acknowledged = (): void => {}
    const firstIsAcknowledged = new Promise<void>(resolve => {
      acknowledged = resolve
    })
    const openStore: NonNullable<LogNodePorts['openStore']> = async (folder, openOptions) => {
      const store = await openLogStore(folder, openOptions)
      return {
        restored: store.restored,
        write: write => {
          if (--disk.writesUntilFull === 0) {
            return firstIsAcknowledged.then(() => Promise.reject(new StoreFull('the disk of the log is full')))
          }
          return store.write(write)
        },
        read: (from, to, countMax) => store.read(from, to, countMax),
        close: () => store.close(),
      }
    }
    const options = logOptions(join(temporaryFolder(), 'log'), { space })
    const log = await new Opened(options, { openStore, freeBytesOf: () => disk.freeBytes }).lead()
    // Two full batches at once; the first is committed, the second is not written.
    Object.assign(disk, { writesUntilFull: 2, freeBytes: 10 })
    const appends = Array.from({ length: 2 * BATCH_ENTRIES_MAX + 88 }, (_, at) =>
      log.port.append(putRow(`k${at}`, '1')),
    )
    void appends[0]!.then(acknowledged)
    const ends = await Promise.all(appends)
    expect(new Set(ends.map(({ type }) => type))).toEqual(new Set(['ok', 'unknown', 'notLeader']))
    await log.when(() => log.reasons.includes('the disk of the log is full'))
    disk.freeBytes = 1_000
    await log.when(() => log.reasons.at(-1) === null && log.views.at(-1)?.role === 'LEADER')
    expect((await log.port.append(putRow('c', '3'))).type).toBe('ok')
  })

  test('a write meets the full disk: its append ends unknown, nothing acked is lost, work resumes when space is back', async () => {
    const disk = { freeBytes: 1_000, fails: false }
    const openStore: NonNullable<LogNodePorts['openStore']> = async (folder, openOptions) => {
      const store = await openLogStore(folder, openOptions)
      return {
        restored: store.restored,
        write: write =>
          disk.fails ? Promise.reject(new StoreFull('the disk of the log is full')) : store.write(write),
        read: (from, to, countMax) => store.read(from, to, countMax),
        close: () => store.close(),
      }
    }
    const options = logOptions(join(temporaryFolder(), 'log'), { space })
    const log = await new Opened(options, { openStore, freeBytesOf: () => disk.freeBytes }).lead()
    expect((await log.port.append(putRow('a', '1'))).type).toBe('ok')
    Object.assign(disk, { fails: true, freeBytes: 10 })
    expect(await log.port.append(putRow('b', '2'))).toEqual({ type: 'unknown' })
    await log.when(() => log.reasons.includes('the disk of the log is full'))
    expect(log.views.at(-1)).toMatchObject({ role: 'NONE' })
    Object.assign(disk, { fails: false, freeBytes: 1_000 })
    await log.when(() => log.views.at(-1)?.role === 'LEADER')
    expect(log.views.map(view => view.version)).toEqual(log.views.map((_, at) => at + 1))
    expect(
      await eventually(
        () => rowsOf(log.port),
        rows => rows.length === 1,
      ),
    ).toEqual(['a=1'])
    expect((await log.port.append(putRow('c', '3'))).type).toBe('ok')
    expect(log.deaths).toEqual([])
  })

  test('a write fails otherwise: no reply is sent, the process must end with 75, and the next start is refused', async () => {
    const disk = { fails: false }
    const openStore: NonNullable<LogNodePorts['openStore']> = async (folder, openOptions) => {
      const store = await openLogStore(folder, openOptions)
      return {
        restored: store.restored,
        write: write => (disk.fails ? Promise.reject(new StoreFailed('EIO')) : store.write(write)),
        read: (from, to, countMax) => store.read(from, to, countMax),
        close: () => store.close(),
      }
    }
    const options = logOptions(join(temporaryFolder(), 'log'))
    const log = await new Opened(options, { openStore }).lead()
    disk.fails = true
    expect(await log.port.append(putRow('a', '1'))).toEqual({ type: 'unknown' })
    expect(log.deaths).toMatchObject([
      { status: 75, reason: 'EIO. Check the disk, then run `daybreak log verify node.yaml --accept`' },
    ])
    await log.port.stop()
    await expect(new Opened(options).start()).rejects.toThrow(/disk failure \(EIO\)/)
  })

  test('it is sent something else at a committed position: it ends with 75, changes nothing, and starts only once its operator accepts', async () => {
    const options = logOptions(join(temporaryFolder(), 'log'))
    const sent: unknown[] = []
    const transport: LogTransport = { send: (_, message) => void sent.push(message), onMessage: () => {} }
    const log = await new Opened(options, { transport }).lead()
    const { position } = (await log.port.append(putRow('a', '1'))) as { position: number }
    const other = makeEntry(position, [9, 2], 'DATA', putRow('a', '2'))
    const accept = {
      type: 'accept',
      from: { memberId: 2, incarnation: 'other' },
      ballot: [9, 2],
      seq: 1,
      prev: { position: position - 1, ballot: [1, 1] },
      entries: [other],
      commit: position,
      begin: 1,
      sentAtMs: 0,
    } as const
    transport.onMessage(accept)
    // Of an older leader: refused at once otherwise.
    transport.onMessage({ ...accept, ballot: [0, 2], seq: 2, entries: [] })
    await log.when(() => log.lines.some(line => line.event === 'log-died'))
    expect(log.deaths).toMatchObject([{ status: 75 }])
    expect(log.deaths[0]!.reason).toMatch(
      /^agreement broken at position 2: this member holds ballot 1\.1 with checksum [0-9a-f]{8}, it was sent ballot 9\.2 with checksum [0-9a-f]{8}.*\. Compare .*--accept/,
    )
    await log.port.stop()
    expect(sent).toEqual([])
    await expect(new Opened(options).start()).rejects.toThrow(
      /disagrees with another member on what is committed \(agreement broken at position 2.*log read node\.yaml.*--accept/,
    )
    expect(needsVerify(options.path)?.kind).toBe('agreement')
    acceptVerified(options.path)
    const again = await new Opened(options).lead()
    expect(await rowsOf(again.port)).toEqual(['a=1'])
  })

  test('a flush fails while it stops as planned: the next start is refused', async () => {
    const disk = { fails: false }
    const openStore: NonNullable<LogNodePorts['openStore']> = async (folder, openOptions) => {
      const store = await openLogStore(folder, openOptions)
      return {
        restored: store.restored,
        write: write => (disk.fails ? Promise.reject(new StoreFailed('EIO')) : store.write(write)),
        read: (from, to, countMax) => store.read(from, to, countMax),
        close: () => store.close(),
      }
    }
    const options = logOptions(join(temporaryFolder(), 'log'))
    const log = await new Opened(options, { openStore }).lead()
    expect((await log.port.append(putRow('a', '1'))).type).toBe('ok')
    disk.fails = true
    await log.port.stop()
    await expect(new Opened(options).start()).rejects.toThrow(/disk failure \(EIO\)/)
  })
})
