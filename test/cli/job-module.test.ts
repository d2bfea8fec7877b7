/** Job files that are programs: what they may be, and what is said when they fail. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readJobModule } from '../../src/cli/job-module.ts'
import { plainValues } from '../../src/core/job/plain-values.ts'
import { daybreak } from './terminal.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'daybreak-modules-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const write = (files: Record<string, string>): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}
const read = (name: string, bind = {}) => readJobModule(join(folder, name), { bind, key: null }, { limitMs: 60_000 })
const inspect = (name: string, more = '', moduleMs?: number) => {
  return daybreak(
    `job inspect c/www/prod/web ${join(folder, name)} ${more}`,
    null,
    moduleMs === undefined ? {} : { moduleMs },
  )
}
const TASK = `{ processes: [{ name: 'main', cmdline: 'run {{mesos.instance}}' }], resources: { cpu: 1, ram: '64MB', disk: '64MB' } }`

describe('a job file that is a program', () => {
  test.each([
    ['web.js', `export default { task: ${TASK} }`],
    ['web.mjs', `export const jobs = [{ name: 'web', task: ${TASK} }]`],
    ['web.cjs', `const { join } = require('node:path')\nmodule.exports = { contact: join('a', 'b'), task: ${TASK} }`],
    [
      'web.ts',
      `import { defineJobFile } from 'daybreak'\nexport default defineJobFile([{ name: 'web', task: ${TASK} }])`,
    ],
    [
      'web.mts',
      `const count: number = await Promise.resolve(3)\nexport default async () => ({ instances: count, task: ${TASK} })`,
    ],
  ])('%s: its jobs are read like those of any other file', async (name, text) => {
    write({ [name]: text })
    const ran = await inspect(name, '--json')
    expect(ran.err).toBe('')
    expect(ran.json()).toMatchObject({ key: { role: 'www', environment: 'prod', name: 'web' } })
  })

  test('a function is told the binds and the key, and binds fill in references as ever', async () => {
    const task = TASK.replace('run', '{{greeting}}')
    write({
      'web.ts': `export default ({ bind, key }) => ({ instances: Number(bind.count), contact: key.name, task: ${task} })`,
    })
    const ran = await inspect('web.ts', '--bind count=4 --bind greeting=hi --json')
    expect(ran.err).toBe('')
    expect(ran.json()).toMatchObject({ instanceCount: 4, task: { contactEmail: 'web' } })
    expect(ran.out).toContain('hi {{mesos.instance}}')
  })

  test('it imports files, JSON, packages beside it and parts of Node, and knows where it lies', async () => {
    write({
      'lib/sizes.ts': 'export enum Size { Small = "64MB" }\nexport const ram: Size = Size.Small',
      'data.json': '{"instances": 3}',
      'node_modules/old-package/package.json': '{"name": "old-package", "main": "main.js"}',
      'node_modules/old-package/main.js': "module.exports = require('util').format('%s!', 'old')",
      'web.ts': [
        "import { basename } from 'node:path'",
        "import old from 'old-package'",
        "import data from './data.json'",
        "import { ram } from './lib/sizes.ts'",
        'export default { ...data, contact: basename(import.meta.dirname) + old, ram, here: import.meta.filename }',
      ].join('\n'),
    })
    const found = await read('web.ts')
    expect(found).toMatchObject({ ok: true, tree: { instances: 3, ram: '64MB', here: join(folder, 'web.ts') } })
    expect(found.ok && (found.tree as { contact: string }).contact).toMatch(/^daybreak-modules-.*old!$/)
  })

  test('what it prints goes to standard error, all of it, and timers that it leaves hold nothing up', async () => {
    write({
      'web.js': `for (let i = 0; i < 500; i++) console.log('line', i)\nsetInterval(() => {}, 1000)\nexport default { task: ${TASK} }`,
    })
    const ran = await inspect('web.js', '--json')
    expect(ran.err).toContain('line 499\n')
    expect(ran.json()).toMatchObject({ instanceCount: 1 })
  })

  test('nothing is left behind', async () => {
    write({ 'web.js': 'export default {}', 'bad.js': 'throw 1' })
    const before = readdirSync(tmpdir()).filter(name => name.startsWith('daybreak-job-'))
    await read('web.js')
    await read('bad.js')
    expect(readdirSync(tmpdir()).filter(name => name.startsWith('daybreak-job-') && !before.includes(name))).toEqual([])
  })
})

describe('a program that fails', () => {
  const faultOf = async (files: Record<string, string>, moduleMs?: number) => {
    write(files)
    const ran = await inspect(Object.keys(files)[0]!, '', moduleMs)
    expect(ran.exit).toBe(3)
    return ran.err
      .replaceAll(folder, '')
      .split('\n')
      .slice(1, -1)
      .map(line => line.trim())
  }

  test('it cannot be read as a program: file and line', async () => {
    expect(await faultOf({ 'web.ts': 'const a = 1\nconst b = = 2\n' })).toEqual(['/web.ts:2  Unexpected "="'])
  })

  test('it imports what is not there: file and line of the import', async () => {
    expect(await faultOf({ 'web.ts': "import './lib.ts'", 'lib.ts': "\nimport { x } from './sizes.ts'\nx()" })).toEqual(
      ['/lib.ts:2  Could not resolve "./sizes.ts"'],
    )
  })

  test('it throws: the error, and the line that was written, in the file it was written in', async () => {
    const lib =
      'interface Sizes {\n  ram: string\n}\n\nexport function ram(sizes?: Sizes): string {\n  return sizes!.ram\n}\n'
    expect(
      await faultOf({
        'web.ts': "import { ram } from './lib.ts'\nexport default () => ({ ram: ram() })",
        'lib.ts': lib,
      }),
    ).toEqual(["/lib.ts:6  The module failed with TypeError: Cannot read properties of undefined (reading 'ram')"])
    expect(await faultOf({ 'top.js': "\n\nthrow new Error('no such region')" })).toEqual([
      '/top.js:3  The module failed with Error: no such region',
    ])
    expect(await faultOf({ 'text.js': "throw 'just a text'" })).toEqual([
      '/text.js  The module failed with just a text',
    ])
  })

  test('it waits for a program that does not end: both are ended after a time', async () => {
    const begunMs = Date.now()
    const text = "import { execSync } from 'node:child_process'\nexecSync('sleep 40; true')\nexport default {}"
    const [told] = await faultOf({ 'web.js': text }, 300)
    expect(told).toContain('The module was ended after 0.3 s')
    expect(Date.now() - begunMs).toBeLessThan(15_000)
  })

  test('it loops: ended after a time, named with the line it loops in', async () => {
    const lib =
      'export function sum(all: number[]): number {\n  let i = 0\n  while (i < 1 || all.length > 0) i += 1\n  return i\n}'
    expect(
      await faultOf({ 'web.ts': "import { sum } from './lib.ts'\nexport default () => sum([1])", 'lib.ts': lib }, 500),
    ).toEqual(['/lib.ts:3  The module was ended after 0.5 s: it loops, or has too much to do'])
    expect(await faultOf({ 'top.js': '\nfor (;;) {}' }, 500)).toEqual([
      '/top.js:2  The module was ended after 0.5 s: it loops, or has too much to do',
    ])
  })

  test('it waits for too long: ended after a time, and named', async () => {
    expect(await faultOf({ 'web.js': 'await new Promise(done => setTimeout(done, 600_000))' }, 500)).toEqual([
      '/web.js  The module was ended after 0.5 s: it waits for something that does not come',
    ])
  })

  test('it ends the program, or waits for what never comes: named', async () => {
    const text =
      '/web.js  The module ended without jobs: it calls process.exit, or waits for something that never comes'
    expect(await faultOf({ 'web.js': 'process.exit(0)' })).toEqual([text])
    expect(await faultOf({ 'web.js': 'export default () => new Promise(() => {})' })).toEqual([text])
  })

  test('it wants all of the memory: ended, and named', async () => {
    write({ 'web.js': 'const all = []\nfor (;;) all.push(new Array(1000).fill({}))' })
    const found = await readJobModule(
      join(folder, 'web.js'),
      { bind: {}, key: null },
      { memoryMb: 32, limitMs: 60_000 },
    )
    expect(found).toMatchObject({
      ok: false,
      faults: [{ text: 'The module was ended: it wants more than 32 MB of memory' }],
    })
  })

  test('it exports no jobs: what it exports, and what is wanted', async () => {
    expect((await faultOf({ 'web.js': 'export const job = 1, task = 2' }))[0]).toContain(
      '/web.js  The module exports job, task, and no jobs: export as its default a job',
    )
  })

  test('it is not there: said as of any other file', async () => {
    const ran = await inspect('none.ts')
    expect(ran.err).toBe(`error: Error loading configuration: ${join(folder, 'none.ts')}: there is no such file\n`)
  })

  test('its jobs have faults: file and path', async () => {
    expect(await faultOf({ 'web.js': `export default [{ name: 'web', contact: '{{who}}', task: ${TASK} }]` })).toEqual([
      '/web.js  [0].contact: Unbound variable {{who}}: bind it in the file or with --bind who=VALUE',
    ])
  })

  test('values that no job has: each with its path', async () => {
    const made = `{ name: 'web', contact: () => 'me', priority: 3n, task: ${TASK} }`
    expect(await faultOf({ 'web.js': `export default [${made}]` })).toEqual([
      '/web.js  [0].contact: A function is no value of a job: call it',
      '/web.js  [0].priority: A bigint is no value of a job: write it as a text',
    ])
  })
})

test('plain values: what JSON can say, anything else is a fault with its path', () => {
  const circle: Record<string, unknown> = {}
  circle.inner = { circle }
  const found = plainValues({
    a: [1, undefined, null],
    b: undefined,
    c: new Date(0),
    d: new Map(),
    e: Number.NaN,
    f: Promise.resolve(1),
    g: circle,
    h: Object.create(null),
  })
  expect(found.tree).toMatchObject({ a: [1, null, null], h: {} })
  expect(Object.keys(found.tree as object)).not.toContain('b')
  expect(found.faults.map(({ path, text }) => `${path.join('.')}: ${text}`)).toEqual([
    'c: A Date is no value of a job: write it as a text, a list or a plain object',
    'd: A Map is no value of a job: write it as a text, a list or a plain object',
    'e: NaN is no number',
    'f: A promise is no value of a job: wait for what it gives',
    'g.inner.circle: It contains itself',
  ])
})
