import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { type FrameCodec, frameCodec, frameOf } from '../../src/wire/frame.ts'
import {
  type AgentToLeader,
  agentToLeader,
  FRAME_BYTES_MAX,
  type LeaderToAgent,
  leaderToAgent,
  quarantined,
} from '../../src/wire/messages/agent.ts'

const agentSide = () => frameCodec<LeaderToAgent, AgentToLeader>(leaderToAgent, FRAME_BYTES_MAX)
const leaderSide = () => frameCodec<AgentToLeader, LeaderToAgent>(agentToLeader, FRAME_BYTES_MAX)

const frameWith = <Out>(codec: Pick<FrameCodec<unknown, Out>, 'pack'>, messages: readonly Out[]) =>
  frameOf(messages.map(message => codec.pack(message)))

const status = (seq: number): AgentToLeader => ({
  type: 'STATUS',
  taskId: 'www-data-devel-hello-0-1',
  seq,
  state: 'RUNNING',
  source: 'executor',
  reason: null,
  message: null,
  atMs: 1_700_000_000_000,
})

describe('frame', () => {
  test('a batch of messages: the same values come out, in order', () => {
    const agent = agentSide()
    const leader = leaderSide()
    const sent = [status(1), status(2), { type: 'KILL_ACK', taskId: 't' } satisfies AgentToLeader]
    expect(leader.decode(frameWith(agent, sent))).toEqual({ ok: true, messages: sent, unsupported: [] })
  })

  test('the second frame of a connection does not carry the keys again', () => {
    const agent = agentSide()
    const leader = leaderSide()
    const first = frameWith(agent, [status(1)])
    const second = frameWith(agent, [status(2)])
    expect(second.length).toBeLessThan(first.length / 2 + 40)
    expect(leader.decode(first).ok).toBe(true)
    expect(leader.decode(second)).toEqual({ ok: true, messages: [status(2)], unsupported: [] })
  })

  test('thousands of different shapes: shared structures never mix them up', () => {
    const leader = leaderSide()
    const agent = agentSide()
    for (let n = 0; n < 2_000; n++) {
      const sent: LeaderToAgent = {
        type: 'LAUNCH',
        epoch: [1, 1],
        tasks: [
          {
            taskId: `t${n}`,
            digest: 'd',
            deadlineMs: 1,
            info: {
              job: { role: 'r', environment: 'devel', name: 'n' },
              instance: n,
              tier: 'preemptible',
              resources: { cpusMilli: 1, ramMb: 1, diskMb: 1, gpus: 0 },
              ports: { [`port${n}`]: 31_000 + (n % 1000), [`other${n % 7}`]: 1 + n },
              executor: { name: 'AuroraExecutor', data: '{}' },
            },
          },
        ],
      }
      expect(agent.decode(frameWith(leader, [sent]))).toEqual({ ok: true, messages: [sent], unsupported: [] })
    }
  })

  test('an unknown type is skipped and reported, its neighbours arrive', () => {
    const sender = frameCodec<LeaderToAgent, AgentToLeader | { type: 'TELEPORT'; to: string }>(leaderToAgent, 1 << 20)
    const frame = frameWith(sender, [{ type: 'TELEPORT', to: 'moon' }, status(1)])
    const decoded = leaderSide().decode(frame)
    expect(decoded).toEqual({ ok: true, messages: [status(1)], unsupported: [{ type: 'TELEPORT', id: 1 }] })
  })

  test('the answer UNSUPPORTED is understood and is no message', () => {
    const bytes = frameOf([leaderSide().packUnsupported({ id: 7 })])
    expect(agentSide().decode(bytes)).toEqual({ ok: true, messages: [], unsupported: [] })
  })

  test('unknown keys are ignored, a missing required key is named', () => {
    const sender = () => frameCodec<LeaderToAgent, { type: string; [key: string]: unknown }>(leaderToAgent, 1 << 20)
    const more = leaderSide().decode(frameWith(sender(), [{ ...status(1), colour: 'red' }]))
    expect(more).toEqual({ ok: true, messages: [status(1)], unsupported: [] })
    const { seq: _, ...less } = status(1) as { seq: number; type: string }
    const refused = leaderSide().decode(frameWith(sender(), [less]))
    expect(refused.ok).toBe(false)
    expect(refused.ok === false && refused.reason).toMatch(/^STATUS: seq:/)
  })

  test('life-39: one status of 1,000 cannot be read: the other 999 arrive, and it can be answered by its name', () => {
    const agent = agentSide()
    const leader = frameCodec<AgentToLeader, LeaderToAgent>(agentToLeader, FRAME_BYTES_MAX, quarantined)
    const sent = Array.from({ length: 1_000 }, (_, n) => status(n + 1))
    sent[499] = { ...status(500), state: 'DREAMING' } as unknown as AgentToLeader
    const decoded = leader.decode(frameWith(agent, sent))
    if (!decoded.ok) throw new Error(decoded.reason)
    expect(decoded.messages.filter(({ type }) => type === 'STATUS')).toHaveLength(999)
    expect(decoded.messages[499]).toMatchObject({
      type: 'QUARANTINED_STATUS',
      taskId: 'www-data-devel-hello-0-1',
      seq: 500,
      because: expect.stringContaining('state'),
    })
  })

  test('a status without a readable name is put aside too; any other bad body costs the connection', () => {
    const agent = agentSide()
    const leader = frameCodec<AgentToLeader, LeaderToAgent>(agentToLeader, FRAME_BYTES_MAX, quarantined)
    const nameless = { ...status(1), taskId: '' } as AgentToLeader
    expect(leader.decode(frameWith(agent, [nameless]))).toMatchObject({
      ok: true,
      messages: [{ type: 'QUARANTINED_STATUS', taskId: null, seq: 1 }],
    })
    const nothing = { type: 'KILL_ACK' } as unknown as AgentToLeader
    expect(leader.decode(frameWith(agent, [nothing]))).toMatchObject({ ok: false })
  })

  test('every truncation of a valid frame is refused, none crashes', () => {
    const bytes = frameWith(agentSide(), [status(1), status(2)])
    for (let size = 0; size < bytes.length; size++) {
      expect(leaderSide().decode(bytes.subarray(0, size)).ok).toBe(false)
    }
  })

  test('a tiny frame that claims four thousand million items is refused without the memory for them', () => {
    const before = process.memoryUsage().rss
    for (const claim of [
      [0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xdf, 0xff, 0xff, 0xff, 0xff],
      [0xc6, 0xff, 0xff, 0xff, 0xff],
    ]) {
      expect(leaderSide().decode(new Uint8Array(claim)).ok).toBe(false)
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024)
  })

  test('random bytes: refused or a valid frame, never a crash', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), bytes => {
        const decoded = leaderSide().decode(bytes)
        expect(typeof decoded.ok).toBe('boolean')
      }),
      { numRuns: 2_000 },
    )
  })

  test('an envelope that breaks its form: the frame is refused, and which part is wrong', () => {
    const fine = { v: 1, t: 'KILL_ACK', id: 1, b: { taskId: 't' } }
    const decoded = (value: unknown) =>
      leaderSide().decode(new Packr({ useRecords: true, sequential: true }).pack(value))
    expect(decoded([fine])).toEqual({ ok: true, messages: [{ type: 'KILL_ACK', taskId: 't' }], unsupported: [] })
    const bad: readonly (readonly [unknown, RegExp])[] = [
      [7, /^not a frame: .*array/],
      [[null], /^not a frame: 0: /],
      [[fine, { ...fine, v: 2 }], /^not a frame: 1\.v: /],
      [[{ ...fine, t: '' }], /^not a frame: 0\.t: /],
      [[{ ...fine, t: 'x'.repeat(65) }], /^not a frame: 0\.t: /],
      [[{ ...fine, id: -1 }], /^not a frame: 0\.id: /],
      [[{ ...fine, id: 2 ** 32 }], /^not a frame: 0\.id: /],
      [[{ ...fine, re: 0.5 }], /^not a frame: 0\.re: /],
      [[{ ...fine, b: [] }], /^not a frame: 0\.b: /],
      [[{ ...fine, b: new Date(0) }], /^not a frame: 0\.b: /],
      [Array.from({ length: 10_001 }, () => fine), /^not a frame: .*10000/],
    ]
    for (const [value, reason] of bad)
      expect(decoded(value)).toEqual({ ok: false, reason: expect.stringMatching(reason) })
  })

  test('a body that says a type of its own: that of the envelope counts', () => {
    const value = [{ v: 1, t: 'KILL_ACK', id: 1, b: { type: 'STATUS', taskId: 't' } }]
    const decoded = leaderSide().decode(new Packr({ useRecords: true, sequential: true }).pack(value))
    expect(decoded).toMatchObject({ ok: true, messages: [{ type: 'KILL_ACK', taskId: 't' }] })
  })

  test('what another packer of the thread has packed stays as it was while messages are packed, and the other way round', () => {
    const agent = agentSide()
    const other = new Packr()
    const rows = Array.from({ length: 50 }, (_, at) => ({ key: `row ${at}`, value: 'x'.repeat(at) }))
    const frames: Uint8Array[] = [agent.pack(status(0))]
    const packed = rows.map((row, at) => {
      const bytes = other.pack(row)
      frames.push(agent.pack(status(at + 1)))
      return bytes
    })
    expect(packed.map(bytes => other.unpack(bytes))).toEqual(rows)
    const sent = frames.map((_, at) => status(at))
    expect(leaderSide().decode(frameOf(frames))).toEqual({ ok: true, messages: sent, unsupported: [] })
  })

  test('a frame over the limit is refused with both sizes', () => {
    const small = frameCodec<AgentToLeader, LeaderToAgent>(agentToLeader, 100)
    expect(small.decode(new Uint8Array(101))).toEqual({
      ok: false,
      reason: 'a frame of 101 bytes is over the limit of 100',
    })
  })
})
