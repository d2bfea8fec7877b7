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
