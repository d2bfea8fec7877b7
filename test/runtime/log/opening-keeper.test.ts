import { describe, expect, test } from 'vitest'
import { OpeningKeeper, type OpeningWork } from '../../../src/runtime/log/opening-keeper.ts'

/** Work that ends when the test says so. */
class Bench {
  readonly said: string[] = []
  readonly keeper: OpeningKeeper
  #ends: ((cause?: Error) => void) | null = null
  #onRoom: () => void = () => {}

  constructor() {
    const begin = (what: string): Promise<void> => {
      this.said.push(what)
      expect(this.#ends, `${what} while other work is under way`).toBeNull()
      return new Promise((resolve, reject) => {
        this.#ends = cause => {
          this.#ends = null
          if (cause === undefined) resolve()
          else reject(cause)
        }
      })
    }
    const work: OpeningWork = {
      open: () => begin('open'),
      close: handOver => begin(handOver ? 'hand over and close' : 'close'),
      mend: () => begin('mend'),
      stopMending: () => this.#ends?.(),
      tellFull: () => void this.said.push('full'),
      awaitRoom: onRoom => {
        this.said.push('await room')
        this.#onRoom = onRoom
      },
      stopWaiting: () => void this.said.push('wait no longer'),
      troubleOf: async cause => ({ why: (cause as Error).message === 'full' ? 'full' : 'broken', cause }),
      die: cause => void this.said.push(`die: ${(cause as Error).message}`),
    }
    this.keeper = new OpeningKeeper(work)
  }

  /** The work under way ends, and what follows has begun. */
  async done(cause?: Error): Promise<void> {
    this.#ends!(cause)
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  }

  room(): void {
    this.#onRoom()
  }

  async opened(): Promise<this> {
    const open = this.keeper.open()
    await this.done()
    await open
    this.said.length = 0
    return this
  }
}

describe('the stores of a node', () => {
  test('a snapshot arrives while they are being opened again: they are opened once more', async () => {
    const bench = await new Bench().opened()
    bench.keeper.tell({ type: 'outdated' })
    await bench.done()
    bench.keeper.tell({ type: 'outdated' })
    await bench.done()
    await bench.done()
    await bench.done()
    expect(bench.said).toEqual(['close', 'open', 'close', 'open'])
  })

  test('a snapshot arrives and the disk is full, in either order: closed once, opened when there is room', async () => {
    const full = { type: 'diskFull', cause: new Error('full') } as const
    const outdated = { type: 'outdated' } as const
    for (const events of [
      [full, outdated],
      [outdated, full],
    ]) {
      const bench = await new Bench().opened()
      for (const event of events) bench.keeper.tell(event)
      await bench.done()
      bench.room()
      await bench.done()
      expect(bench.said.filter(what => what !== 'full')).toEqual([
        expect.stringContaining('close'),
        'await room',
        'open',
      ])
    }
  })

  test('the first opening fails: its caller is told why, and a stop ends at once', async () => {
    const bench = new Bench()
    const open = bench.keeper.open()
    const refused = expect(open).rejects.toThrow('damaged')
    await bench.done(new Error('damaged'))
    await refused
    await bench.keeper.stop()
    expect(bench.said).toEqual(['open'])
  })

  test('a closing fails: the process ends; during a stop, its caller is told', async () => {
    const bench = await new Bench().opened()
    bench.keeper.tell({ type: 'outdated' })
    await bench.done(new Error('EIO'))
    expect(bench.said).toEqual(['close', 'die: EIO'])

    const other = await new Bench().opened()
    const stop = expect(other.keeper.stop()).rejects.toThrow('EIO')
    await other.done(new Error('EIO'))
    await stop
  })

  test('stopped while they are being opened: closed again, and only then is the stop over', async () => {
    const bench = new Bench()
    void bench.keeper.open()
    let isOver = false
    const stop = bench.keeper.stop().then(() => {
      isOver = true
    })
    await bench.done()
    expect(isOver).toBe(false)
    await bench.done()
    await stop
    expect(bench.said).toEqual(['open', 'close'])
  })
})
