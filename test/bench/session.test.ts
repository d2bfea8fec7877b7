import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Bench, BenchOptions } from '../../bench/bench.ts'
import { checkFiles } from '../../bench/harness/checks.ts'
import { fileSystemOf } from '../../bench/harness/machine.ts'
import type { Order } from '../../bench/harness/order.ts'
import { type Measurement, merged, readReport, writeReport } from '../../bench/harness/report.ts'
import { runBenches } from '../../bench/harness/session.ts'
import { figureOf, measurementOf } from './measurement.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'daybreak-bench-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const order = (benches: readonly Bench[], rest: Partial<Order> = {}): Order => ({
  ...{ benches, quick: true, runs: 3, peers: [], json: null, against: null, profile: null },
  ...rest,
})
const quiet = { print: () => {}, say: () => {} }
const works: Bench = {
  name: 'works',
  title: 'one that works',
  peers: ['etcd'],
  plots: [{ name: 'p', title: 'p', kind: 'bars', points: [{ figure: 'f', series: 's', label: 'l' }] }],
  run: async () => ({ figures: [figureOf('f', [1, 2, 3], { target: 1 })], notes: ['n'] }),
}
const breaks: Bench = {
  ...{ name: 'breaks', title: 'one that breaks' },
  run: () => Promise.reject(new Error('the disk is gone')),
}

describe('a session of benches', () => {
  test('a bench that throws is told and written down, and the others still run', async () => {
    const json = join(folder, 'out.json')
    const done = await runBenches(order([breaks, works], { json }), quiet)
    expect(done.map(({ bench, failed }) => [bench, failed?.split('\n')[0]])).toEqual([
      ['breaks', 'Error: the disk is gone'],
      ['works', undefined],
    ])
    expect(readReport(json)).toEqual(JSON.parse(JSON.stringify(done)))
  })

  test('results are on disk as soon as their bench has ended', async () => {
    const json = join(folder, 'out.json')
    const seen: string[][] = []
    const looks: Bench = {
      ...{ name: 'looks', title: 'what is there by now' },
      run: async () => {
        seen.push(readReport(json).map(({ bench }) => bench))
        return { figures: [], notes: [] }
      },
    }
    await runBenches(order([works, looks], { json }), quiet)
    expect(seen).toEqual([['works']])
    expect(readdirSync(folder)).toEqual(['out.json'])
  })

  test('each bench is given the peers that it knows, and how often to run', async () => {
    const given: BenchOptions[] = []
    const asks = (name: string, peers: Bench['peers'] = []): Bench => ({
      ...{ name, title: name, peers },
      run: async options => {
        given.push(options)
        return { figures: [], notes: [] }
      },
    })
    await runBenches(order([asks('a', ['etcd', 'slurm']), asks('b')], { peers: ['etcd', 'nact'], runs: 7 }), quiet)
    expect(given.map(({ peers, runs, quick }) => [peers, runs, quick])).toEqual([
      [['etcd'], 7, true],
      [[], 7, true],
    ])
  })

  test('--profile leaves a profile, a flame graph and the hottest functions of the bench', async () => {
    const lines: string[] = []
    const burns: Bench = {
      ...{ name: 'burns', title: 'computes' },
      run: async () => {
        let sum = 0
        for (const until = performance.now() + 60; performance.now() < until; ) sum += Math.sqrt(sum + 1)
        return { figures: [figureOf('sum', [sum])], notes: [process.env.DAYBREAK_BENCH_PROFILE ?? 'not set'] }
      },
    }
    const [done] = await runBenches(order([burns], { profile: folder }), { ...quiet, print: line => lines.push(line) })
    expect(done).toMatchObject({ profiled: true, notes: [join(folder, 'burns')] })
    expect(process.env.DAYBREAK_BENCH_PROFILE).toBeUndefined()
    expect(readdirSync(join(folder, 'burns')).sort()).toEqual(['bench.cpuprofile', 'bench.svg'])
    expect(lines.filter(line => /profile bench: +\d+\.\d % \S+ /.test(line)).length).toBeGreaterThan(0)
  })
})

describe('files that an order names, before anything is measured', () => {
  const file = (name: string, text: string): string => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }
  const refused = (rest: Partial<Order>): string => {
    try {
      checkFiles(order([works], { quick: false, ...rest }))
    } catch (cause) {
      return (cause as Error).message.replaceAll(folder, 'DIR')
    }
    return 'taken'
  }

  test('--json: its folder is there and it is no folder itself', () => {
    expect(refused({ json: join(folder, 'a.json') })).toBe('taken')
    expect(refused({ json: join(folder, 'no', 'a.json') })).toBe(
      '--json DIR/no/a.json: the folder DIR/no is not there; make it, or name another file',
    )
    expect(refused({ json: folder })).toBe('--json DIR is a folder; name a file in it')
  })

  test('--profile: its folder is made where only it is missing, never the folders above it; it is no file', () => {
    const profile = join(folder, 'made')
    expect(refused({ profile })).toBe('taken')
    expect(statSync(profile).isDirectory()).toBe(true)
    expect(refused({ profile })).toBe('taken')
    expect(refused({ profile: join(folder, 'nope', 'x') })).toBe(
      '--profile DIR/nope/x: the folder DIR/nope is not there; make it, or name another',
    )
    expect(existsSync(join(folder, 'nope'))).toBe(false)
    expect(refused({ profile: file('f', '') })).toBe('--profile DIR/f is a file; name a folder')
  })

  test('--against: it is there, JSON, of this format, whole, and has a bench that can be compared', () => {
    const report = (...measurements: Measurement[]): string => {
      writeReport(join(folder, 'r.json'), measurements)
      return join(folder, 'r.json')
    }
    expect(refused({ against: report(measurementOf('works', [])) })).toBe('taken')
    expect(refused({ against: join(folder, 'no') })).toBe(
      '--against DIR/no is not there: name a file that --json has written',
    )
    expect(refused({ against: file('b', '{') })).toBe(
      '--against DIR/b is not JSON: name a file that --json has written',
    )
    expect(refused({ against: file('b', '{"format":1}') })).toBe(
      '--against DIR/b has format 1, this program reads 2: measure again with --json',
    )
    expect(refused({ against: file('b', '[]') })).toBe(
      '--against DIR/b has no format number, this program reads 2: measure again with --json',
    )
    expect(refused({ against: file('b', '{"format":2,"measurements":[{}]}') })).toMatch(
      /^--against DIR\/b: measurements\.0\.bench: .*: measure again with --json$/,
    )
    expect(refused({ against: report(measurementOf('other', [])) })).toBe(
      '--against DIR/r.json: it has other, you run works: run one that it has',
    )
    expect(refused({ against: report(measurementOf('works', [], { quick: true })) })).toBe(
      '--against DIR/r.json: nothing to compare: the earlier run was --quick, this one is not; add --quick, or measure again',
    )
  })
})

describe('results of several runs', () => {
  const of = (bench: string, startedAt: string, rest: Partial<Measurement> = {}): Measurement =>
    measurementOf(bench, [], { startedAt, ...rest })

  test('the newest whole run of each bench counts, a quick one only where there is no other', () => {
    const old = of('log', '2026-01-01')
    const newer = of('log', '2026-01-03')
    const quick = of('log', '2026-01-04', { quick: true })
    const failed = of('log', '2026-01-05', { failed: 'broke' })
    const profiled = of('log', '2026-01-06', { profiled: true })
    const [quickOnly, quickOld] = [of('api', '2026-01-02', { quick: true }), of('api', '2026-01-01', { quick: true })]
    expect(
      merged([
        [quick, newer, quickOnly],
        [old, failed, profiled, quickOld],
      ]),
    ).toEqual([quickOnly, newer])
  })

  test('what is not a number comes back as such', () => {
    const path = join(folder, 'r.json')
    writeReport(path, [measurementOf('log', [figureOf('f', [Number.NaN])])])
    expect(readFileSync(path, 'utf8')).toContain('"median": null')
    expect(readReport(path)[0]?.figures[0]?.median).toBeNaN()
  })
})

test.each([
  ['/var/data/x', 'xfs'],
  ['/var/database', 'ext4'],
  ['/tmp', 'tmpfs'],
])('the file system of %s is %s', (path, type) => {
  const mounts = 'root / rootfs rw 0 0\n/dev/a / ext4 rw 0 0\n/dev/b /var/data xfs rw 0 0\nnone /tmp tmpfs rw 0 0\n'
  expect(fileSystemOf(path, mounts)).toBe(type)
})
