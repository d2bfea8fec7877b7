import debug from 'debug'
import { afterEach, describe, expect, test } from 'vitest'
import { createLogger } from '../../src/runtime/logger.ts'

afterEach(() => {
  debug.disable()
})

function logged(format: 'text' | 'json', level: 'debug' | 'info' | 'warn' = 'info') {
  const lines: string[] = []
  const logger = createLogger({ format, level, write: line => lines.push(line), wallMs: () => 0 })
  return { logger, lines }
}

describe('logger', () => {
  test('text: one line with time, level, scope, event and fields; blanks in quotes', () => {
    const { logger, lines } = logged('text')
    logger.child('log').child('replica').info('opened', { path: '/a b', count: 3, name: 'x' })
    expect(lines).toEqual(['1970-01-01T00:00:00.000Z INFO  daybreak:log:replica opened path="/a b" count=3 name=x\n'])
  })

  test('text with line breaks and quotes in a field: still one line', () => {
    const { logger, lines } = logged('text')
    logger.warn('odd', { text: 'a\n"b"' })
    expect(lines[0]?.match(/\n/g)).toHaveLength(1)
  })

  test('json: one object a line, errors with their cause, big integers as text', () => {
    const { logger, lines } = logged('json')
    logger.error('failed', { cause: new Error('outer', { cause: new Error('inner') }), big: 10n })
    const line = JSON.parse(lines[0] ?? '')
    expect(line).toMatchObject({
      at: '1970-01-01T00:00:00.000Z',
      level: 'error',
      scope: 'daybreak',
      event: 'failed',
      big: '10',
    })
    expect(line.cause).toContain('outer')
    expect(line.cause).toContain('caused by Error: inner')
  })

  test('below the level: silent and said to be, unless DEBUG names the scope; warnings and errors always told', () => {
    const quiet = logged('json', 'warn')
    for (const level of ['debug', 'info', 'warn', 'error'] as const) quiet.logger[level](level)
    expect(quiet.lines.map(line => JSON.parse(line).event)).toEqual(['warn', 'error'])
    debug.enable('daybreak:log')
    const { logger, lines } = logged('json', 'warn')
    logger.child('log').debug('seen')
    logger.child('ledger').debug('unseen')
    expect(lines.map(line => JSON.parse(line).event)).toEqual(['seen'])
    const off = [quiet.logger, logger.child('log'), logger.child('ledger'), logged('json', 'debug').logger]
    expect(off.map(one => one.isDebugOff?.())).toEqual([true, false, true, false])
  })
})
