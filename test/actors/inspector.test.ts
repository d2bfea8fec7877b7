import { expect, test } from 'vitest'
import type { ActorReport, Ref } from '../../src/actors/actor.ts'
import {
  type InspectedThread,
  type InspectorReport,
  inspectorSpec,
  mergeThreads,
  type Take,
} from '../../src/actors/inspector.ts'
import { createSimSystem } from '../../src/actors/sim-shell.ts'

function report(path: string, parent: string | null): ActorReport {
  return {
    path,
    parent,
    kind: 'X',
    status: 'running',
    mailboxDepth: 0,
    mailboxMax: 10,
    oldestMessageAgeMs: 0,
    processed: 0,
    failed: 0,
    refused: 0,
    restarts: 0,
    busyMs: 0,
    lastError: null,
    stateSummary: {},
    startedAtMs: 0,
    lastMessageAtMs: null,
    children: 0,
  }
}
const take = (replyTo: Ref<InspectorReport>): Take => ({ type: 'take', replyTo })
const thread = (name: string, actors: () => Promise<readonly ActorReport[]>): InspectedThread => ({ name, actors })

test('two threads: one tree, each actor below its thread, children behind their parent', () => {
  const merged = mergeThreads('node-1', 5, [
    ['scheduler', [report('/a-b', null), report('/a', null), report('/a/c', '/a')]],
    ['log', [report('/replica', null)]],
  ])
  expect(merged.actors.map(({ path, parent }) => [path, parent])).toEqual([
    ['/log', null],
    ['/log/replica', '/log'],
    ['/scheduler', null],
    ['/scheduler/a', '/scheduler'],
    ['/scheduler/a/c', '/scheduler/a'],
    ['/scheduler/a-b', '/scheduler'],
  ])
  expect(merged.actors.find(actor => actor.path === '/scheduler')?.children).toBe(2)
})

test('a thread that does not answer in time, and one that fails: both show as mute, the others are told', async () => {
  const system = createSimSystem({ seed: 1 })
  const inspector = system.spawn(
    inspectorSpec({
      node: 'node-1',
      waitMsMax: 1_000,
      threads: [
        thread('scheduler', async () => [report('/health', null)]),
        thread('log', () => new Promise(() => {})),
        thread('agent', () => Promise.reject(new Error('ended'))),
      ],
    }),
  )
  const asked = system.ask(inspector, take, { timeoutMs: 5_000 })
  await system.settle()
  system.advance(1_000)
  await system.settle()
  const { actors } = await asked
  expect(actors.map(({ path, status, lastError }) => [path, status, lastError?.message ?? null])).toEqual([
    ['/agent', 'mute', 'ended'],
    ['/log', 'mute', 'no answer within 1000 ms'],
    ['/scheduler', 'running', null],
    ['/scheduler/health', 'running', null],
  ])
  await system.stop()
})

test('many who ask at the same time: one look, and no look while nobody asks', async () => {
  const system = createSimSystem({ seed: 1 })
  let looks = 0
  const threads = [
    thread('scheduler', async () => {
      looks += 1
      return []
    }),
  ]
  const inspector = system.spawn(inspectorSpec({ node: 'n', threads }))
  system.advance(60_000)
  expect(looks).toBe(0)
  const ask = () => system.ask(inspector, take, { timeoutMs: 5_000 })
  const both = [ask(), ask()]
  await system.settle()
  await Promise.all(both)
  expect(looks).toBe(1)
  const third = ask()
  await system.settle()
  await third
  expect(looks).toBe(2)
  await system.stop()
})
