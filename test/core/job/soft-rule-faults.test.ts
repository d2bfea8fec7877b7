import { describe, expect, test } from 'vitest'
import { readJobText } from '../../../src/cli/job-file-text.ts'
import { ADMISSION_SETTINGS, admit, type Machines } from '../../../src/core/job/admission.ts'
import { configIdOf } from '../../../src/core/job/canonical-config.ts'
import { pathText } from '../../../src/core/job/field-schema.ts'
import { toJobConfiguration } from '../../../src/core/job/job-configuration.ts'
import { readJobOf } from '../../../src/core/job/job-file.ts'
import type { JobConfiguration, TaskConfig } from '../../../src/core/job/task-config.ts'

const KEY = { cluster: 'c', role: 'www', environment: 'devel', name: 'hello' }
const TASK = 'task: {processes: [{name: a, cmdline: x}], resources: {cpu: 1, ram: 128MB, disk: 64MB}}'
const MACHINES: Machines = {
  hosts: [
    {
      host: 'h',
      total: { cpusMilli: 4000, ramMb: 8192, diskMb: 8192, gpus: 0 },
      ports: 10,
      attributes: [{ name: 'rack' }, { name: 'disk' }],
    },
  ],
  anyConnected: true,
}

const readYaml = (yaml: string) => readJobOf(readJobText(`${yaml}\n${TASK}\n`).tree, KEY)
function job(yaml = ''): JobConfiguration {
  const read = readYaml(yaml)
  if (!read.ok) throw new Error(JSON.stringify(read.faults))
  return toJobConfiguration(read.job.job, 'ann')
}
/** What the client says of a file, `path: text`. */
function said(yaml: string): string[] {
  const read = readYaml(yaml)
  return read.ok ? [] : read.faults.map(({ path, text }) => `${pathText(path)}: ${text}`)
}
const admitted = (task: Partial<TaskConfig>, instanceCount = 3) => {
  const plain = job('service: true')
  return admit({ ...plain, instanceCount, task: { ...plain.task, ...task } }, ADMISSION_SETTINGS, MACHINES)
}
/** What the scheduler says of a job that no client of ours has looked at. */
function refused(task: Partial<TaskConfig>, instanceCount?: number): string[] {
  const result = admitted(task, instanceCount)
  return result.type === 'rejected' ? (result.faults ?? []).map(({ path, text }) => `${path}: ${text}`) : []
}
const idOf = ({ task }: JobConfiguration) => configIdOf(task, text => text)

describe('what is read', () => {
  test('all of them, with their defaults', () => {
    const { task } = job(`
instances: 4
prefer: [{attribute: disk, values: [ssd, nvme]}, {attribute: rack, values: [r1], weight: -20}]
spread: [{attribute: rack, targets: {r1: 70}}, {attribute: zone, weight: 5}]
gang: 3`)
    expect(task).toMatchObject({
      prefer: [
        { attribute: 'disk', values: ['ssd', 'nvme'], weight: 50 },
        { attribute: 'rack', values: ['r1'], weight: -20 },
      ],
      spread: [
        { attribute: 'rack', weight: 50, targets: { r1: 70 } },
        { attribute: 'zone', weight: 5 },
      ],
      gang: 3,
    })
  })

  test('gang: true is all instances', () => expect(job('instances: 4\ngang: true').task.gang).toBe(4))

  test('a job that asks for none of them has the configuration that it always had', () => {
    const { task } = job()
    for (const field of ['prefer', 'spread', 'everyHost', 'gang']) expect(task).not.toHaveProperty(field)
    expect(idOf(job('prefer: []\nspread: []\nevery_host: false'))).toBe(idOf(job()))
  })

  test('agents and executors hear nothing of them', () => {
    const asking = job('service: true\nevery_host: true\nprefer: [{attribute: disk, values: [ssd]}]')
    expect(asking.task.executor).toEqual(job('service: true').task.executor)
    expect(idOf(asking)).not.toBe(idOf(job('service: true')))
  })

  test('another order of values and rules is no other job', () => {
    const one = admitted({
      prefer: [
        { attribute: 'rack', values: ['a', 'b'], weight: 1 },
        { attribute: 'disk', values: ['ssd'], weight: 2 },
      ],
      spread: [
        { attribute: 'rack', weight: 1 },
        { attribute: 'disk', weight: 1 },
      ],
    })
    const other = admitted({
      prefer: [
        { attribute: 'disk', values: ['ssd', 'ssd'], weight: 2 },
        { attribute: 'rack', values: ['b', 'a'], weight: 1 },
      ],
      spread: [
        { attribute: 'disk', weight: 1 },
        { attribute: 'rack', weight: 1 },
      ],
    })
    if (one.type === 'rejected' || other.type === 'rejected') throw new Error('was refused')
    expect(idOf(one.job)).toBe(idOf(other.job))
  })
})

/** A file, and the same sent by somebody else; the fault, with the place of either. */
const FAULTS: [string, string, Partial<TaskConfig>, string, string][] = [
  [
    'weight 0',
    'prefer: [{attribute: disk, values: [ssd], weight: 0}]',
    { prefer: [{ attribute: 'disk', values: ['ssd'], weight: 0 }] },
    'prefer[0].weight',
    "weight of prefer 'disk' is a whole number from -100 to 100, and not 0; got 0.",
  ],
  [
    'a weight of more than 100',
    'prefer: [{attribute: disk, values: [ssd], weight: 101}]',
    { prefer: [{ attribute: 'disk', values: ['ssd'], weight: 101 }] },
    'prefer[0].weight',
    "weight of prefer 'disk' is a whole number from -100 to 100, and not 0; got 101.",
  ],
  [
    'prefer without values',
    'prefer: [{attribute: disk, values: []}]',
    { prefer: [{ attribute: 'disk', values: [], weight: 50 }] },
    'prefer[0].values',
    "prefer 'disk' must name at least one value, and none may be empty.",
  ],
  [
    'an empty value',
    "prefer: [{attribute: disk, values: [ssd, '']}]",
    { prefer: [{ attribute: 'disk', values: ['ssd', ''], weight: 50 }] },
    'prefer[0].values',
    "prefer 'disk' must name at least one value, and none may be empty.",
  ],
  [
    'an attribute that cannot be',
    'spread: [{attribute: a b}]',
    { spread: [{ attribute: 'a b', weight: 50 }] },
    'spread[0].attribute',
    'Attribute name contains illegal characters: a b',
  ],
  [
    'two spreads over one attribute',
    'spread: [{attribute: rack}, {attribute: rack, weight: 3}]',
    {
      spread: [
        { attribute: 'rack', weight: 50 },
        { attribute: 'rack', weight: 3 },
      ],
    },
    'spread[1].attribute',
    "spread over 'rack' is given more than once.",
  ],
  [
    'a spread that weighs against itself',
    'spread: [{attribute: rack, weight: -5}]',
    { spread: [{ attribute: 'rack', weight: -5 }] },
    'spread[0].weight',
    "weight of spread 'rack' is a whole number from 1 to 100; got -5.",
  ],
  [
    'more than all instances',
    'spread: [{attribute: rack, targets: {r1: 70, r2: 40}}]',
    { spread: [{ attribute: 'rack', weight: 50, targets: { r1: 70, r2: 40 } }] },
    'spread[0].targets',
    "targets of spread 'rack' are percents of the instances, 100 together at most; got 110.",
  ],
  [
    'a gang of more than there are',
    'instances: 3\ngang: 4',
    { gang: 4 },
    'gang',
    'gang is a number of instances from 2 to all of them (3); got 4.',
  ],
  [
    'a gang of one',
    'instances: 3\ngang: 1',
    { gang: 1 },
    'gang',
    'gang is a number of instances from 2 to all of them (3); got 1.',
  ],
  [
    'a job on every host that ends',
    'every_host: true',
    { everyHost: true, isService: false },
    'every_host',
    'A job with every_host is a service: set service: true.',
  ],
  [
    'one on every host and a limit on host',
    'service: true\nevery_host: true\nconstraints: {host: limit:1}',
    { everyHost: true, constraints: [{ name: 'host', rule: { type: 'limit', limit: 1 } }] },
    'constraints',
    'A job with every_host has one instance on a host anyway: remove its limit on host.',
  ],
]

describe('what is refused, by the client and by the scheduler', () => {
  test.each(FAULTS)('%s', (_, yaml, task, path, text) => {
    expect(said(yaml)).toEqual([`${path}: ${text}`])
    const field = path === 'every_host' ? 'everyHost' : path
    expect(refused(task)).toEqual([`task.${field}: ${text}`])
  })

  test('a gang on every host', () => {
    const text = 'A job with every_host has no gang: its instances come and go with the hosts.'
    expect(said('service: true\nevery_host: true\ngang: 2')).toContain(`gang: ${text}`)
    expect(refused({ everyHost: true, gang: 2 })).toEqual([`task.gang: ${text}`])
  })

  test('a number of instances beside every_host: the hosts decide it', () => {
    expect(said('service: true\nevery_host: true\ninstances: 3')).toEqual([
      'instances: A job with every_host has as many instances as there are hosts: remove instances.',
    ])
  })
})

test('an attribute that no agent has: admitted, and said', () => {
  const result = admitted({
    prefer: [{ attribute: 'disk', values: ['ssd'], weight: 1 }],
    spread: [{ attribute: 'zone', weight: 50 }],
  })
  expect(result).toMatchObject({
    type: 'admitted',
    warnings: ["No agent has the attribute 'zone' that prefer or spread names: the rule has no effect."],
  })
})
