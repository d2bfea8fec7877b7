import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Bench } from '../../bench/bench.ts'
import { type Order, orderOf } from '../../bench/harness/order.ts'

const bench = (name: string, ...peers: NonNullable<Bench['peers']>): Bench => ({
  name,
  title: name,
  peers,
  run: async () => ({ figures: [], notes: [] }),
})
const ALL = [bench('actors', 'nact'), bench('ledger'), bench('log', 'etcd', 'zookeeper')]

const named = (order: Order): readonly string[] => order.benches.map(({ name }) => name)
const of = (line: string): Order => orderOf(line.split(' ').filter(Boolean), ALL)

describe('what the command line asks for', () => {
  test('nothing is a list, all is every bench, names come in the order of the catalogue', () => {
    expect(named(of(''))).toEqual([])
    expect(named(of('all'))).toEqual(['actors', 'ledger', 'log'])
    expect(named(of('log actors'))).toEqual(['actors', 'log'])
  })

  test('one that takes long is not in all, unless it is quick or has its name called', () => {
    const all = [...ALL, { ...bench('soak'), isLong: true }]
    expect(named(orderOf(['all'], all))).not.toContain('soak')
    expect(named(orderOf(['all', '--quick'], all))).toContain('soak')
    expect(named(orderOf(['all', 'soak'], all))).toContain('soak')
  })

  test('five runs, three under --quick, or as many as are asked for', () => {
    expect(of('log').runs).toBe(5)
    expect(of('log --quick').runs).toBe(3)
    expect(of('log --quick --runs 9').runs).toBe(9)
  })

  test('peers are those that are asked for, or all that a chosen bench knows', () => {
    expect(of('log').peers).toEqual([])
    expect(of('log --peers zookeeper,etcd').peers).toEqual(['etcd', 'zookeeper'])
    expect(of('log ledger --peers all').peers).toEqual(['etcd', 'zookeeper'])
  })

  test('a word with a slash after --profile is its folder, any other word is a bench', () => {
    expect(of('log').profile).toBeNull()
    expect(of('log --profile').profile).toBe('profiles')
    expect(of('--profile log')).toMatchObject({ profile: 'profiles' })
    expect(named(of('--profile log'))).toEqual(['log'])
    expect(of('--profile ./here log')).toMatchObject({ profile: './here' })
    expect(of('log --profile=here')).toMatchObject({ profile: 'here' })
    expect(of('log --profile --quick')).toMatchObject({ profile: 'profiles', quick: true })
  })

  test.each([
    ['lgo', 'no benchmark named lgo; there are: actors, ledger, log, all'],
    ['--quick', '--quick needs a benchmark: name some of actors, ledger, log, or all; alone the command lists them'],
    ['log --runs 0', '--runs 0: give a whole number from 1 to 1000'],
    ['log --runs 2.5', '--runs 2.5: give a whole number from 1 to 1000'],
    ['ledger --peers etcd', '--peers: ledger measures no peer; leave the option out'],
    ['log --peers etcd,nact', '--peers nact: log can measure: etcd, zookeeper, all'],
    ['log --peers ,', '--peers is empty; log can measure: etcd, zookeeper, all'],
    [
      'log --fast',
      "Unknown option '--fast'; options are --quick, --runs N, --peers LIST, --json FILE, --against FILE, --profile [DIR]",
    ],
    [
      'log --json',
      "Option '--json <value>' argument missing; options are --quick, --runs N, --peers LIST, --json FILE, --against FILE, --profile [DIR]",
    ],
  ])('%s is refused in one line with what to do', (line, message) => {
    expect(() => of(line)).toThrow(message)
  })
})

test('the command ends with status 2 and one line, and without arguments lists the benches', () => {
  const run = (...args: readonly string[]) => {
    const main = join(import.meta.dirname, '..', '..', 'dist', 'bench', 'main.js')
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
    return { status, stdout, stderr }
  }
  expect(run('actors', '--against', '/nowhere/r.json')).toEqual({
    ...{ status: 2, stdout: '' },
    stderr: '--against /nowhere/r.json is not there: name a file that --json has written\n',
  })
  const listed = run()
  expect(listed).toMatchObject({ status: 0, stderr: '' })
  expect(listed.stdout).toMatch(/^ {2}ledger +Ledger: stage, commit and load$/m)
})
