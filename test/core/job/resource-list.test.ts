import { describe, expect, test } from 'vitest'
import { type ListedResource, quotaResources, taskResources } from '../../../src/core/job/resource-list.ts'

const cpus = (value: number): ListedResource => ({ type: 'CPUS', value })
const ram = (value: number): ListedResource => ({ type: 'RAM_MB', value })
const disk = (value: number): ListedResource => ({ type: 'DISK_MB', value })
const port = (value: string): ListedResource => ({ type: 'PORTS', value })
const gpus = (value: number): ListedResource => ({ type: 'GPUS', value })

describe('of a task', () => {
  test('sched-89: two values of CPU and of RAM are refused, two named ports are not', () => {
    expect(taskResources([ram(1), cpus(1), disk(1), ram(2), cpus(1)])).toMatchObject({
      code: 'INVALID_REQUEST',
      detail: 'Multiple resource values are not supported for CPU, RAM',
    })
    expect(taskResources([cpus(0.5), ram(64), disk(128), port('http'), port('admin')])).toEqual({
      type: 'resources',
      resources: { cpusMilli: 500, ramMb: 64, diskMb: 128, gpus: 0 },
      ports: ['http', 'admin'],
    })
  })

  test('three of one type: named once', () => {
    expect(taskResources([gpus(1), gpus(1), gpus(1), disk(1), disk(1)])).toMatchObject({
      detail: 'Multiple resource values are not supported for GPU, disk',
    })
  })
})

describe('of a quota', () => {
  test('CPU, RAM and disk, and GPUs if it says so', () => {
    const quota = { cpusMilli: 1500, ramMb: 2, diskMb: 3 }
    expect(quotaResources([disk(3), cpus(1.5), ram(2)])).toEqual({ type: 'quota', quota })
    expect(quotaResources([disk(3), cpus(1.5), ram(2), gpus(4)])).toEqual({
      type: 'quota',
      quota: { ...quota, gpus: 4 },
    })
  })

  test.each<[string, ListedResource[], string]>([
    ['one is missing', [cpus(1), ram(1)], 'Quota resources must be exactly: [CPUS, RAM_MB, DISK_MB]'],
    ['nothing at all', [], 'Quota resources must be exactly: [CPUS, RAM_MB, DISK_MB]'],
    ['a port', [cpus(1), ram(1), disk(1), port('a')], 'Quota resources must be exactly: [CPUS, RAM_MB, DISK_MB]'],
    ['one twice', [cpus(1), ram(1), disk(1), disk(1)], 'Too many resource values in quota.'],
  ])('%s: refused', (_case, list, detail) => {
    expect(quotaResources(list)).toMatchObject({ code: 'INVALID_REQUEST', detail })
  })
})
