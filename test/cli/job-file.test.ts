/** Job files as the client reads them: what is said about them, and where. */
import { describe, expect, test } from 'vitest'
import { daybreak } from './terminal.ts'

const PROFILED = `profiles:
  small: {ram: 64MB}
  large: {ram: 1GB}
jobs:
  - name: web
    role: www
    profile: small
    environments:
      devel:
      prod:
        profile: large
        instances: 3
        contact: '{{owner}}'
    task:
      resources: {cpu: 1, ram: '{{profile.ram}}', disk: 64MB}
      processes:
        - name: main
          cmdline: run {{relase}}
    bind: {release: 42}
`
const inspect = (key: string, text: string, more = '') =>
  daybreak(`job inspect ${key} web.yaml ${more}`, null, { files: { 'web.yaml': text } })

describe('faults of a job file', () => {
  test('refs that nobody binds: file, line, ref and what to do, all at once', async () => {
    const ran = await inspect('c/www/prod/web', PROFILED)
    expect(ran.exit).toBe(3)
    expect(ran.err).toBe(
      [
        'error: Error loading configuration: web.yaml has 2 faults',
        '  web.yaml:13  jobs[0].environments.prod.contact: Unbound variable {{owner}}: bind it in the file or with --bind owner=VALUE',
        '  web.yaml:18  jobs[0].task.processes[0].cmdline: Unbound variable {{relase}}: bind it in the file or with --bind relase=VALUE; did you mean {{release}}?',
        '',
      ].join('\n'),
    )
  })

  test('in a text of many lines: the line of the ref', async () => {
    const text = PROFILED.replace('cmdline: run {{relase}}', 'cmdline: |\n            one\n            two {{relase}}')
    expect((await inspect('c/www/devel/web', text)).err).toContain(
      'web.yaml:20  jobs[0].task.processes[0].cmdline: Unbound',
    )
  })

  test('a Python file of the original: what job files are here, and how to get there', async () => {
    const ran = await daybreak('config list web.aurora', null, { files: { 'web.aurora': 'jobs = [Job()]' } })
    expect(ran.exit).toBe(3)
    expect(ran.err).toContain("web.aurora is a Python file of Aurora's")
    expect(ran.err).toContain('aurora job inspect --write-json')
  })

  test('bound on the command line, several of them: filled in', async () => {
    const ran = await inspect('c/www/prod/web', PROFILED, '--bind owner=ann --bind relase=43 --json')
    expect(ran.err).toBe('')
    expect(ran.json()).toMatchObject({
      instanceCount: 3,
      task: { contactEmail: 'ann', resources: { ramMb: 1024 } },
    })
  })

  test('a bind that nothing refers to: a warning, as it is most likely mistyped', async () => {
    const ran = await inspect('c/www/devel/web', PROFILED, '--bind relase=43 --bind instances=9')
    expect(ran.exit).toBe(0)
    expect(ran.err).toBe(
      'warning: --bind instances: nothing in web.yaml refers to {{instances}}, and a bind sets no field\n',
    )
  })

  test('a bind that is none is named: a usage error', async () => {
    const ran = await inspect('c/www/devel/web', PROFILED, '--bind relase')
    expect(ran).toMatchObject({ exit: 2, err: "error: Binding parameter must be formatted name=value, not 'relase'\n" })
  })

  test('a key that the file does not have: status 3, the keys that it has', async () => {
    const ran = await inspect('c/www/test/web', PROFILED, '--bind relase=43')
    expect(ran.exit).toBe(3)
    expect(ran.err).toContain(
      'web.yaml:4  jobs: Could not find job c/www/test/web. Candidates are: c/www/devel/web, c/www/prod/web',
    )
  })
})

describe('config list', () => {
  const list = (text: string, more = '', columns?: number) =>
    daybreak(`config list web.yaml ${more}`, null, {
      files: { 'web.yaml': text },
      ...(columns === undefined ? {} : { columns }),
    })
  const MANY = `${PROFILED.replace("contact: '{{owner}}'", 'service: true')}
  - {name: api, role: www, cluster: west, environment: test, every_host: true, service: true, task: {processes: [{name: a, cmdline: x}], resources: {cpu: 1, ram: 1GB, disk: 1GB}}}
`

  test('in a pipe: a key a line, in capitals what is left to the command', async () => {
    const ran = await list(MANY, '--bind relase=1')
    expect(ran).toMatchObject({
      exit: 0,
      err: '',
      out: 'CLUSTER/www/devel/web\nCLUSTER/www/prod/web\nwest/www/test/api\n',
    })
  })

  test('on a terminal: a table', async () => {
    const { out } = await list(MANY, '--bind relase=1', 100)
    expect(out).toMatch(/JOB +KIND +INSTANCES +TIER/)
    expect(out).toMatch(/CLUSTER\/www\/prod\/web +service +3 +the cluster's default/)
    expect(out).toMatch(/west\/www\/test\/api +service +every host/)
    expect(out).toContain('Parts in capitals are left to the key of the command.')
  })

  test('as JSON: which parts of the key are open', async () => {
    const ran = await list(MANY, '--bind relase=1 --json')
    expect(ran.json()).toMatchObject([
      { job: 'CLUSTER/www/devel/web', kind: 'adhoc', instances: 1, open: ['cluster'] },
      { job: 'CLUSTER/www/prod/web', kind: 'service', instances: 3, open: ['cluster'] },
      { job: 'west/www/test/api', kind: 'service', instances: null, open: [] },
    ])
  })

  test('one job that leaves all to the key', async () => {
    expect((await daybreak('config list examples/hello.yaml', null)).out).toBe('CLUSTER/ROLE/ENV/NAME\n')
  })

  test('a file with faults: status 3, each with its line, told once for all environments', async () => {
    const ran = await list(MANY)
    expect(ran.exit).toBe(3)
    expect(ran.err.match(/relase/g)).toHaveLength(2)
    expect(ran.err).toContain(
      'web.yaml has 1 fault\n  web.yaml:18  jobs[0].task.processes[0].cmdline: Unbound variable',
    )
  })
})
