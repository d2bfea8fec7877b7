import { describe, expect, test } from 'vitest'
import { ADMISSION_SETTINGS, admit, type Machine, type Machines } from '../../../src/core/job/admission.ts'
import { canonicalText, configIdOf } from '../../../src/core/job/canonical-config.ts'
import type { Constraint, JobConfiguration, TaskConfig } from '../../../src/core/job/task-config.ts'

const KEY = { role: 'www-data', environment: 'devel', name: 'hello' }
const HOST: Machine = {
  host: 'big-1',
  total: { cpusMilli: 4000, ramMb: 8192, diskMb: 100_000, gpus: 0 },
  ports: 1000,
  attributes: [{ name: 'rack' }, { name: 'dedicated' }],
}
const MACHINES: Machines = { hosts: [HOST], anyConnected: true }

function job(task: Partial<TaskConfig> = {}, more: Partial<JobConfiguration> = {}): JobConfiguration {
  return {
    key: KEY,
    owner: 'www-data',
    instanceCount: 3,
    ...more,
    task: {
      job: KEY,
      owner: 'www-data',
      isService: true,
      maxTaskFailures: 1,
      priority: 0,
      production: false,
      tier: 'preemptible',
      resources: { cpusMilli: 100, ramMb: 64, diskMb: 64, gpus: 0 },
      ports: ['http'],
      constraints: [],
      metadata: [],
      executor: { name: 'AuroraExecutor', data: '{}' },
      ...task,
    },
  }
}
const check = (one: JobConfiguration, machines = MACHINES) => admit(one, ADMISSION_SETTINGS, machines)
function refusal(one: JobConfiguration, machines = MACHINES) {
  const result = check(one, machines)
  if (result.type !== 'rejected') throw new Error('was admitted')
  return result
}
const value = (name: string, ...values: string[]): Constraint => ({
  name,
  rule: { type: 'value', negated: false, values },
})
const limit = (name: string, n: number): Constraint => ({ name, rule: { type: 'limit', limit: n } })
const resources = (more: object) => ({ resources: { cpusMilli: 1, ramMb: 1, diskMb: 1, gpus: 0, ...more } })

describe('texts', () => {
  const other = { ...KEY, role: 'a/b' }
  const cases: [string, JobConfiguration, string, string][] = [
    ['no instances', job({}, { instanceCount: 0 }), 'instanceCount', 'Instance count must be positive.'],
    ['bad role', job({ job: other }, { key: other }), 'key', 'Job key a/b/devel/hello is invalid.'],
    [
      'unknown environment',
      job({ job: { ...KEY, environment: 'production' } }, { key: { ...KEY, environment: 'production' } }),
      'key.environment',
      "Job environment production doesn't match: ^(prod|devel|test|staging\\d*)$",
    ],
    ['bad owner', job({}, { owner: 'a b' }), 'owner', 'Job user contains illegal characters: a b'],
    ['bad tier name', job({ tier: 'a b' }), 'task.tier', 'Tier contains illegal characters: a b'],
    ['unknown tier', job({ tier: 'gold' }), 'task.tier', "Invalid tier 'gold' in TaskConfig."],
    ['a tier named like a method', job({ tier: 'toString' }), 'task.tier', "Invalid tier 'toString' in TaskConfig."],
    [
      'key of another job',
      job({ job: { ...KEY, name: 'x' } }),
      'task.job',
      'The task is of job www-data/devel/x, but the job is www-data/devel/hello.',
    ],
    [
      'executor without name',
      job({ executor: { name: '', data: '' } }),
      'task.executor.name',
      'Executor name may not be left unset.',
    ],
    [
      'a definition that fits no launch',
      job({ executor: { name: 'AuroraExecutor', data: 'x'.repeat(1_048_577) } }),
      'task.executor.data',
      'The definition of the job has 1048577 characters; at most 1048576 travel to an agent. Let a process fetch what is large.',
    ],
    [
      'unknown executor',
      job({ executor: { name: 'Foo', data: '' } }),
      'task.executor.name',
      "Configuration for executor 'Foo' doesn't exist.",
    ],
    ['no CPU', job(resources({ cpusMilli: 0 })), 'task.resources.cpusMilli', 'num_cpus must be greater than 0.0'],
    ['no RAM', job(resources({ ramMb: 0 })), 'task.resources.ramMb', 'ram_mb must be greater than 0.0'],
    ['no disk', job(resources({ diskMb: 0 })), 'task.resources.diskMb', 'disk_mb must be greater than 0.0'],
    ['GPUs', job(resources({ gpus: 1 })), 'task.resources.gpus', 'GPU resource support is disabled in this cluster.'],
    [
      'too many instances',
      job({}, { instanceCount: 4001 }),
      'instanceCount',
      'Instance count must be between 1 and 4000 inclusive.',
    ],
    [
      'dedicated by limit',
      job({ constraints: [limit('dedicated', 1)] }),
      'task.constraints[0]',
      'A dedicated constraint must be of value type.',
    ],
    [
      'dedicated with two values',
      job({ constraints: [value('rack', 'a'), value('dedicated', 'www-data', 'x')] }),
      'task.constraints[1]',
      'A dedicated constraint must have exactly one value',
    ],
    [
      'dedicated of another role',
      job({ constraints: [value('dedicated', 'kestrel/db')] }),
      'task.constraints[0]',
      'Only kestrel may use hosts dedicated for that role.',
    ],
    [
      'dedicated, negated',
      job({ constraints: [{ name: 'dedicated', rule: { type: 'value', negated: true, values: ['www-data'] } }] }),
      'task.constraints[0]',
      'A dedicated constraint may not be negated.',
    ],
    [
      'a constraint twice',
      job({ constraints: [limit('rack', 1), limit('rack', 2)] }),
      'task.constraints[1].name',
      "Constraint 'rack' is given more than once.",
    ],
    [
      'a limit below 1',
      job({ constraints: [limit('rack', 0)] }),
      'task.constraints[0].limit',
      "Limit of constraint 'rack' must be at least 1, got 0.",
    ],
    [
      'no values',
      job({ constraints: [value('rack')] }),
      'task.constraints[0].values',
      "Constraint 'rack' must have at least one value.",
    ],
    [
      'an empty value',
      job({ constraints: [value('rack', 'a', '')] }),
      'task.constraints[0].values',
      "Constraint 'rack' has an empty value.",
    ],
    [
      'a bad constraint name',
      job({ constraints: [limit('ra ck', 1)] }),
      'task.constraints[0].name',
      'Constraint name contains illegal characters: ra ck',
    ],
    ['a bad port name', job({ ports: ['a b'] }), 'task.ports[0]', 'Port name contains illegal characters: a b'],
    [
      'a port whose name no row keeps',
      job({ ports: ['__proto__'] }),
      'task.ports[0]',
      "Port name '__proto__' cannot be kept. Give the port another name.",
    ],
    ['a port twice', job({ ports: ['a', 'a'] }), 'task.ports[1]', "Port 'a' is asked for more than once."],
  ]
  for (const [condition, submitted, path, text] of cases)
    test(`${condition}: ${text}`, () => {
      const rejection = refusal(submitted)
      expect(rejection).toMatchObject({ code: 'INVALID_REQUEST', detail: text })
      expect(rejection.faults).toContainEqual({ path, text })
    })

  test('sched-85: names: slash, space, newline and 256 characters are refused; dots, dashes and capitals are fine', () => {
    const named = (name: string) => check(job({ job: { ...KEY, name } }, { key: { ...KEY, name } })).type
    for (const name of ['dev/prod', 'dev prod', 'new\nline', 'line\n', '', 'n'.repeat(256)])
      expect([name, named(name)]).toEqual([name, 'rejected'])
    for (const name of ['.devprod..', 'Dev_prod-', 'n'.repeat(255)])
      expect([name, named(name)]).toEqual([name, 'admitted'])
  })

  test('sched-86, sched-87: environments and tiers are compared whole and with their case: staging12 is one, Preferred is none', () => {
    const named = (name: string) =>
      check(job({ job: { ...KEY, environment: name } }, { key: { ...KEY, environment: name } })).type
    expect([named('staging12'), named('production'), named('staging12b')]).toEqual(['admitted', 'rejected', 'rejected'])
    expect(refusal(job({ tier: 'Preferred' })).detail).toBe("Invalid tier 'Preferred' in TaskConfig.")
  })

  test('a trailing newline in the environment: refused', () => {
    const key = { ...KEY, environment: 'devel\n' }
    expect(refusal(job({ job: key }, { key })).detail).toBe('Job key www-data/devel\n/hello is invalid.')
  })

  test('a cron schedule: refused by its name, for there is no engine that would fire it', () => {
    const rejection = refusal(job({ isService: false }, { cronSchedule: '* * * * *' }))
    expect(rejection).toMatchObject({ code: 'NOT_BUILT', detail: expect.stringContaining('cronSchedule') })
    expect(rejection.faults).toHaveLength(1)
  })

  test('sched-92: a service on a cron schedule: Aurora’s text, and beside it that there is no engine', () => {
    const rejection = refusal(job({}, { cronSchedule: '* * * * *' }))
    expect(rejection).toMatchObject({
      code: 'INVALID_REQUEST',
      detail: 'A service task may not be run on a cron schedule: www-data/devel/hello',
    })
    expect(rejection.faults?.map(({ text }) => text)).toEqual([
      rejection.detail,
      expect.stringContaining('no cron engine'),
    ])
  })
})

describe('order: the first of Aurora’s faults is the answer, then comes what Aurora lets pass', () => {
  // From the last to the first: each case has its own fault and all those before it.
  const dedicated = value('dedicated', 'kestrel/db')
  const bad = {
    ports: job({ ports: ['a', 'a'] }),
    count: job({ ports: ['a', 'a'] }, { instanceCount: 4001 }),
    cron: job({ ports: ['a', 'a'] }, { instanceCount: 4001, cronSchedule: '* * * * *' }),
  }
  const more = (task: Partial<TaskConfig>, rest: Partial<JobConfiguration> = {}) =>
    job({ ports: ['a', 'a'], ...task }, { instanceCount: 4001, cronSchedule: '* * * * *', ...rest })
  const gpus = resources({ gpus: 1 })
  const disk = resources({ gpus: 1, diskMb: 0 })
  const ram = resources({ gpus: 1, diskMb: 0, ramMb: 0 })
  const cpu = resources({ gpus: 1, diskMb: 0, ramMb: 0, cpusMilli: 0 })
  const owned = { ...cpu, constraints: [dedicated] }
  const executed = { ...owned, executor: { name: 'Foo', data: '' } }
  const nameless = { ...owned, executor: { name: '', data: '' } }
  const foreign = { ...executed, job: { ...KEY, name: 'a b' } }
  const tiered = { ...foreign, tier: 'gold' }
  const untied = { ...foreign, tier: 'a b' }
  const env = { ...KEY, environment: 'production' }

  test.each<[string, JobConfiguration, string]>([
    ['ours', bad.ports, "Port 'a' is asked for more than once."],
    ['Q1', bad.count, 'Instance count must be between 1 and 4000 inclusive.'],
    ['J6', bad.cron, 'A service task may not be run on a cron schedule: www-data/devel/hello'],
    ['T14', more(gpus), 'GPU resource support is disabled in this cluster.'],
    ['T13 disk', more(disk), 'disk_mb must be greater than 0.0'],
    ['T13 RAM', more(ram), 'ram_mb must be greater than 0.0'],
    ['T13 CPU', more(cpu), 'num_cpus must be greater than 0.0'],
    ['T7', more(owned), 'Only kestrel may use hosts dedicated for that role.'],
    ['T6', more(executed), "Configuration for executor 'Foo' doesn't exist."],
    ['T5', more(nameless), 'Executor name may not be left unset.'],
    ['T3', more(foreign), 'Job key www-data/devel/a b is invalid.'],
    ['T2', more(tiered), "Invalid tier 'gold' in TaskConfig."],
    ['T1', more(untied), 'Tier contains illegal characters: a b'],
    ['J5', more(untied, { owner: 'a b' }), 'Job user contains illegal characters: a b'],
    [
      'J4',
      more(untied, { owner: 'a b', key: env }),
      "Job environment production doesn't match: ^(prod|devel|test|staging\\d*)$",
    ],
    ['J3', more(untied, { owner: 'a b', key: { ...env, name: 'x y' } }), 'Job key www-data/production/x y is invalid.'],
    [
      'J2',
      more(untied, { owner: 'a b', key: { ...env, name: 'x y' }, instanceCount: 0 }),
      'Instance count must be positive.',
    ],
  ])('%s', (_rule, submitted, text) => {
    const rejection = refusal(submitted)
    expect(rejection.detail).toBe(text)
    expect(rejection.faults?.at(-1)?.text).toBe("Port 'a' is asked for more than once.")
  })
})

describe('tiers of the operator', () => {
  const settings = {
    ...ADMISSION_SETTINGS,
    defaultTier: 'gold',
    tiers: { gold: { preemptible: false, revocable: false }, scrap: { preemptible: true, revocable: true } },
  }
  const admitted = (task: Partial<TaskConfig>) => admit(job(task), settings, MACHINES)

  test('a job without a tier takes the default one, which may be production', () => {
    expect(admitted({ tier: '' })).toMatchObject({ job: { task: { tier: 'gold', production: true } } })
    expect(admitted({ tier: 'scrap', production: true })).toMatchObject({ job: { task: { production: false } } })
  })

  test('a tier that is shipped and not listed: refused, with those there are', () => {
    expect(admitted({ tier: 'preferred' })).toMatchObject({
      detail: "Invalid tier 'preferred' in TaskConfig.",
      remedy: 'This cluster has the tiers gold, scrap.',
    })
    expect(refusal(job({ tier: 'Preferred' })).remedy).toBe(
      'Did you mean preferred? This cluster has the tiers preemptible, preferred, revocable.',
    )
  })

  test('GPUs where the cluster allows them: admitted', () => {
    const machines = { ...MACHINES, hosts: [{ ...HOST, total: { ...HOST.total, gpus: 2 } }] }
    expect(admit(job(resources({ gpus: 1 })), { ...ADMISSION_SETTINGS, allowGpus: true }, machines).type).toBe(
      'admitted',
    )
  })
})

test('several faults: the first in order is the answer, all of them are listed', () => {
  const rejection = refusal(job({ tier: 'gold', ...resources({ cpusMilli: 0, diskMb: 0 }) }, { owner: 'a b' }))
  expect(rejection.detail).toBe('Job user contains illegal characters: a b')
  expect(rejection.faults?.map(fault => fault.path)).toEqual([
    'owner',
    'task.tier',
    'task.resources.cpusMilli',
    'task.resources.diskMb',
  ])
})

describe('what is filled in', () => {
  const admitted = (task: Partial<TaskConfig>) => {
    const result = check(job(task))
    if (result.type !== 'admitted') throw new Error(result.detail)
    return result
  }

  test('sched-88: no tier: the default one; production follows the tier, whatever was sent', () => {
    expect(admitted({ tier: '', production: true }).job.task).toMatchObject({ tier: 'preemptible', production: false })
    expect(admitted({ tier: 'preemptible', production: true }).job.task.production).toBe(false)
    expect(admitted({ tier: 'preferred' }).job.task.production).toBe(true)
    expect(admitted({ tier: 'revocable', production: true }).job.task.production).toBe(false)
  })

  test('no links, and ports that everybody knows: links to them; links of its own stay as they are', () => {
    expect(admitted({ ports: ['http', 'other', 'health'] }).job.task.taskLinks).toEqual({
      health: 'http://%host%:%port:health%',
      http: 'http://%host%:%port:http%',
    })
    expect(admitted({ ports: ['http'], taskLinks: { mine: 'http://x' } }).job.task.taskLinks).toEqual({
      mine: 'http://x',
    })
    expect(admitted({ ports: ['other'], taskLinks: {} }).job.task.taskLinks).toEqual({})
  })

  test('constraints, values, ports and metadata in another order: the same configuration', () => {
    const one = admitted({
      constraints: [value('rack', 'b', 'a', 'a'), limit('dedicated-not', 1)],
      ports: ['b', 'a'],
      metadata: [
        { key: 'k', value: '2' },
        { key: 'k', value: '1' },
      ],
    })
    const two = admitted({
      constraints: [limit('dedicated-not', 1), value('rack', 'a', 'b')],
      ports: ['a', 'b'],
      metadata: [
        { key: 'k', value: '1' },
        { key: 'k', value: '2' },
      ],
    })
    expect(one.job.task).toEqual(two.job.task)
    expect(configIdOf(one.job.task, text => text)).toBe(configIdOf(two.job.task, text => text))
  })

  test('a dedicated constraint for any role, or for a purpose of the own one: admitted', () => {
    expect(admitted({ constraints: [value('dedicated', '*/web')] }).type).toBe('admitted')
    expect(admitted({ constraints: [value('dedicated', 'www-data/web')] }).type).toBe('admitted')
  })

  test('an attribute that no agent has: a warning by its name', () => {
    expect(admitted({ constraints: [limit('zone', 1)] }).warnings).toEqual([
      "No agent has the attribute 'zone' that a constraint asks for: nothing will be placed.",
    ])
    expect(admitted({ constraints: [limit('rack', 1)] }).warnings).toEqual([])
  })

  test('text of a configuration: keys sorted, what is undefined left out', () => {
    expect(canonicalText({ b: [1, { d: 2, c: 'x' }], a: undefined })).toBe('{"b":[1,{"c":"x","d":2}]}')
  })
})

describe('a job that can never fit', () => {
  const big = job(resources({ cpusMilli: 4000, ramMb: 9000 }))

  test('refused at once with what is asked for, what the largest host has, and what is short', () => {
    const rejection = refusal(big)
    expect(rejection.detail).toBe(
      'The job can never fit: each task asks for 4.01 core(s), 9008 MB RAM, 1 MB disk, 1 port(s) (its executor included); largest host has 4 core(s), 8192 MB RAM, 100000 MB disk, 1000 port(s) (big-1). Insufficient: CPU, RAM',
    )
  })

  test('the executor counts: exactly the whole machine does not fit, the machine less its share does', () => {
    expect(check(job(resources({ cpusMilli: 3991 }))).type).toBe('rejected')
    expect(check(job(resources({ cpusMilli: 3990 }))).type).toBe('admitted')
  })

  test('it fits a host that is not the largest: admitted', () => {
    const wide = { ...HOST, host: 'wide', total: { ...HOST.total, cpusMilli: 1000, ramMb: 64_000 } }
    const machines = { ...MACHINES, hosts: [HOST, wide] }
    expect(check(job(resources({ cpusMilli: 500, ramMb: 32_000 })), machines).type).toBe('admitted')
  })

  test('more ports than any host has: refused', () => {
    const ports = Array.from({ length: 1001 }, (_, n) => `p${n}`)
    expect(refusal(job({ ports })).detail).toContain('Insufficient: ports')
  })

  test('no agent connected: admitted with the same text as a warning', () => {
    const result = check(big, { hosts: [HOST], anyConnected: false })
    expect(result).toMatchObject({ type: 'admitted', warnings: [expect.stringContaining('can never fit')] })
  })

  test('no agent known at all: admitted, and told', () => {
    const result = check(job(), { hosts: [], anyConnected: false })
    expect(result).toMatchObject({ type: 'admitted', warnings: [expect.stringContaining('No agent has registered')] })
  })
})

test('GPUs that are less than none would be room on the machine: refused where GPUs are allowed too', () => {
  const allowed = { ...ADMISSION_SETTINGS, allowGpus: true }
  const result = admit(job(resources({ gpus: -1 })), allowed, MACHINES)
  expect(result).toMatchObject({ type: 'rejected', detail: 'num_gpus must not be negative' })
})
