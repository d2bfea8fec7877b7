/**
 * One relay of a run of chaos, as a process, so that it can stand in the network namespace of its member. Started with its
 * options as JSON; says `ready`; then takes a line of JSON for every change of a link, and ends when its input does, so
 * none outlives the run.
 */
import { createInterface } from 'node:readline'
import { dialerOf, type LinkState, Relay, type RelayOptions } from '../test/chaos/relay.ts'

const options = JSON.parse(process.argv[2] ?? '') as Omit<RelayOptions, 'dialerAt'> & { cluster: string }
const relay = new Relay({ ...options, dialerAt: port => dialerOf(options.cluster, port, options.listen.port) })
// The terminal tells the whole group of an interrupt; when to end is said by whoever started this.
process.on('SIGINT', () => {})
await relay.listen()
process.stdout.write('ready\n')
const lines = createInterface({ input: process.stdin })
lines.on('line', line => {
  const { from, to, state } = JSON.parse(line) as { from: number; to: number; state: LinkState }
  relay.set(from, to, state)
})
lines.on('close', () => process.exit(0))
