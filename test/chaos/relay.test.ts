import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freePorts } from '../fixtures/free-ports.ts'
import { inodeOf, Lane, Relay } from './relay.ts'

const SLOW = { delayMs: 300, held: false }
const FREE = { delayMs: 0, held: false }
const HELD = { delayMs: 0, held: true }
const textOf = (bytes: readonly (Buffer | null)[]): readonly string[] => bytes.map(one => one?.toString() ?? 'end')

describe('a lane', () => {
  test('a link of 300 ms: bytes arrive after 300 ms, not before, and in their order', () => {
    const lane = new Lane()
    lane.put(Buffer.from('a'), 1_000, SLOW)
    lane.put(Buffer.from('b'), 1_010, SLOW)
    expect(lane.take(1_299, SLOW)).toEqual([])
    expect(lane.nextMs(SLOW)).toBe(1_300)
    expect(textOf(lane.take(1_300, SLOW))).toEqual(['a'])
    expect(textOf(lane.take(1_310, SLOW))).toEqual(['b'])
    expect(lane.nextMs(SLOW)).toBeNull()
  })

  test('a link that becomes quick: what is sent then does not overtake what is on its way', () => {
    const lane = new Lane()
    lane.put(Buffer.from('a'), 1_000, SLOW)
    lane.put(Buffer.from('b'), 1_100, FREE)
    lane.put(null, 1_100, FREE)
    expect(lane.take(1_200, FREE)).toEqual([])
    expect(textOf(lane.take(1_300, FREE))).toEqual(['a', 'b', 'end'])
  })

  test('a held link: nothing passes, and all of it once it is let go', () => {
    const lane = new Lane()
    lane.put(Buffer.from('a'), 1_000, HELD)
    lane.put(null, 2_000, HELD)
    expect(lane.take(9_000, HELD)).toEqual([])
    expect(lane.nextMs(HELD)).toBeNull()
    expect(textOf(lane.take(9_000, FREE))).toEqual(['a', 'end'])
  })
})

test('a relay: bytes of a free link pass, those of a held one when it is let go, and the end of the connection with them', async () => {
  const [listenPort, targetPort] = (await freePorts(2)) as [number, number]
  const accepted: Socket[] = []
  const server = createServer(socket => void accepted.push(socket)).listen(targetPort, '127.0.0.1')
  await once(server, 'listening')
  const host = '127.0.0.1'
  const relay = new Relay({
    memberId: 2,
    listen: { host, port: listenPort },
    target: { host, port: targetPort },
    dialerAt: () => 1,
  })
  await relay.listen()
  onTestFinished(async () => {
    await relay.close()
    server.close()
  })
  const dialer = connect(listenPort, host)
  await once(server, 'connection')
  const [acceptor] = accepted as [Socket]
  dialer.write('there')
  expect(String((await once(acceptor, 'data'))[0])).toBe('there')
  relay.set(1, 2, HELD)
  dialer.end('held')
  // The other direction is a link of its own.
  acceptor.write('back')
  expect(String((await once(dialer, 'data'))[0])).toBe('back')
  expect(acceptor.bytesRead).toBe('there'.length)
  relay.set(1, 2, FREE)
  expect(String((await once(acceptor, 'data'))[0])).toBe('held')
  await once(acceptor, 'end')
})

test('the table of a process: the socket between two ports, whichever addresses they are at', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:5AB9 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 0
   1: 0212C6C6:9C40 0112C6C6:5AB9 01 00000000:00000000 00:00000000 00000000     0        0 42 1 0
   2: 0212C6C6:9C41 0112C6C6:5AB9 01 00000000:00000000 00:00000000 00000000     0        0 43 1 0
`
  expect(inodeOf(table, 0x9c40, 0x5ab9)).toBe('42')
  expect(inodeOf(table, 0x9c42, 0x5ab9)).toBeNull()
})
