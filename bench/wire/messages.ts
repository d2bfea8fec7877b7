/** What is sent: messages as agents, leaders and members say them, all different, made before anything is timed. */
import { makeEntry } from '../../src/core/log/entry.ts'
import type { PeerMessage } from '../../src/core/log/messages.ts'
import type { AgentToLeader, LeaderToAgent } from '../../src/wire/messages/agent.ts'
import { jobKeyOf, taskIdOf } from '../lifecycle/rows.ts'
import { benchPayload } from '../log/frames.ts'

export const KINDS = ['status', 'accept', 'launch'] as const
export type Kind = (typeof KINDS)[number]

export interface MessageOf {
  /** That a task runs: agent to leader. */
  readonly status: AgentToLeader
  /** One entry with a batch of 256 bytes: leader to member. */
  readonly accept: PeerMessage & { readonly type: 'accept' }
  /** Of one task: leader to agent. */
  readonly launch: LeaderToAgent
}

const NOW_MS = 1_700_000_000_000
export const FROM = { memberId: 2, incarnation: '0123456789abcdef' }
const EPOCH = [4, 2] as const

export const make: { readonly [K in Kind]: (n: number) => MessageOf[K] } = {
  status: n => ({
    type: 'STATUS',
    taskId: taskIdOf(jobKeyOf(n % 500, 50), n % 20, true),
    seq: 2,
    state: 'RUNNING',
    source: 'executor',
    reason: null,
    message: null,
    atMs: NOW_MS + n,
  }),
  accept: n => {
    const ballot = [EPOCH[0], EPOCH[1]] as const
    return {
      ...{ type: 'accept', from: FROM, ballot, seq: n + 1, prev: { ballot, position: n + 1 } },
      entries: [makeEntry(n + 2, ballot, 'DATA', benchPayload(`key-${String(n % 100_000).padStart(5, '0')}`))],
      ...{ commit: n, begin: 1, sentAtMs: n + 0.5 },
    }
  },
  launch: n => {
    const job = jobKeyOf(n % 500, 50)
    const processes = [{ name: 'serve', cmdline: `exec ./serve --port {{thermos.ports[http]}} --shard ${n % 20}` }]
    const executor = { name: 'AuroraExecutor', data: JSON.stringify({ task: { name: job.name, processes } }) }
    return {
      type: 'LAUNCH',
      epoch: [EPOCH[0], EPOCH[1]],
      tasks: [
        {
          taskId: taskIdOf(job, n % 20, true),
          digest: 'a3f1'.repeat(16),
          info: {
            ...{ job, instance: n % 20, tier: 'preferred', ports: { http: 31_000 + (n % 1_000) }, executor },
            resources: { cpusMilli: 500, ramMb: 512, diskMb: 1_024, gpus: 0 },
          },
          deadlineMs: 60_000,
        },
      ],
    }
  },
}
