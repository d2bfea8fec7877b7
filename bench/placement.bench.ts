/**
 * How many placements are decided per second, and how that grows with the cluster: Aurora's own benchmarks, clusters as
 * people have them, and the actors of placement under a stream of new tasks and after a failover. Nothing is written to
 * a log and no agent is there; `placement-durable` has both.
 */
import type { Bench } from './bench.ts'
import { actorFigures } from './placement/actors.ts'
import { auroraFigures } from './placement/aurora.ts'
import { GROWTH_HOSTS, mixFigures } from './placement/mixes.ts'

export const bench: Bench = {
  name: 'placement',
  title: 'placements decided per second, and how that grows with the cluster',
  plots: [
    {
      name: 'growth',
      title: 'Processor time a placement in groups, µs, by hosts of the cluster',
      kind: 'lines',
      xTitle: 'hosts',
      points: GROWTH_HOSTS.flatMap(hosts => [
        { figure: `cost-in-groups-${hosts}`, series: 'decided and staged', label: `${hosts}`, x: hosts },
        { figure: `cost-in-groups-${hosts}-decided`, series: 'decided', label: `${hosts}`, x: hosts },
      ]),
    },
  ],
  async run(options) {
    const figures = [
      ...(await mixFigures(options)),
      ...(await auroraFigures(options)),
      ...(await actorFigures(options)),
    ]
    return {
      figures,
      notes: [
        '-decided: matching alone; without it, matching and the staging of every task in memory, which the matcher follows. The log and the agents are not part of either',
        'NAME-HOSTS of the Aurora workloads: warm operations, 1 warm-up and the runs of 0.5 s each (0.1 s under --quick); -cold: the first operation on a cluster just filled, of three such clusters; fill-cluster is refilled before it is exhausted, which is not timed; where one operation is one task, tasks/s are its ops/s',
        'NAME-growth-to-HOSTS: time per operation at one size, divided by that at the size before',
        'cost-in-groups-HOSTS: processor time a placement of the same ten groups of 1,000, on warm clusters of all sizes in turns; growth-groups-hosts: on the largest cluster over that on the smallest, run by run',
        'a fruitless operation also counts what every host objects to, which Aurora does not in its benchmarks',
        'w7 and w10: the real actors on the real shell over a ledger in memory; whoever makes the load shares the thread',
      ],
    }
  },
}
