import { expect, test } from 'vitest'
import { agentId, configId, taskId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { AgentRow } from '../../../src/core/ledger/rows.ts'
import { Tables } from '../../../src/core/ledger/tables.ts'
import type { RowChange } from '../../../src/core/ledger/transaction.ts'
import { Matcher } from '../../../src/core/scheduling/matcher.ts'
import { agentRow, configRow, putAgent, putConfig, putTask, taskRow } from '../../fixtures/rows.ts'

const HOSTS = 5_000

test('sched-94: one attribute of one host changes among 5,000: a handful of verdicts is worked out again, not all', () => {
  const tables = new Tables()
  const overhead = { cpusMilli: 10, ramMb: 8, diskMb: 0, gpus: 0 }
  const matcher = new Matcher({ view: tables, overhead, offerOrder: ['RANDOM'], random: prng(1) })
  const put = (...changes: RowChange[]): void => {
    for (const { change, before } of tables.apply(changes)) matcher.apply(change, before)
  }
  const host = (n: number, rack: string): AgentRow =>
    agentRow(`a${n}`, {
      attributes: [
        { name: 'host', values: [`h${n}`] },
        { name: 'rack', values: [rack] },
      ],
    })
  put(...Array.from({ length: HOSTS }, (_, n) => putAgent(host(n, `r${n % 100}`))))
  for (let n = 0; n < HOSTS; n++) matcher.agentUp(agentId(`a${n}`))

  const value = (name: string, negated: boolean, of: string) =>
    ({ name, rule: { type: 'value', negated, values: [of] } }) as const
  const shapes = [
    [value('rack', false, 'moved')],
    [value('rack', false, 'elsewhere'), value('host', true, 'h0')],
    [value('host', false, 'nobody')],
    [value('host', false, 'h7'), value('rack', true, 'r7')],
  ]
  shapes.forEach((constraints, n) => {
    const job = { role: 'r', environment: 'prod', name: `job${n}` }
    put(
      putConfig(configRow(`c${n}`, { job, constraints, ports: [] })),
      putTask(taskRow(`t${n}`, { job, configId: configId(`c${n}`) })),
    )
  })
  const attempt = (n: number) => matcher.match({ configId: configId(`c${n}`), taskIds: [taskId(`t${n}`)] }, 0)
  const judgedBy = (work: () => void): number => {
    const before = matcher.shapes.judged
    work()
    return matcher.shapes.judged - before
  }
  const nowhere = (...of: readonly number[]): void => {
    for (const n of of) expect(attempt(n).placed).toEqual([])
  }
  const all = (): void => nowhere(0, 1, 2, 3)
  // Racks are judged rack by rack, host names host by host.
  expect(judgedBy(all)).toBeGreaterThan(HOSTS)
  expect(judgedBy(all)).toBe(0)

  put(putAgent(host(42, 'moved')))
  expect(judgedBy(() => expect(attempt(0).placed.map(match => match.agentId)).toEqual(['a42']))).toBeLessThanOrEqual(1)
  expect(judgedBy(() => nowhere(1, 2, 3))).toBeLessThanOrEqual(shapes.length)
})
