import { expect, test } from 'vitest'
import { agentUnderTest } from '../../fixtures/agent-under-test.ts'
import { taskInfo } from '../../fixtures/fake-leader.ts'

test('a launch of one process: acknowledged, STARTING, RUNNING, then FINISHED with its output in a file', async () => {
  const { leader, log } = await agentUnderTest()
  await leader.ready()
  const t0 = performance.now()
  leader.launch('t-1', taskInfo([{ name: 'hello', cmdline: 'echo hello; echo oops >&2' }]))
  await leader.status('t-1', 'RUNNING')
  const t1 = performance.now()
  const end = await leader.status('t-1', 'FINISHED')
  console.log('to running', t1 - t0, 'to finished', performance.now() - t0)
  expect(end.message).toBe('Task finished.')
  expect(leader.statuses('t-1')).toEqual(['STARTING#1', 'RUNNING#2', 'FINISHED#3'])
  expect(log('t-1', 'hello')).toBe('hello\n')
  expect(log('t-1', 'hello', 0, 'stderr')).toBe('oops\n')
})
