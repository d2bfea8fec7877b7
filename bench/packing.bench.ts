/**
 * How well tasks are packed, on a mix of 60 % 0.5 core and 1 GB, 30 % 2 and 4, 10 % 8 and 16, on hosts of 32 and 128:
 * under our packing order, under Aurora's CPU,MEMORY, and under RANDOM, which spreads. Each seed is one run; nothing here
 * is a time, so a busy machine changes nothing.
 */
import type { OfferOrder } from '../src/core/offers/candidate-order.ts'
import { OFFER_ORDER_PACKING } from '../src/core/offers/candidate-order.ts'
import { type Packed, PackingMix, REFERENCE_SLOTS } from '../test/fixtures/packing-mix.ts'
import { type Bench, type Figure, type FigureSpec, figure } from './bench.ts'

const SEEDS = [1, 2, 3, 4, 5]
const LOADS = [0.7, 0.8, 0.9]
const CHURN_LOAD = 0.7
const CHURN_PER_HOST = 100
const ORDERS: readonly { readonly name: string; readonly order: readonly OfferOrder[]; readonly target?: number }[] = [
  { name: 'pack', order: OFFER_ORDER_PACKING, target: 1.1 },
  { name: 'aurora-cpu-memory', order: ['CPU', 'MEMORY'] },
  { name: 'random', order: ['RANDOM'] },
]

export const bench: Bench = {
  name: 'packing',
  title: 'hosts used over the fewest that could do, beside Aurora’s order and a random one',
  async run({ quick, say }) {
    const hosts = quick ? 50 : 500
    const figures: Figure[] = []
    for (const { name, order, target } of ORDERS) {
      const mixes = SEEDS.map(seed => new PackingMix(hosts, order, seed))
      const note = (spec: FigureSpec, packed: readonly Packed[], pick: (of: Packed) => number): void => {
        figures.push(figure(spec, packed.map(pick)))
      }
      for (const load of LOADS) {
        const at = `${name}-${load * 100}`
        say(`${at} % of ${hosts} hosts`)
        const packed = mixes.map((mix, n) => {
          if (!mix.fillTo(load)) throw new Error(`${at}, seed ${SEEDS[n]}: a task found no host`)
          return mix.measure()
        })
        const ratio = { name: `${at}-ratio`, unit: 'ratio', better: 'lower' } as const
        note(target === undefined ? ratio : { ...ratio, target }, packed, ({ ratio }) => ratio)
        for (const type of ['cpus', 'ram', 'disk'] as const) {
          note(
            { name: `${at}-stranded-${type}`, unit: 'share', better: 'lower' },
            packed,
            ({ stranded }) => stranded[type],
          )
        }
        for (const slot of Object.keys(REFERENCE_SLOTS) as (keyof typeof REFERENCE_SLOTS)[]) {
          note({ name: `${at}-slots-${slot}`, unit: 'slots', better: 'higher' }, packed, ({ slots }) => slots[slot])
        }
        note({ name: `${at}-largest`, unit: 'cores', better: 'higher' }, packed, ({ largestCores }) => largestCores)
      }
      // Nothing is ever moved: what ends leaves holes, and only what comes later can fill them.
      say(`${name} after churn`)
      const churned = SEEDS.map(seed => {
        const mix = new PackingMix(hosts, order, seed)
        if (!mix.fillTo(CHURN_LOAD) || !mix.churn(CHURN_PER_HOST * hosts))
          throw new Error(`${name}: a task found no host`)
        return mix.measure()
      })
      const churn = { name: `${name}-${CHURN_LOAD * 100}-after-churn-ratio`, unit: 'ratio', better: 'lower' } as const
      note(churn, churned, ({ ratio }) => ratio)
    }
    return {
      figures,
      notes: [
        `${hosts} hosts; the runs are the seeds ${SEEDS.join(', ')}; the same tasks in the same order for each policy`,
        'NAME-LOAD: once the tasks ask for that percent of the cores; ratio: hosts in use over the lower bound of equal hosts',
        'stranded: of all that is free, the share on hosts where the smallest reference slot (1 core, 1 GB) does not fit any more',
        'largest: cores of the largest task with 2 GB to a core that would still find a host',
        `after-churn: at ${CHURN_LOAD * 100} % load ${CHURN_PER_HOST} tasks a host have ended, drawn from all, and as many have come; told without a target, because nothing is moved to close the holes`,
      ],
    }
  },
}
