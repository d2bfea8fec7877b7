import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalText } from '../../../src/core/job/canonical-config.ts'
import { toJobConfiguration } from '../../../src/core/job/job-configuration.ts'
import { readJobOf } from '../../../src/core/job/job-file.ts'
import type { TaskConfig } from '../../../src/core/job/task-config.ts'
import type { Struct } from '../../../src/core/job/template.ts'
import { configChanges } from '../../../src/core/update/config-changes.ts'
import { taskConfig } from '../../fixtures/rows.ts'

const KEY = { cluster: 'c', role: 'www', environment: 'prod', name: 'web' }
const PROCESS = { name: 'server', cmdline: 'serve' }
const RESOURCES = { cpu: 1, ram: '64MB', disk: '64MB' }

function configOf(job: Struct, task: Struct = {}, owner = 'ann'): TaskConfig {
  const read = readJobOf({ ...job, task: { processes: [PROCESS], resources: RESOURCES, ...task } }, KEY)
  if (!read.ok) throw new Error(JSON.stringify(read.faults))
  return toJobConfiguration(read.job.job, owner).task
}
const changes = (before: TaskConfig, after: TaskConfig): string[] =>
  configChanges(before, after).map(({ path, before: from, after: to }) => {
    return `${path}: ${JSON.stringify(from) ?? 'none'} → ${JSON.stringify(to) ?? 'none'}`
  })

describe('changes of a configuration', () => {
  test('none: nothing is told', () => {
    expect(changes(configOf({}), configOf({}))).toEqual([])
  })

  test('what travels to both, the scheduler and the agent, is told once, in the words of the file', () => {
    const after = configOf(
      { priority: 5, service: true, contact: 'me', constraints: { host: 'limit:1' } },
      { resources: { ...RESOURCES, ram: '128MB' } },
    )
    expect(changes(configOf({}), after)).toEqual([
      'contact: none → "me"',
      'service: false → true',
      'priority: 0 → 5',
      'constraints: none → {"host":"limit:1"}',
      'task.resources.ram: 67108864 → 134217728',
    ])
  })

  test('what only the scheduler knows is told too', () => {
    const after = configOf({ prefer: [{ attribute: 'disk', values: ['ssd'] }], instances: 3, gang: true }, {}, 'bob')
    expect(changes(configOf({ instances: 3 }), after)).toEqual([
      'owner: "ann" → "bob"',
      'prefer: none → [{"attribute":"disk","values":["ssd"],"weight":50}]',
      'gang: none → 3',
    ])
  })

  test('a tier that admission has filled in: told by its name', () => {
    const before = { ...configOf({}), tier: 'preemptible' }
    expect(changes(before, { ...configOf({}), tier: 'preferred', production: true })).toEqual([
      'production: false → true',
      'tier: "preemptible" → "preferred"',
    ])
  })

  test('processes are compared by name, whatever their place', () => {
    const before = configOf({}, { name: 'web', processes: [PROCESS, { name: 'log', cmdline: 'log' }] })
    const after = configOf(
      {},
      {
        name: 'web',
        processes: [{ name: 'new', cmdline: 'x' }, { name: 'log', cmdline: 'log -f' }, PROCESS],
      },
    )
    expect(changes(before, after).map(text => text.split(': ')[0])).toEqual([
      'task.processes[log].cmdline',
      'task.processes[new]',
      'task.processes',
    ])
  })

  test('a port that is named in a command: the command and the port', () => {
    const after = configOf({}, { processes: [{ ...PROCESS, cmdline: 'serve {{thermos.ports[http]}}' }] })
    expect(changes(configOf({}), after)).toEqual([
      'ports: [] → ["http"]',
      'task.processes[server].cmdline: "serve" → "serve {{thermos.ports[http]}}"',
    ])
  })

  test('another executor: its data as a text', () => {
    expect(changes(taskConfig(), taskConfig({ executor: { name: 'DaybreakExecutor', data: 'x' } }))).toEqual([
      'executor_config.data: "{}" → "x"',
    ])
  })

  test('none are told exactly where the configurations are equal', () => {
    const value = fc.oneof(
      fc.integer({ min: 0, max: 1 }),
      fc.constantFrom([{ name: 'a' }], [{ name: 'b' }, { name: 'a' }]),
    )
    const config = fc.record({
      priority: fc.integer({ min: 0, max: 1 }),
      isService: fc.boolean(),
      ports: fc.subarray(['a', 'b']),
      data: fc.dictionary(fc.constantFrom('priority', 'task', 'x'), value, { noNullPrototype: true }),
    })
    const made = ({ data, ...facts }: { data: object; priority: number; isService: boolean; ports: string[] }) =>
      taskConfig({ ...facts, executor: { name: 'AuroraExecutor', data: JSON.stringify(data) } })
    fc.assert(
      fc.property(config, config, (a, b) => {
        const isEqual = canonicalText(a) === canonicalText(b)
        expect(configChanges(made(a), made(b)).length === 0).toBe(isEqual)
      }),
    )
  })
})
