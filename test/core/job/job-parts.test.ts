import { describe, expect, test } from 'vitest'
import { pathText } from '../../../src/core/job/field-schema.ts'
import { fullKeyText, listJobs, readJobFile, readJobOf, unusedBinds } from '../../../src/core/job/job-file.ts'
import { jobParts, overlay } from '../../../src/core/job/job-parts.ts'
import type { Struct, Tree } from '../../../src/core/job/template.ts'

const KEY = { cluster: 'c', role: 'www', environment: 'prod', name: 'web' }
const TASK = {
  processes: [{ name: 'main', cmdline: 'run {{profile.level}}' }],
  resources: { cpu: 1, ram: '{{profile.ram}}', disk: '64MB' },
}
const PROFILES = { small: { ram: '64MB', level: 'debug' }, large: { ram: '1GB', level: '{{environment}}' } }
const WEB = { name: 'web', role: 'www', cluster: 'c', task: TASK }

const file = (job: Struct, more: Struct = {}): Struct => ({ profiles: PROFILES, jobs: [job], ...more })
const read = (tree: Tree, environment = 'prod', binds: Struct[] = []) => readJobOf(tree, { ...KEY, environment }, binds)
const job = (...args: Parameters<typeof read>) => {
  const found = read(...args)
  if (!found.ok) throw new Error(JSON.stringify(found.faults))
  return found.job.job
}
const faults = (...args: Parameters<typeof read>): string[] => {
  const found = read(...args)
  return found.ok ? [] : found.faults.map(({ path, text }) => `${pathText(path)}: ${text}`)
}

describe('profiles', () => {
  test('a job that names one: {{profile.x}} is its value, whose own refs are filled in from the job', () => {
    const found = job(file({ ...WEB, profile: 'large' }))
    expect(found.task.resources.ram).toBe(1_073_741_824)
    expect(found.task.processes[0]?.cmdline).toBe('run prod')
  })

  test('the name of the profile may be a variable: by environment, or from the command line', () => {
    const profiles = { devel: PROFILES.small, prod: PROFILES.large }
    const tree = { profiles, jobs: [{ ...WEB, profile: '{{environment}}', environments: ['devel', 'prod'] }] }
    expect(job(tree, 'devel').task.processes[0]?.cmdline).toBe('run debug')
    expect(job(tree, 'prod').task.processes[0]?.cmdline).toBe('run prod')
    const asked = file({ ...WEB, profile: '{{size}}' }, { bind: { size: 'small' } })
    expect(job(asked).task.processes[0]?.cmdline).toBe('run debug')
    expect(job(asked, 'prod', [{ size: 'large' }]).task.processes[0]?.cmdline).toBe('run prod')
  })

  test('the command line beats the job, the job beats the profile, the profile beats the file, value by value', () => {
    const task = { ...TASK, processes: [{ name: 'main', cmdline: '{{profile.level}} {{profile.ram}} {{profile.x}}' }] }
    const tree = file(
      { ...WEB, task, profile: 'small', bind: { profile: { level: 'job' } } },
      { bind: { profile: { x: 'file', ram: 'file' } } },
    )
    const found = job(tree, 'prod', [{ profile: { ram: '32MB' } }])
    expect(found.task.processes[0]?.cmdline).toBe('job 32MB file')
    expect(found.task.resources.ram).toBe(33_554_432)
  })

  test('one job alone may have profiles beside its fields', () => {
    expect(job({ ...WEB, profiles: PROFILES, profile: 'small' }).task.processes[0]?.cmdline).toBe('run debug')
  })

  test.each<[string, Struct, string[]]>([
    [
      'mistyped: what was meant, and what there is',
      { profile: 'smal' },
      ["jobs[0].profile: There is no profile 'smal'; did you mean small? The file has small, large"],
    ],
    ['no name', { profile: 3 }, ['jobs[0].profile: profile is the name of one of the profiles of the file']],
    [
      'named by a variable that nobody binds',
      { profile: '{{size}}' },
      ['jobs[0].profile: Unbound variable {{size}}: bind it in the file or with --bind size=VALUE'],
    ],
    [
      'not chosen: said at each ref',
      {},
      [
        'jobs[0].task.processes[0].cmdline: Unbound variable {{profile.level}}: choose one of the profiles of the file with profile: NAME, or give --bind profile.level=VALUE',
        'jobs[0].task.resources.ram: Unbound variable {{profile.ram}}: choose one of the profiles of the file with profile: NAME, or give --bind profile.ram=VALUE',
      ],
    ],
  ])('%s', (_, more, expected) => {
    expect(faults(file({ ...WEB, ...more }))).toEqual(expected)
  })

  test('a value that the profile does not have: the ref, what to do, and the one that is near', () => {
    const task = { ...TASK, processes: [{ name: 'main', cmdline: '{{profile.levle}}' }] }
    expect(faults(file({ ...WEB, task, profile: 'small' }))).toEqual([
      'jobs[0].task.processes[0].cmdline: Unbound variable {{profile.levle}}: bind it in the file or with --bind profile.levle=VALUE; did you mean {{profile.level}}?',
    ])
  })

  test('shapes that are none are refused where they stand', () => {
    const found = readJobFile({ profiles: { small: 3 }, bind: [], jobs: [{ ...WEB, environment: 'prod' }] })
    const texts = found.ok ? [] : found.faults.map(({ path, text }) => `${pathText(path)}: ${text}`)
    expect(texts.slice(0, 2)).toEqual([
      'bind: bind is a map from the name of each variable to its value',
      'profiles.small: Profile small is a map of values, used as {{profile.NAME}}',
    ])
  })
})

describe('environments', () => {
  const ENVIRONMENTS = {
    devel: { profile: 'small' },
    prod: { profile: 'large', instances: 4, constraints: { rack: 'a', host: null } },
  }
  const WIDE = { ...WEB, instances: 2, constraints: { host: 'limit:1' }, environments: ENVIRONMENTS }

  test('each is a job of its own: maps are merged, other values replaced, an empty value takes a field away', () => {
    expect(job(file(WIDE), 'devel')).toMatchObject({ instances: 2, constraints: { host: 'limit:1' } })
    expect(job(file(WIDE), 'prod')).toMatchObject({ environment: 'prod', instances: 4, constraints: { rack: 'a' } })
    expect(job(file(WIDE), 'prod').constraints).toEqual({ rack: 'a' })
    expect(overlay({ a: 1 }, { a: { b: null, c: 2 }, d: { e: null } })).toEqual({ a: { c: 2 }, d: {} })
    expect(overlay({ a: { b: 1, c: [1, 2] } }, { a: { c: [3] } })).toEqual({ a: { b: 1, c: [3] } })
  })

  test('all of them in one file: a key for each job in each environment', () => {
    const tree = { profiles: PROFILES, jobs: [WIDE, { ...WEB, name: 'api', environment: 'test', profile: 'small' }] }
    const found = readJobFile(tree)
    expect(found.ok && found.jobs.map(each => fullKeyText(each.key))).toEqual([
      'c/www/devel/web',
      'c/www/prod/web',
      'c/www/test/api',
    ])
  })

  test('an environment may lie in another cluster, and the job may be all of the file', () => {
    const tree = {
      ...WEB,
      profiles: PROFILES,
      profile: 'small',
      environments: { prod: { cluster: 'west' }, devel: null },
    }
    const west = readJobOf(tree, { ...KEY, cluster: 'west' })
    expect(west.ok && fullKeyText(west.job.key)).toBe('west/www/prod/web')
    expect(job(tree, 'devel').cluster).toBe('c')
  })

  test('one job in several environments may leave its name and role to the key', () => {
    const { name: _, role: __, cluster: ___, ...open } = WIDE
    expect(job({ ...open, profiles: PROFILES }, 'prod')).toMatchObject({ name: 'web', role: 'www', cluster: 'c' })
  })

  test('no environment of the key: the keys that the file has, and the one that is near', () => {
    expect(faults(file(WIDE), 'prd')).toEqual([
      'jobs: Could not find job c/www/prd/web. Candidates are: c/www/devel/web, c/www/prod/web; did you mean c/www/prod/web?',
    ])
    expect(faults(file(WIDE), 'staging')[0]).not.toContain('did you mean')
  })

  test('a fault of one environment does no harm to another, and leads to where it is written', () => {
    const tree = file({ ...WIDE, environments: { ...ENVIRONMENTS, devel: { profile: 'small', instances: 'many' } } })
    expect(faults(tree, 'prod')).toEqual([])
    expect(faults(tree, 'devel')).toEqual(["jobs[0].environments.devel.instances: Cannot coerce 'many' to Integer"])
  })

  test('environments without a shape do no harm to other jobs, nor one of them to its neighbours', () => {
    const api = { ...WEB, name: 'api', environments: 3 }
    expect(faults({ profiles: PROFILES, jobs: [api, WIDE] })).toEqual([])
    const half = { ...WIDE, environments: { ...ENVIRONMENTS, test: 3 } }
    expect(faults(file(half))).toEqual([])
    expect(faults(file(half), 'test')[0]).toContain('jobs[0].environments.test: What is different in test is a map')
    expect(faults({ profiles: PROFILES, jobs: [api, WIDE] }, 'x')[1]).toContain('jobs[0].environments: environments is')
  })

  test('two jobs of one key: told when all are listed', () => {
    const twice = [{ ...WEB, environment: 'prod', profile: 'small' }, WIDE]
    const listed = listJobs({ profiles: PROFILES, jobs: twice })
    expect(listed.ok ? [] : listed.faults.map(({ text }) => text)).toEqual([
      'Several jobs of the file are c/www/prod/web',
    ])
  })

  test('a fault that all of them share is told once', () => {
    const found = readJobFile(file({ ...WIDE, priority: 'high' }))
    expect(found.ok ? [] : found.faults.map(({ path }) => pathText(path))).toEqual(['jobs[0].priority'])
  })

  test('a job whose key is hidden by its faults: they are told when no key fits', () => {
    const found = faults(
      { profiles: PROFILES, jobs: [{ ...WEB, name: '{{nme}}', environment: 'test', profile: 'small' }, WIDE] },
      'x',
    )
    expect(found[0]).toContain('Could not find job c/www/x/web')
    expect(found[1]).toContain('jobs[0].name: Unbound variable {{nme}}')
  })

  test.each<[string, Struct, string]>([
    ['both', { environment: 'prod' }, 'jobs[0].environments: A job has either environment or environments, not both'],
    ['none', { environments: {} }, 'jobs[0].environments: environments is a map from the name of each'],
    [
      'no map',
      { environments: { prod: 3 } },
      'jobs[0].environments.prod: What is different in prod is a map of fields',
    ],
    [
      'nested',
      { environments: { prod: { environment: 'x' } } },
      'jobs[0].environments.prod.environment: The environment is prod here: remove environment',
    ],
    [
      'an unknown field',
      { environments: { prod: { profile: 'small', instnces: 3 } } },
      'jobs[0].environments.prod.instnces: Unknown schema attribute instnces; did you mean instances?',
    ],
  ])('%s: refused where it stands', (_, more, text) => {
    expect(faults(file({ ...WIDE, ...more }))[0]).toContain(text)
  })
})

test('a list of jobs is a job file too; anything else is told what one is', () => {
  expect(job([{ ...WEB, environment: 'prod', bind: { profile: PROFILES.small } }]).name).toBe('web')
  for (const tree of [[], 'text', 3, null]) expect(jobParts(tree).faults[0]?.text).toContain('A job file holds one job')
})

test('a bind that nothing refers to is named, unless refs are put together from others', () => {
  const tree = file({ ...WEB, profile: 'small', contact: '{{who}}' })
  expect(unusedBinds(tree, [{ who: 'a' }, { profile: { ram: '1GB', rma: '2GB' } }, { instances: '3' }])).toEqual([
    'profile.rma',
    'instances',
  ])
  expect(unusedBinds({ ...tree, x: '{{a{{who}}}}' }, [{ instances: '3' }])).toEqual([])
})
