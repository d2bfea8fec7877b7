import { expect, test } from 'vitest'
import { slurmMissing } from '../../bench/peers/slurm.ts'
import { readEnded, slurmConf, slurmVersion } from '../../bench/peers/slurm-config.ts'

const place = { folder: '/tmp/x', host: 'vm', controllerPort: 7001, nodePort: 7002, slots: 16 }
const line = (state: string): string =>
  `JobId=7 UserId=root(0) Name=true.sh JobState=${state} Partition=bench ExitCode=0:0 \n`

test('the configuration keeps everything in one folder, on loopback, and claims as many cores as jobs may run', () => {
  const conf = slurmConf(place)
  const paths = [...conf.matchAll(/=(?:socket=)?(\/\S+)/g)].map(match => match[1]).filter(path => path !== '/bin/true')
  expect(paths.length).toBeGreaterThan(6)
  expect(paths.filter(path => !path?.startsWith('/tmp/x/'))).toEqual([])
  expect(conf).toContain('SlurmctldHost=vm(127.0.0.1)\nSlurmctldPort=7001\nSlurmdPort=7002\n')
  expect(conf).toMatch(/^NodeName=vm NodeAddr=127\.0\.0\.1 CPUs=16 .*CoresPerSocket=16 /m)
})

test('every key of the configuration stands once', () => {
  const keys = slurmConf(place)
    .trimEnd()
    .split('\n')
    .map(text => text.split('=')[0])
  expect(new Set(keys).size).toBe(keys.length)
})

test('the completion log: whole lines are counted, half a line waits, another end than COMPLETED is shown', () => {
  expect(readEnded('')).toEqual({ completed: 0, other: null, rest: '' })
  const half = line('COMPLETED').slice(0, 30)
  expect(readEnded(line('COMPLETED') + line('COMPLETED') + half)).toEqual({ completed: 2, other: null, rest: half })
  expect(readEnded(half + line('COMPLETED').slice(30))).toMatchObject({ completed: 1, rest: '' })
  expect(readEnded(line('COMPLETED') + line('NODE_FAIL'))).toMatchObject({
    completed: 1,
    other: line('NODE_FAIL').trimEnd().concat(' '),
  })
})

test('the version as slurmctld says it, of Debian and of others; null of what is none', () => {
  expect(slurmVersion('slurm-wlm 22.05.8\n')).toBe('22.05.8')
  expect(slurmVersion('slurm 24.05.2')).toBe('24.05.2')
  expect(slurmVersion('command not found')).toBe(null)
})

test('not installed: says what is missing and what to run, in one line', () => {
  const missing = slurmMissing({ PATH: '/no/such/folder', DAYBREAK_BENCH_CACHE: '/no/such/folder' }, 1000)
  expect(missing).not.toBe(null)
  expect(missing).not.toContain('\n')
  expect(missing).toMatch(/bench\/peers\/install\.sh slurm|run the bench as root/)
})
