import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  interpolate,
  interpolateTree,
  isLaunchRef,
  launchScope,
  parseRef,
  refsIn,
  type Struct,
  scopeOf,
} from '../../../src/core/job/template.ts'

const filled = (text: string, fields: Struct) => interpolate(text, scopeOf(fields)).text

describe('refs', () => {
  test.each([
    ['foo', true],
    ['foo.bar', true],
    ['foo[0].bar[a-b/c.d]', true],
    ['thermos.ports[http]', true],
    ['', false],
    [' foo', false],
    ['foo ', false],
    ['.foo', false],
    ['foo..bar', false],
    ['foo[a]b', false],
    ['[a]', false],
    ['foo[]', false],
    ['1foo', false],
  ])('%s is a ref: %s', (text, is) => {
    expect(parseRef(text) !== null).toBe(is)
  })

  test('an unreadable ref is a fault that shows the way to write the text itself', () => {
    const done = interpolate("docker ps --format '{{.Names}}'", scopeOf({}))
    expect(done.faults).toHaveLength(1)
    expect(done.faults[0]).toContain('{{&.Names}}')
    expect(done.unbound).toEqual([])
  })

  test('{{}} and unbalanced braces are literal', () => {
    for (const text of ['{{}}', 'a }} b {{ c', '{{foo', 'if { x; }', '$x', '{{{}}}']) {
      expect(interpolate(text, scopeOf({ foo: 'no' }))).toEqual({ text, unbound: [], faults: [] })
    }
  })
})

describe('filling in', () => {
  test('a value may hold refs, and a ref may be made of refs', () => {
    expect(filled('{{a}}', { a: '{{b}}', b: '{{c}}', c: 'end' })).toBe('end')
    expect(filled('{{a{{b}}}}', { b: '1', a1: 'one' })).toBe('one')
    expect(filled('{{{a}}}', { a: 'x' })).toBe('{x}')
  })

  test('numbers and booleans are written out, structs and lists stand for no text', () => {
    expect(filled('{{n}} {{b}}', { n: 1.5, b: true })).toBe('1.5 true')
    expect(interpolate('{{s}} {{l}}', scopeOf({ s: { x: 1 }, l: [1] })).unbound).toEqual(['l', 's'])
  })

  test('unbound refs are named, sorted, each once, and stay in the text', () => {
    const done = interpolate('{{b}} {{a}} {{b}}', scopeOf({}))
    expect(done).toEqual({ text: '{{b}} {{a}} {{b}}', unbound: ['a', 'b'], faults: [] })
  })

  test('a text that refers to itself is a fault', () => {
    for (const fields of [{ a: '{{a}}' }, { a: '{{b}}', b: 'x{{a}}' }, { a: '{{b}}{{b}}', b: '{{a}}{{a}}' }]) {
      const done = interpolate('{{a}}', scopeOf(fields))
      expect(done.faults.join()).toContain('Maximum replacements reached.')
    }
    const bound = interpolate('{{a}}', scopeOf({}, null, [{ a: '{{a}}' }]))
    expect(bound.faults).toEqual(['Unable to interpolate {{a}}!  Maximum replacements reached.'])
  })

  test('values that double each other end as a fault, not in a full memory', () => {
    const fields: Record<string, string> = { a0: 'x'.repeat(64) }
    for (let n = 1; n <= 40; n++) fields[`a${n}`] = `{{a${n - 1}}}{{a${n - 1}}}`
    const done = interpolate('{{a40}}', scopeOf(fields))
    expect(done.faults.join()).toContain('Unable to interpolate')
    expect(done.text.length).toBeLessThan(3_000_000)
  })

  test('names of Object.prototype are no values', () => {
    expect(interpolate('{{constructor}} {{a.__proto__}}', scopeOf({ a: {} })).unbound).toEqual([
      'a.__proto__',
      'constructor',
    ])
  })
})

describe('scopes', () => {
  const job = scopeOf({ name: 'job', role: 'www', env: '{{environment}}', environment: 'devel' }, null, [
    { who: 'job-bind' },
  ])
  const task = scopeOf({ name: 'task', bind: { who: 'task-bind', name: 'never' } }, job)
  const process = scopeOf({ name: 'process' }, task)

  test.each([
    ['{{name}}', 'process'],
    ['{{self.name}}', 'process'],
    ['{{super.name}}', 'task'],
    ['{{super.super.name}}', '{{super.super.name}}'],
    ['{{role}}', 'www'],
    ['{{who}}', 'task-bind'],
    ['{{env}}', 'devel'],
  ])('%s in a process is %s', (text, expected) => {
    expect(interpolate(text, process).text).toBe(expected)
  })

  test('the latest bind is found first', () => {
    expect(interpolate('{{x}}', scopeOf({}, null, [{ x: 'late' }, { x: 'early' }])).text).toBe('late')
  })

  test("a field's own refs are looked up where the field lives", () => {
    const fields = { name: '{{task.name}}', task: { name: '{{processes[0].name}}', processes: [{ name: 'main' }] } }
    expect(filled('{{name}}', fields)).toBe('main')
  })

  test('a profile is a bound struct, and its values may be templated by its own fields and by the asker', () => {
    const profile = { base: '/srv/{{role}}', logs: '{{base}}/logs' }
    const asking = scopeOf({ role: 'www' }, null, [{ profile }])
    expect(interpolate('{{profile.logs}}', asking).text).toBe('/srv/www/logs')
  })
})

describe('the escape', () => {
  test('{{&x}} survives client and agent and comes out as {{x}}', () => {
    const atClient = interpolate(
      "docker --format '{{&.Names}}' {{image}} {{mesos.instance}}",
      scopeOf({ image: 'web' }),
    )
    expect(atClient.text).toBe("docker --format '{{&.Names}}' web {{mesos.instance}}")
    const scope = launchScope({ instance: 2, hostname: 'h', taskId: 't', ports: {} })
    const atAgent = interpolate(atClient.text, scope, { unescape: true })
    expect(atAgent).toEqual({ text: "docker --format '{{.Names}}' web 2", unbound: [], faults: [] })
  })

  test('an escaped ref is no ref, bound or not', () => {
    expect(interpolate('{{&a}}', scopeOf({ a: 'x' }))).toEqual({ text: '{{&a}}', unbound: [], faults: [] })
    expect(refsIn('{{&a}} {{b}}')).toEqual(['b'])
  })
})

describe('at the launch', () => {
  const scope = launchScope({ instance: 2, hostname: 'worker-1', taskId: 't-1', ports: { http: 31_000, 'a/b.c': 1 } })

  test('given assigned ports {http: 31000} and instance 2, the command line is complete', () => {
    const done = interpolate('run -p {{thermos.ports[http]}} -i {{mesos.instance}}', scope, { unescape: true })
    expect(done.text).toBe('run -p 31000 -i 2')
  })

  test('a port that has no number is named', () => {
    expect(interpolate('{{thermos.ports[admin]}}', scope).unbound).toEqual(['thermos.ports[admin]'])
  })

  test('every text of a struct is filled in', () => {
    const done = interpolateTree({ a: ['{{mesos.hostname}}', 1], b: { c: '{{thermos.task_id}} {{x}}' } }, scope)
    expect(done).toEqual({ tree: { a: ['worker-1', 1], b: { c: 't-1 {{x}}' } }, unbound: ['x'], faults: [] })
  })

  test.each([
    ['mesos.instance', true],
    ['mesos.hostname', true],
    ['thermos.task_id', true],
    ['thermos.ports[a/b.c]', true],
    ['thermos.ports', false],
    ['thermos.user_id', false],
    ['mesos.role', false],
  ])('%s is bound by a launch: %s', (ref, is) => expect(isLaunchRef(ref)).toBe(is))
})

describe('whatever is written', () => {
  const piece = fc.oneof(
    fc.constantFrom('{{', '}}', '{', '}', '&', 'a', 'b', 'c', '.', '[', ']', ' '),
    fc.string({ maxLength: 3 }),
  )
  const anyText = fc.array(piece, { maxLength: 20 }).map(pieces => pieces.join(''))

  test('filling in ends, keeps texts without braces, and is stable once nothing is left to fill in', () => {
    fc.assert(
      fc.property(anyText, anyText, anyText, (text, a, b) => {
        const scope = scopeOf({ a, b })
        const once = interpolate(text, scope)
        if (!text.includes('{{')) expect(once.text).toBe(text)
        if (once.faults.length > 0) return
        const again = interpolate(once.text, scope)
        expect(again.text).toBe(once.text)
        expect(again.unbound).toEqual(once.unbound)
      }),
      { numRuns: 500 },
    )
  })
})
