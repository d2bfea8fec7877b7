import { expect, test } from 'vitest'
import { type Metrics, silentMetrics } from '../../src/actors/ports.ts'
import { agentRow, HELLO, putAgent } from '../fixtures/rows.ts'
import { TaskLeader } from '../fixtures/task-leader.ts'

test('tasks that are LOST or FAILED are counted by job, LOST ones by rack and owner of the machine too', async () => {
  const counted: string[] = []
  const metrics: Metrics = {
    ...silentMetrics,
    count: (name, by, labels) =>
      void (/^tasks_(LOST|FAILED|lost)/.test(name) && counted.push(`${name} ${by} ${JSON.stringify(labels)}`)),
  }
  const leader = await TaskLeader.start({ metrics })
  await leader.create({ instanceCount: 3 })
  const [failed, lost, finished] = [await leader.run(0), await leader.run(1), await leader.run(2)]
  const { agentId } = leader.ledger.view.task(lost)!
  const attributes = [
    { name: 'dedicated', values: ['*/gpu', 'ads/bids'] },
    { name: 'rack', values: ['r7'] },
  ]
  await leader.put([putAgent(agentRow(agentId!, { attributes }))])
  leader.propose(finished, 'FINISHED')
  leader.propose(failed, 'FAILED')
  await leader.sim.settle()
  leader.propose(lost, 'LOST')
  leader.propose(lost, 'LOST')
  await leader.sim.settle()
  const job = JSON.stringify({ job: `${HELLO.role}/${HELLO.environment}/${HELLO.name}` })
  expect(counted).toEqual([
    `tasks_FAILED 1 ${job}`,
    `tasks_LOST 1 ${job}`,
    'tasks_lost_rack 1 {"rack":"r7"}',
    'tasks_lost_dedicated 1 {"role":"_"}',
    'tasks_lost_dedicated 1 {"role":"ads"}',
  ])
  expect(leader.sim.failures).toEqual([])
  await leader.sim.stop()
})
