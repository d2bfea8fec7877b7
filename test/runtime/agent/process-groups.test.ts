import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { environmentOf, processStat, TICKS_PER_SECOND, ticksNow } from '../../../src/runtime/agent/proc.ts'
import { AGENT_VARIABLE, ProcessGroups, TASK_VARIABLE } from '../../../src/runtime/agent/process-groups.ts'

const AGENT = '/no/such/agent/of/this/test'
const MARK = `${AGENT_VARIABLE}=${AGENT} ${TASK_VARIABLE}=task-1`
const children: ChildProcess[] = []

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
})

async function started(command: string): Promise<ChildProcess & { pid: number }> {
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  children.push(child)
  await once(child, 'spawn')
  return child as ChildProcess & { pid: number }
}

test('a young process that a look found without our name gets it by an exec: the next look finds it', async () => {
  const groups = new ProcessGroups(AGENT)
  const child = await started(`read line; exec env ${MARK} sleep 60`)
  expect(groups.ofTask('task-1')).toEqual([])
  child.stdin?.write('go\n')
  await expect.poll(() => environmentOf(child.pid)?.some(entry => entry.startsWith(TASK_VARIABLE))).toBe(true)
  groups.refresh()
  expect(groups.ofTask('task-1').map(stat => stat.pid)).toEqual([child.pid])
})

test('a process in the session of a run belongs to its task, whatever its environment says', async () => {
  const groups = new ProcessGroups(AGENT)
  const child = await started('exec env -i sleep 60')
  expect(groups.ofTask('task-2')).toEqual([])
  groups.addSession(child.pid, 'task-2')
  expect(groups.ofTask('task-2').map(stat => stat.pid)).toEqual([child.pid])
})

test('the clock of start ticks is that of this machine: a new process has begun just now', async () => {
  const child = await started('exec sleep 60')
  const age = ticksNow() - (processStat(child.pid)?.startTicks ?? 0)
  expect(age).toBeGreaterThanOrEqual(-1)
  expect(age).toBeLessThan(60 * TICKS_PER_SECOND)
})

test('asked for a look that began after a moment: one from before it does not answer', async () => {
  const groups = new ProcessGroups(AGENT)
  expect(groups.ofTask('task-1')).toEqual([])
  const child = await started(`exec env ${MARK} sleep 60`)
  await expect.poll(() => environmentOf(child.pid)?.some(entry => entry.startsWith(TASK_VARIABLE))).toBe(true)
  groups.refresh(performance.now())
  expect(groups.ofTask('task-1').map(stat => stat.pid)).toEqual([child.pid])
})
