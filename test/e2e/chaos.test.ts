/** A short round of chaos: the long one is `npm run chaos`. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runChaos } from '../chaos/chaos.ts'
import { temporaryFolder } from '../fixtures/real-node.ts'

let folder: ReturnType<typeof temporaryFolder>
const stopping = new AbortController()

beforeAll(() => {
  folder = temporaryFolder()
})
afterAll(() => {
  stopping.abort(new Error('the test is over'))
  folder.remove()
})

test('leader frozen, two killed in a take-over, a byte of a record flipped: nothing acknowledged is lost, doubled, reordered or stale; digests are equal', {
  timeout: 180_000,
}, async () => {
  const plan = ['freeze-leader', 'kill-in-take-over', 'flip-record'] as const
  const said: string[] = []
  const result = await runChaos({
    seed: 1,
    nodes: 3,
    folder: folder.path,
    faultsForMs: 0,
    plan,
    say: line => void said.push(line),
    stopped: stopping.signal,
  })
  expect(result.violations, said.join('\n')).toEqual([])
  expect([...result.faults.keys()].sort()).toEqual([...plan].sort())
  expect(result.checked).toHaveLength(3)
  expect(result.acknowledged).toBeGreaterThan(20)
})
