import { expect, test } from 'vitest'
import { offerBrokerSpec, type RoundResult } from '../../src/actors/offer-broker.ts'
import { silentMetrics } from '../../src/actors/ports.ts'
import { createSimSystem } from '../../src/actors/sim-shell.ts'
import { agentId, configId, taskId } from '../../src/core/base/ids.ts'
import { ADMISSION_SETTINGS } from '../../src/core/job/admission.ts'
import { InstantLedger } from '../fixtures/instant-ledger.ts'
import { agentRow, configRow, HELLO, putAgent, putConfig, putTask, taskRow } from '../fixtures/rows.ts'

function world(evaluationsPerTurn: number) {
  const counted = new Map<string, number>()
  const sim = createSimSystem({ seed: 1 })
  const ledger = new InstantLedger()
  const woken: string[] = []
  const broker = sim.spawn(
    offerBrokerSpec({
      ledger,
      metrics: { ...silentMetrics, count: (name, by = 1) => void counted.set(name, (counted.get(name) ?? 0) + by) },
      overhead: { cpusMilli: 10, ramMb: 8, diskMb: 0, gpus: 0 },
      offerOrder: ['RANDOM'],
      tiers: ADMISSION_SETTINGS.tiers,
      unavailabilityThresholdMs: 360_000,
      isConnected: () => false,
      dedicated: () => ({ version: 7, misplaced: () => [], checkJob: () => null }),
      onWake: configIds => void woken.push(...configIds),
      onRestart: () => {},
      publish: () => {},
      evaluationsPerTurn,
    }),
  )
  for (const id of ['h1', 'h2', 'h3']) {
    ledger.put(putAgent(agentRow(id)))
    broker.tell({ type: 'agentUp', agentId: agentId(id) })
  }
  const answers: RoundResult[] = []
  const replyTo = sim.function<RoundResult>('answers', answer => void answers.push(answer))
  const want = (config: string, count: number, cores = 0.1, gang?: number) => {
    const job = { ...HELLO, name: config }
    const resources = { cpusMilli: cores * 1000, ramMb: 64, diskMb: 64, gpus: 0 }
    const taskIds = Array.from({ length: count }, (_, i) => taskId(`${config}-${i}`))
    ledger.put(
      putConfig(configRow(config, { job, resources, ports: [], ...(gang === undefined ? undefined : { gang }) })),
      ...taskIds.map((id, instance) => putTask(taskRow(id, { job, instance, configId: configId(config) }))),
    )
    return { configId: configId(config), taskIds }
  }
  const turns = () => sim.inspection.actor('/offer-broker')?.processed ?? 0
  const holds = () => sim.inspection.actor('/offer-broker')?.stateSummary.holds
  return { sim, broker, ledger, woken, counted, answers, replyTo, want, turns, holds }
}

test('a round with more hosts to look at than one turn may: goes on in the next turns, answered once, in order', () => {
  const { sim, broker, answers, replyTo, want, turns } = world(1)
  const wants = Array.from({ length: 5 }, (_, i) => want(`c${i}`, 2))
  sim.run()
  const before = turns()
  broker.tell({ type: 'matchRound', roundId: 1, wants, replyTo })
  broker.tell({ type: 'matchRound', roundId: 2, wants: [want('last', 1)], replyTo })
  sim.run()
  expect(turns() - before).toBeGreaterThanOrEqual(6)
  expect(answers.map(answer => [answer.roundId, answer.dedicatedVersion])).toEqual([
    [1, 7],
    [2, 7],
  ])
  expect(answers[0]?.groups.map(group => [group.configId, group.placed.length])).toEqual(
    wants.map(({ configId: id }) => [id, 2]),
  )
})

test('an agent lost between two turns of a round: a gang that is too small without it is taken back whole', () => {
  const { sim, broker, answers, replyTo, want, holds } = world(1)
  const gang = want('a', 3, 0.1, 3)
  const wants = [gang, want('b', 1)]
  sim.run()
  broker.tell({ type: 'matchRound', roundId: 1, wants, replyTo })
  broker.tell({ type: 'agentDown', agentId: agentId('h2') })
  sim.run()
  expect(answers[0]?.groups[0]).toMatchObject({ placed: [], unplaced: gang.taskIds })
  expect(holds()).toBe(1)
})

test('an agent lost between two turns of a round: what was matched there is taken back, the rest stands', () => {
  const { sim, broker, answers, replyTo, want, holds } = world(1)
  const wants = [want('a', 3), want('b', 1)]
  sim.run()
  broker.tell({ type: 'matchRound', roundId: 1, wants, replyTo })
  broker.tell({ type: 'agentDown', agentId: agentId('h2') })
  sim.run()
  const [first] = answers[0]!.groups
  expect(first?.placed.map(match => match.agentId).sort()).toEqual(['h1', 'h3'])
  expect(first?.unplaced).toHaveLength(1)
  expect(holds()).toBe(3)
})

test('room that came before a round was matched does not wake its groups again; room that came after does', () => {
  const { sim, broker, ledger, woken, replyTo, want } = world(20_000)
  const wants = [want('big', 1, 8)]
  broker.tell({ type: 'matchRound', roundId: 1, wants, replyTo })
  sim.run()
  expect(woken).toEqual([])
  const total = { cpusMilli: 16_000, ramMb: 8192, diskMb: 65_536, gpus: 0 }
  ledger.put(putAgent(agentRow('h2', { total })))
  sim.run()
  expect(woken).toEqual(['big'])
})

test('what hosts object to is counted by kind, a host once for each try', () => {
  const { sim, broker, ledger, answers, replyTo, want, counted } = world(1_000)
  ledger.put(putAgent(agentRow('h3', { mode: 'DRAINING' })))
  const wants = [want('large', 2, 1_000)]
  broker.tell({ type: 'matchRound', roundId: 1, wants, replyTo })
  sim.run()
  expect(answers).toHaveLength(1)
  expect([...counted].filter(([name]) => name.startsWith('scheduling_veto_')).sort()).toEqual([
    ['scheduling_veto_dynamic', 2],
    ['scheduling_veto_insufficient_resources', 2],
    ['scheduling_veto_maintenance', 1],
    ['scheduling_veto_static', 1],
  ])
})
