import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { costOf, cpuTicksIn, pssIn } from '../../bench/agent/task-cost.ts'
import { dataLines, familyOf, TaskEvents } from '../../bench/agent/task-events.ts'

test('processor time: own and that of children that have ended, whatever the name of the process holds', () => {
  const fields = ['S', ...new Array(10).fill('9'), '1', '20', '300', '4000', '7', '7']
  expect(cpuTicksIn(`42 (a ) b) ${fields.join(' ')}\n`)).toBe(4321)
})

test('PSS: kibibytes to bytes; a kernel that does not tell it is named', () => {
  expect(pssIn('55d-7ff ---p 00000000 00:00 0 [rollup]\nRss:  900 kB\nPss:   129 kB\nPss_Anon: 3 kB\n')).toBe(
    129 * 1024,
  )
  expect(() => pssIn('Rss: 900 kB\n')).toThrow('smaps_rollup')
})

test('the shims of a node are counted, what they run is not', async () => {
  const script = 'sleep 60 & read line; exit 0'
  const parent = spawn('/bin/sh', ['-c', `/bin/sh -c 'sleep 60; :' daybreak-shim & ${script}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  await once(parent, 'spawn')
  await expect.poll(() => costOf(parent.pid!).shims).toBe(1)
  const cost = costOf(parent.pid!)
  expect(cost.shimPssBytes).toBeGreaterThan(0)
  expect(cost.nodePssBytes).toBeGreaterThan(0)
  process.kill(-parent.pid!, 'SIGKILL')
  await once(parent, 'exit')
})

test('a stream of events is cut anywhere: every whole data line once', () => {
  const text = 'id: 1-1\nevent: x\ndata: {"a":1}\n\n:heartbeat\ndata: {"a":2}\n\n'
  for (let cut = 0; cut <= text.length; cut++) {
    const first = dataLines(text.slice(0, cut))
    const second = dataLines(first.rest + text.slice(cut))
    expect([...first.data, ...second.data]).toEqual(['{"a":1}', '{"a":2}'])
  }
})

test('jobs of one family are counted together, and a task that fails ends the wait with its name', async () => {
  expect([familyOf('single-3.17'), familyOf('burst-3')]).toEqual(['single-3', 'burst-3'])
  const event = (name: string, newState: string): string =>
    `data: ${JSON.stringify({ job: { name }, newState, taskId: `${name}-id`, message: 'no' })}\n\n`
  let say: (text: string) => void = () => {}
  const server = createServer((_, answer) => {
    answer.writeHead(200, { 'content-type': 'text/event-stream' })
    answer.flushHeaders()
    say = text => answer.write(text)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const events = new TaskEvents(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  try {
    await events.begin()
    const two = events.reached('s-1', 'FINISHED', 2, 10_000)
    say(event('s-1.0', 'FINISHED') + event('s-2.0', 'FINISHED') + event('s-1.1', 'FINISHED'))
    await two
    const never = events.reached('s-1', 'FINISHED', 3, 10_000)
    say(event('s-1.2', 'FAILED'))
    await expect(never).rejects.toThrow('s-1.2-id is FAILED: no')
  } finally {
    events.end()
    server.closeAllConnections()
    server.close()
  }
})
