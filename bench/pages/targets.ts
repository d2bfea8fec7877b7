/** What the project promises of its speed, each held against one figure of one bench. */
import type { Figure } from '../bench.ts'

export interface Target {
  readonly text: string
  readonly bench: string
  /** Name of the figure, whose median counts. */
  readonly figure: string
  readonly better: Figure['better']
  readonly bound: number
  readonly unit: string
}

/** What stands beside a target without a bound of its own: a peer's figure. */
export interface Beside {
  readonly text: string
  readonly bench: string
  readonly figure: string
}

export interface TargetGroup {
  readonly title: string
  readonly targets: readonly Target[]
  readonly beside?: readonly Beside[]
}

type Row = readonly [text: string, figure: string, bound: number, unit: string]

const rows = (bench: string, better: Figure['better'], list: readonly Row[]): readonly Target[] =>
  list.map(([text, figure, bound, unit]) => ({ text, bench, figure, better, bound, unit }))
const atLeast = (bench: string, ...list: readonly Row[]): readonly Target[] => rows(bench, 'higher', list)
const atMost = (bench: string, ...list: readonly Row[]): readonly Target[] => rows(bench, 'lower', list)

export const TARGETS: readonly TargetGroup[] = [
  {
    title: 'Durable quorum writes: 3 nodes, 256 bytes, each acknowledged after a flush on two of them',
    targets: [
      ...atLeast('log', ['1,000 clients', 'three-appends-1000', 20_000, 'appends/s']),
      ...atMost('log', ['1,000 clients, p99', 'three-append-p99-1000', 60, 'ms']),
      ...atLeast('log', ['64 clients', 'three-appends-64', 10_000, 'appends/s']),
      ...atMost('log', ['64 clients, p99', 'three-append-p99-64', 20, 'ms']),
      ...atMost('log', ['one client, p50', 'three-append-p50-1', 3, 'ms']),
      ...atLeast(
        'log',
        ['1,000 clients, over etcd', 'ratio-appends-etcd-1000', 10, 'ratio'],
        ['1,000 clients, over ZooKeeper', 'ratio-appends-zookeeper-1000', 5, 'ratio'],
        ['64 clients, over etcd', 'ratio-appends-etcd-64', 5, 'ratio'],
        ['64 clients, over ZooKeeper', 'ratio-appends-zookeeper-64', 5, 'ratio'],
      ),
      ...atMost(
        'log',
        ['p99 at 64 clients, over that of etcd', 'ratio-p99-etcd-64', 1, 'ratio'],
        ['p99 at 64 clients, over that of ZooKeeper', 'ratio-p99-zookeeper-64', 1, 'ratio'],
      ),
    ],
    beside: [
      { text: 'etcd, 1,000 clients', bench: 'log', figure: 'etcd-appends-1000' },
      { text: 'ZooKeeper, 1,000 clients', bench: 'log', figure: 'zookeeper-appends-1000' },
      { text: 'etcd, 64 clients', bench: 'log', figure: 'etcd-appends-64' },
      { text: 'ZooKeeper, 64 clients', bench: 'log', figure: 'zookeeper-appends-64' },
      { text: 'etcd, 64 clients, p99', bench: 'log', figure: 'etcd-append-p99-64' },
      { text: 'ZooKeeper, 64 clients, p99', bench: 'log', figure: 'zookeeper-append-p99-64' },
      { text: 'etcd, one client, p50', bench: 'log', figure: 'etcd-append-p50-1' },
      { text: 'ZooKeeper, one client, p50', bench: 'log', figure: 'zookeeper-append-p50-1' },
      { text: 'one client, over etcd', bench: 'log', figure: 'ratio-appends-etcd-1' },
      { text: 'one client, over ZooKeeper', bench: 'log', figure: 'ratio-appends-zookeeper-1' },
    ],
  },
  {
    title: 'Failover: from the death of the leader to the next accepted write',
    targets: [
      ...atMost('failover', ['over that of etcd at its defaults', 'ratio-kill-to-write-etcd', 1, 'ratio']),
      ...atMost('lifecycle', ['with 100,000 live tasks', 'take-over', 3_000, 'ms']),
      ...atMost('log', [
        'scheduler thread blocked for 2 s: changes of leadership',
        'leadership-changes-scheduler-blocked',
        0,
        'changes',
      ]),
    ],
    beside: [
      { text: 'Daybreak', bench: 'failover', figure: 'kill-to-write' },
      { text: 'etcd', bench: 'failover', figure: 'etcd-kill-to-write' },
      { text: 'ZooKeeper', bench: 'failover', figure: 'zookeeper-kill-to-write' },
    ],
  },
  {
    title: 'Placement: 10,000 hosts with attributes, limits and dedicated hosts',
    targets: [
      ...atLeast(
        'placement',
        ['decided and staged in memory, in groups', 'groups-of-1000-hosts-10000', 50_000, 'placements/s'],
        ['decided and staged in memory, every task different', 'all-different-hosts-10000', 5_000, 'placements/s'],
      ),
      ...atLeast('placement-durable', ['durable, from end to end', 'durable-placements', 5_000, 'placements/s']),
      ...atMost('placement', ['growth from 1,000 to 50,000 hosts, in groups', 'growth-groups-hosts', 1.5, 'ratio']),
    ],
  },
  {
    title: 'A million tasks',
    targets: atMost(
      'memory',
      ['resident memory of the leader, a fifth of them running', 'leader-rss-1000000', 4_096, 'MiB'],
      ['resident memory of the leader, all of them running', 'leader-rss-1000000-live', 4_096, 'MiB'],
      ['growth of a list from 1,000 to 1,000,000 tasks', 'growth-list', 1.5, 'ratio'],
      ['growth of a lookup from 1,000 to 1,000,000 tasks', 'growth-lookup', 1.5, 'ratio'],
    ),
  },
  {
    title: 'Messages and agents',
    targets: [
      ...atLeast('actors', ['local messages, batched', 'batched', 10_000_000, 'messages/s']),
      ...atLeast('agent', ['launches of real processes on one machine', 'launches', 100, 'tasks/s']),
      ...atMost(
        'agent',
        ['memory of an idle task', 'idle-task-memory', 3, 'MiB'],
        ['processor of an idle task', 'idle-task-cpu', 0.1, '% of a core'],
      ),
    ],
    beside: [
      { text: 'Slurm, jobs of short processes', bench: 'agent', figure: 'slurm-jobs' },
      { text: 'Daybreak over Slurm', bench: 'agent', figure: 'ratio-jobs-slurm' },
    ],
  },
]
