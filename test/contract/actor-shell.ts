/**
 * What every body of the actor system must hold, run by `test/actors/shell.test.ts` on nact and by
 * `test/actors/sim-shell.test.ts` on the seeded scheduler. Time is moved by hand on both.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type {
  ActorSpec,
  ActorSystem,
  AnyRef,
  Behaviour,
  Context,
  Mailbox,
  Ref,
  Supervision,
} from '../../src/actors/actor.ts'
import { ActorGone, AskTimeout } from '../../src/actors/actor.ts'

export interface Body {
  readonly system: ActorSystem
  /** Until nothing more happens without time passing; promises that have settled have come in. */
  settle(): Promise<void>
  /** Moves time, firing what falls due in order. */
  advance(ms: number): Promise<void>
  /** Called by an actor during a message: it took so long. A body whose turns are single messages may ignore it. */
  spend(ms: number): void
  readonly pendingTimers: number
  readonly ended: readonly { readonly error: unknown; readonly path: string }[]
  readonly logged: readonly string[]
}

type Note = string

/** Notes what happens to it; messages are commands, so that a test reads as a list of what is said. */
type Command =
  | { readonly type: 'note'; readonly note: Note }
  | { readonly type: 'throw'; readonly why: string }
  | { readonly type: 'do'; readonly run: (context: Context<Command>) => void }

const note = (text: Note): Command => ({ type: 'note', note: text })
const fail = (why: string): Command => ({ type: 'throw', why })
const act = (run: (context: Context<Command>) => void): Command => ({ type: 'do', run })

export function actorShellContract(name: string, makeBody: () => Body): void {
  describe(name, () => {
    let body: Body
    let system: ActorSystem
    let notes: Note[]

    beforeEach(() => {
      body = makeBody()
      system = body.system
      notes = []
    })

    afterEach(async () => {
      await system.stop()
    })

    interface Options {
      readonly supervision?: Supervision
      readonly mailbox?: Mailbox<Command>
      readonly onStart?: (context: Context<Command>) => void
      readonly stopping?: (reason: 'stopped' | 'restarting') => void | Promise<void>
      readonly summary?: NonNullable<Behaviour<Command>['summary']>
    }

    function noting(actorName: string, options: Options = {}): ActorSpec<Command> {
      const { supervision, mailbox, onStart, stopping, summary } = options
      return {
        name: actorName,
        kind: 'Noting',
        ...(supervision && { supervision }),
        ...(mailbox && { mailbox }),
        start(context) {
          onStart?.(context)
          return {
            receive(message) {
              if (message.type === 'note') notes.push(message.note)
              else if (message.type === 'throw') throw new Error(message.why)
              else message.run(context)
            },
            ...(stopping && { stopping }),
            ...(summary && { summary }),
          }
        },
      }
    }

    const restart = (limit = 10, withinMs = 60_000): Supervision => ({
      type: 'restart',
      backoffMs: 100,
      backoffMsMax: 1_000,
      limit,
      withinMs,
    })

    const report = (ref: AnyRef | { readonly path: string }) => system.inspection.actor(ref.path)

    describe('messages', () => {
      test('two senders, a thousand messages each: each sender is heard in its own order', async () => {
        const heard: [string, number][] = []
        const receiver = system.spawn<[string, number]>({
          name: 'receiver',
          kind: 'R',
          start: () => ({ receive: message => void heard.push(message) }),
        })
        for (const sender of ['a', 'b']) {
          system.spawn(noting(sender)).tell(
            act(() => {
              for (let number = 0; number < 1_000; number++) receiver.tell([sender, number])
            }),
          )
        }
        await body.settle()
        const inOrder = Array.from({ length: 1_000 }, (_, number) => number)
        for (const sender of ['a', 'b']) {
          expect(heard.filter(([from]) => from === sender).map(([, number]) => number)).toEqual(inOrder)
        }
      })

      test('told to itself while it handles a message: handled afterwards, never nested', async () => {
        const ref = system.spawn(noting('one'))
        ref.tell(
          act(context => {
            context.self.tell(note('inner'))
            notes.push('outer ends')
          }),
        )
        await body.settle()
        expect(notes).toEqual(['outer ends', 'inner'])
      })

      test('told before it has started: kept and handled after the start', async () => {
        const ref = system.spawn(noting('one', { onStart: () => notes.push('start') }))
        ref.tell(note('first'))
        expect(notes).toEqual([])
        await body.settle()
        expect(notes).toEqual(['start', 'first'])
      })

      test('told from a promise, outside of any turn: handled', async () => {
        const ref = system.spawn(noting('one'))
        await body.settle()
        void Promise.resolve().then(() => ref.tell(note('from outside')))
        await body.settle()
        expect(notes).toEqual(['from outside'])
      })

      test('a long queue, 1 ms per message: a neighbour and a stranger get their turn before it is empty', async () => {
        const served: Record<string, number> = {}
        let handled = 0
        const nest = system.spawnSilent('nest')
        const busy = nest.spawn<number>({
          name: 'busy',
          kind: 'B',
          sliceMsMax: 4,
          start: () => ({
            receive() {
              handled++
              body.spend(1)
            },
          }),
        })
        const other = (actorName: string) => ({
          name: actorName,
          kind: 'O',
          start: () => ({
            receive() {
              served[actorName] = handled
            },
          }),
        })
        const neighbour = nest.spawn(other('neighbour'))
        const stranger = system.spawn(other('stranger'))
        await body.settle()
        for (let number = 0; number < 1_000; number++) busy.tell(number)
        neighbour.tell('now')
        stranger.tell('now')
        await body.settle()
        expect(handled).toBe(1_000)
        expect(served.neighbour).toBeLessThan(500)
        expect(served.stranger).toBeLessThan(500)
      })

      test('an actor that tells itself for ever: others still get their turns', async () => {
        let isEnough = false
        const endless = system.spawn<'again'>({
          name: 'endless',
          kind: 'E',
          start: context => ({
            receive() {
              body.spend(1)
              if (!isEnough) context.self.tell('again')
            },
          }),
        })
        const other = system.spawn(noting('other'))
        endless.tell('again')
        other.tell(
          act(() => {
            isEnough = true
          }),
        )
        await body.settle()
        expect(isEnough).toBe(true)
      })

      test('one message: every reading of the clock in it is the same', async () => {
        const ref = system.spawn(noting('one'))
        let readings: unknown[] = []
        ref.tell(
          act(context => {
            const first = context.now()
            body.spend(5)
            readings = [first, context.now()]
          }),
        )
        await body.settle()
        expect(readings[1]).toEqual(readings[0])
      })
    })

    describe('bounded mailboxes', () => {
      test('full, refuse: tell answers false, the refused message can be answered, the queued ones stay', async () => {
        const refused: Command[] = []
        const ref = system.spawn(noting('one', { mailbox: { capacity: 2, onRefused: m => void refused.push(m) } }))
        expect([note('a'), note('b'), note('c')].map(message => ref.tell(message))).toEqual([true, true, false])
        expect(refused).toEqual([note('c')])
        expect(report(ref)).toMatchObject({ refused: 1, mailboxDepth: 2, mailboxMax: 2 })
        await body.settle()
        expect(notes).toEqual(['a', 'b'])
        expect(ref.tell(note('d'))).toBe(true)
        await body.settle()
        expect(notes).toEqual(['a', 'b', 'd'])
      })

      test('full, onRefused throws: the teller is not harmed and the log says so', async () => {
        const onRefused = (): void => {
          throw new Error('cannot answer')
        }
        const ref = system.spawn(noting('one', { mailbox: { capacity: 1, onRefused } }))
        ref.tell(note('a'))
        expect(ref.tell(note('b'))).toBe(false)
        expect(body.logged).toContain('on-refused-failed')
      })

      test('full, dropOldest: the newest stay', async () => {
        const ref = system.spawn(noting('one', { mailbox: { capacity: 2, overflow: 'dropOldest' } }))
        expect(['a', 'b', 'c', 'd'].map(text => ref.tell(note(text)))).toEqual([true, true, true, true])
        await body.settle()
        expect(notes).toEqual(['c', 'd'])
        expect(report(ref)?.refused).toBe(2)
      })

      test('full, dropOldest: a dropped question tells its asker at once', async () => {
        const ref = system.spawn(noting('one', { mailbox: { capacity: 1, overflow: 'dropOldest' } }))
        const asked = system.ask<Command, string>(ref, () => note('question'), { timeoutMs: 1_000 })
        ref.tell(note('newer'))
        await expect(asked).rejects.toThrow(ActorGone)
      })

      test('full: what the actor asked for itself still arrives', async () => {
        const mailbox: Mailbox<Command> = { capacity: 1 }
        const ref = system.spawn(
          noting('one', {
            mailbox,
            supervision: restart(),
            onStart: context => context.startTimer('t', 50, note('timer')),
          }),
        )
        await body.settle()
        ref.tell(
          act(context => {
            context.self.tell(note('fills'))
            context.watch(goneRef, note('watched'))
          }),
        )
        await body.settle()
        await body.advance(50)
        expect(notes).toEqual(['fills', 'watched', 'timer'])
      })

      let goneRef: AnyRef
      beforeEach(async () => {
        goneRef = system.spawn(noting('was-here'))
        const gone = system.stopActor(goneRef)
        await body.settle()
        await gone
      })
    })

    describe('supervision', () => {
      test('restart: made anew after the back-off, the queue kept, the failing message not repeated', async () => {
        const ref = system.spawn(
          noting('one', {
            supervision: restart(),
            onStart: () => notes.push('start'),
            stopping: reason => void notes.push(reason),
          }),
        )
        ref.tell(fail('once'))
        ref.tell(note('kept'))
        await body.settle()
        expect(notes).toEqual(['start', 'restarting'])
        expect(report(ref)).toMatchObject({ status: 'restarting', mailboxDepth: 1, failed: 1, restarts: 1 })
        expect(report(ref)?.lastError).toMatchObject({ message: 'once', messageType: 'throw' })
        expect(ref.tell(note('told meanwhile'))).toBe(true)
        await body.advance(99)
        expect(notes).toEqual(['start', 'restarting'])
        await body.advance(1)
        expect(notes).toEqual(['start', 'restarting', 'start', 'kept', 'told meanwhile'])
        expect(report(ref)?.status).toBe('running')
      })

      test('restart, four failures in a row: the back-off doubles up to its maximum', async () => {
        const starts: number[] = []
        const ref = system.spawn(
          noting('one', { supervision: restart(), onStart: context => void starts.push(context.now().monoMs) }),
        )
        for (let failure = 0; failure < 6; failure++) ref.tell(fail('again'))
        await body.settle()
        for (let step = 0; step < 60; step++) await body.advance(100)
        const pauses = starts.slice(1).map((at, index) => at - starts[index]!)
        expect(pauses).toEqual([100, 200, 400, 800, 1_000, 1_000])
      })

      test('restart, limit passed within the window: escalates, a top-level actor ends the process', async () => {
        const ref = system.spawn(noting('one', { supervision: restart(2) }))
        for (let failure = 0; failure < 3; failure++) ref.tell(fail(`failure ${failure}`))
        await body.settle()
        await body.advance(2_000)
        expect(body.ended.map(end => [end.path, (end.error as Error).message])).toEqual([['/one', 'failure 2']])
        expect(ref.tell(note('too late'))).toBe(false)
      })

      test('restart, failures further apart than the window: never escalates', async () => {
        const ref = system.spawn(noting('one', { supervision: restart(2, 5_000) }))
        for (let failure = 0; failure < 6; failure++) {
          ref.tell(fail('rare'))
          await body.settle()
          await body.advance(3_000)
        }
        expect(body.ended).toEqual([])
        expect(report(ref)).toMatchObject({ status: 'running', restarts: 6 })
      })

      test('no supervision given: restarted after 100 ms', async () => {
        const ref = system.spawn(noting('one', { onStart: () => notes.push('start') }))
        ref.tell(fail('once'))
        await body.settle()
        await body.advance(100)
        expect(notes).toEqual(['start', 'start'])
      })

      test('a throwing start: counts as a failure and is tried again', async () => {
        let starts = 0
        const ref = system.spawn(
          noting('one', {
            supervision: restart(),
            onStart: () => {
              starts++
              if (starts < 3) throw new Error('not yet')
            },
          }),
        )
        ref.tell(note('waits'))
        await body.settle()
        await body.advance(300)
        expect(notes).toEqual(['waits'])
        expect(report(ref)).toMatchObject({ failed: 2, restarts: 2, lastError: { messageType: 'start' } })
      })

      test('restart: children are gone before the clean-up, and may be made again', async () => {
        const ref = system.spawn(
          noting('parent', {
            supervision: restart(),
            onStart: context => {
              const stopping = (): void => void notes.push('child stopping')
              context.spawn(noting('child', { stopping })).tell(note('child runs'))
            },
            stopping: reason => void notes.push(`parent ${reason}`),
          }),
        )
        await body.settle()
        ref.tell(fail('once'))
        await body.settle()
        await body.advance(100)
        expect(notes).toEqual(['child runs', 'child stopping', 'parent restarting', 'child runs'])
      })

      test('restart, the clean-up waits for a promise: the back-off begins after it', async () => {
        const gate = makeGate()
        const ref = system.spawn(
          noting('one', { supervision: restart(), onStart: () => notes.push('start'), stopping: () => gate.promise }),
        )
        ref.tell(fail('once'))
        await body.settle()
        await body.advance(5_000)
        expect(notes).toEqual(['start'])
        gate.resolve()
        await body.settle()
        await body.advance(100)
        expect(notes).toEqual(['start', 'start'])
      })

      test('stop: the actor ends, its queue becomes dead letters, watchers are told, the parent is not', async () => {
        const parent = system.spawn(noting('parent', { supervision: { type: 'endProcess' } }))
        let child: Ref<Command> | undefined
        parent.tell(
          act(context => {
            child = context.spawn(noting('child', { supervision: { type: 'stop' } }))
            context.watch(child, note('child is gone'))
            child.tell(fail('once'))
            child.tell(note('never handled'))
          }),
        )
        await body.settle()
        expect(notes).toEqual(['child is gone'])
        expect(system.inspection.deadLetters().map(letter => letter.path)).toEqual(['/parent/child'])
        expect(report({ path: '/parent/child' })).toBeUndefined()
        expect(body.ended).toEqual([])
      })

      test('escalate through a nest: the parent restarts with all its children, the failed one ended first', async () => {
        let bad: Ref<Command> | undefined
        const parent = system.spawn(
          noting('parent', {
            supervision: restart(),
            onStart: context => {
              notes.push('parent starts')
              const nest = context.spawnSilent('shard')
              bad = nest.spawn(noting('bad', { supervision: { type: 'escalate' } }))
              nest.spawn(noting('good', { stopping: () => void notes.push('good stops') }))
            },
            stopping: () => void notes.push('parent stops'),
          }),
        )
        await body.settle()
        bad?.tell(fail('escalated'))
        await body.settle()
        await body.advance(100)
        expect(notes).toEqual(['parent starts', 'good stops', 'parent stops', 'parent starts'])
        expect(report(parent)).toMatchObject({
          restarts: 1,
          lastError: { messageType: 'failure of /parent/shard/bad' },
        })
      })

      test('escalate, the parent is under stop: the parent ends too', async () => {
        let child: Ref<Command> | undefined
        const parent = system.spawn(
          noting('parent', {
            supervision: { type: 'stop' },
            onStart: context => {
              child = context.spawn(noting('child', { supervision: { type: 'escalate' } }))
            },
          }),
        )
        await body.settle()
        child?.tell(fail('escalated'))
        await body.settle()
        expect(system.inspection.actors()).toEqual([])
        expect(parent.tell(note('too late'))).toBe(false)
        expect(body.ended).toEqual([])
      })

      test('endProcess: the process is told with the error and the path', async () => {
        const ref = system.spawn(noting('replica', { supervision: { type: 'endProcess' } }))
        ref.tell(fail('flush failed'))
        ref.tell(note('never handled'))
        await body.settle()
        expect(body.ended.map(end => [end.path, (end.error as Error).message])).toEqual([['/replica', 'flush failed']])
        expect(notes).toEqual([])
      })
    })

    describe('death watch', () => {
      test('the watched actor ends: each watcher is told once', async () => {
        const target = system.spawn(noting('target'))
        for (const watcher of ['a', 'b']) {
          system.spawn(noting(watcher)).tell(act(context => context.watch(target, note(`${watcher} knows`))))
        }
        await body.settle()
        expect(notes).toEqual([])
        const gone = system.stopActor(target)
        await body.settle()
        await gone
        expect(notes.toSorted()).toEqual(['a knows', 'b knows'])
      })

      test('it is already gone: told at once', async () => {
        const target = system.spawn(noting('target'))
        const gone = system.stopActor(target)
        await body.settle()
        await gone
        system.spawn(noting('watcher')).tell(act(context => context.watch(target, note('knows'))))
        await body.settle()
        expect(notes).toEqual(['knows'])
      })

      test('watched twice: the later message counts; unwatched: silence', async () => {
        const target = system.spawn(noting('target'))
        const twice = system.spawn(noting('twice'))
        const former = system.spawn(noting('former'))
        twice.tell(act(context => context.watch(target, note('first'))))
        twice.tell(act(context => context.watch(target, note('second'))))
        former.tell(act(context => context.watch(target, note('never'))))
        former.tell(act(context => context.unwatch(target)))
        await body.settle()
        const gone = system.stopActor(target)
        await body.settle()
        await gone
        expect(notes).toEqual(['second'])
      })

      test('the watcher has restarted: forgotten', async () => {
        const target = system.spawn(noting('target'))
        const watcher = system.spawn(noting('watcher', { supervision: restart() }))
        watcher.tell(act(context => context.watch(target, note('never'))))
        watcher.tell(fail('once'))
        await body.settle()
        await body.advance(100)
        const gone = system.stopActor(target)
        await body.settle()
        await gone
        expect(notes).toEqual([])
      })

      test('the watched actor restarts: nobody is told', async () => {
        const target = system.spawn(noting('target', { supervision: restart() }))
        system.spawn(noting('watcher')).tell(act(context => context.watch(target, note('never'))))
        await body.settle()
        target.tell(fail('once'))
        await body.settle()
        await body.advance(100)
        expect(notes).toEqual([])
      })
    })

    describe('timers', () => {
      test('fires once, through the mailbox, not before its time', async () => {
        const ref = system.spawn(noting('one'))
        ref.tell(act(context => context.startTimer('t', 100, note('due'))))
        await body.settle()
        await body.advance(99)
        expect(notes).toEqual([])
        await body.advance(1)
        await body.advance(1_000)
        expect(notes).toEqual(['due'])
        expect(body.pendingTimers).toBe(0)
      })

      test('started again under its key: only the newer fires; another key is untouched', async () => {
        const ref = system.spawn(noting('one'))
        ref.tell(act(context => context.startTimer('t', 100, note('older'))))
        ref.tell(act(context => context.startTimer('u', 150, note('other'))))
        await body.settle()
        await body.advance(50)
        ref.tell(act(context => context.startTimer('t', 200, note('newer'))))
        await body.settle()
        await body.advance(1_000)
        expect(notes).toEqual(['other', 'newer'])
      })

      test('cancelled, even when its message is queued already: nothing comes', async () => {
        const ref = system.spawn(noting('one', { supervision: restart() }))
        ref.tell(
          act(context => {
            context.startTimer('t', 100, note('cancelled in time'))
            context.startTimer('u', 100, note('cancelled while queued'))
          }),
        )
        ref.tell(act(context => context.cancelTimer('t')))
        ref.tell(
          act(context =>
            context.startTimer(
              'v',
              100,
              act(inner => inner.cancelTimer('w')),
            ),
          ),
        )
        ref.tell(act(context => context.startTimer('w', 100, note('cancelled by its neighbour'))))
        ref.tell(act(context => context.cancelTimer('unknown')))
        await body.settle()
        ref.tell(act(context => context.cancelTimer('u')))
        await body.settle()
        await body.advance(100)
        expect(notes).toEqual([])
      })

      test('timers of several actors: fire in the order of their moments, equal moments in the order of asking', async () => {
        const ref = system.spawn(noting('one'))
        ref.tell(
          act(context => {
            context.startTimer('c', 300, note('third'))
            context.startTimer('a', 100, note('first'))
            context.startTimer('b', 200, note('second'))
            context.startTimer('d', 300, note('fourth'))
            context.startTimer('z', 0, note('at once'))
          }),
        )
        await body.settle()
        await body.advance(300)
        expect(notes).toEqual(['at once', 'first', 'second', 'third', 'fourth'])
      })

      test('periodic: ticks at its period, ends when cancelled', async () => {
        const ref = system.spawn(noting('one'))
        ref.tell(act(context => context.startPeriodicTimer('t', 100, note('tick'))))
        await body.settle()
        for (let step = 0; step < 10; step++) await body.advance(50)
        expect(notes).toHaveLength(5)
        ref.tell(act(context => context.cancelTimer('t')))
        await body.settle()
        await body.advance(1_000)
        expect(notes).toHaveLength(5)
        expect(body.pendingTimers).toBe(0)
      })

      test('restart and stop: timers are gone, also a tick that is queued', async () => {
        const ref = system.spawn(noting('one', { supervision: restart() }))
        ref.tell(act(context => context.startPeriodicTimer('t', 10, note('tick'))))
        ref.tell(act(context => context.startTimer('u', 500, note('later'))))
        await body.settle()
        ref.tell(fail('once'))
        await body.settle()
        await body.advance(1_000)
        expect(notes).toEqual([])
        ref.tell(act(context => context.startTimer('v', 500, note('never'))))
        await body.settle()
        const gone = system.stopActor(ref)
        await body.settle()
        await gone
        await body.advance(1_000)
        expect(notes).toEqual([])
        expect(body.pendingTimers).toBe(0)
      })

      test('a negative or endless time: a bug of the actor', async () => {
        const ref = system.spawn(noting('one', { supervision: { type: 'stop' } }))
        ref.tell(act(context => context.startTimer('t', Number.NaN, note('never'))))
        await body.settle()
        expect(body.logged).toContain('actor-failed')
      })
    })

    describe('ask', () => {
      type Question = { readonly type: 'double'; readonly value: number; readonly replyTo: Ref<number> }

      const doubler = (answers = 1): ActorSpec<Question> => ({
        name: 'doubler',
        kind: 'Doubler',
        start: () => ({
          receive(message) {
            for (let answer = 0; answer < answers; answer++) message.replyTo.tell(message.value * 2)
          },
        }),
      })
      const double =
        (value: number) =>
        (replyTo: Ref<number>): Question => ({ type: 'double', value, replyTo })

      test('actor asks actor: the answer comes as a message of its own', async () => {
        const ref = system.spawn(doubler())
        const asker = system.spawn(noting('asker'))
        asker.tell(act(context => context.ask(ref, double(21), { timeoutMs: 100 }, answer => note(`answer ${answer}`))))
        await body.settle()
        expect(notes).toEqual(['answer 42'])
        await body.advance(100)
        expect(notes).toEqual(['answer 42'])
        expect(body.pendingTimers).toBe(0)
      })

      test('no answer in time: null, and a late one is a dead letter', async () => {
        const waiting: Ref<number>[] = []
        const silent = system.spawn<Question>({
          name: 'silent',
          kind: 'S',
          start: () => ({ receive: message => void waiting.push(message.replyTo) }),
        })
        const asker = system.spawn(noting('asker'))
        asker.tell(act(context => context.ask(silent, double(1), { timeoutMs: 100 }, a => note(`answer ${a}`))))
        await body.settle()
        await body.advance(99)
        expect(notes).toEqual([])
        await body.advance(1)
        expect(notes).toEqual(['answer null'])
        expect(waiting[0]?.tell(2)).toBe(false)
        await body.settle()
        expect(notes).toEqual(['answer null'])
        expect(system.inspection.deadLetterCount).toBe(1)
      })

      test('two answers: the first counts', async () => {
        const ref = system.spawn(doubler(2))
        const asker = system.spawn(noting('asker'))
        asker.tell(act(context => context.ask(ref, double(1), { timeoutMs: 100 }, a => note(`answer ${a}`))))
        await body.settle()
        expect(notes).toEqual(['answer 2'])
        expect(system.inspection.deadLetterCount).toBe(1)
      })

      test('the asked is gone: null at once', async () => {
        const ref = system.spawn(doubler())
        const gone = system.stopActor(ref)
        await body.settle()
        await gone
        const asker = system.spawn(noting('asker'))
        asker.tell(act(context => context.ask(ref, double(1), { timeoutMs: 100 }, a => note(`answer ${a}`))))
        await body.settle()
        expect(notes).toEqual(['answer null'])
      })

      test('the asker has restarted meanwhile: the answer is not brought to it', async () => {
        const waiting: Ref<number>[] = []
        const slow = system.function<Question>('slow', message => void waiting.push(message.replyTo))
        const asker = system.spawn(noting('asker', { supervision: restart() }))
        asker.tell(act(context => context.ask(slow, double(1), { timeoutMs: 10_000 }, a => note(`answer ${a}`))))
        asker.tell(fail('once'))
        await body.settle()
        await body.advance(100)
        expect(waiting[0]?.tell(2)).toBe(true)
        await body.settle()
        expect(notes).toEqual([])
      })

      test('a throwing adapt: a failure of the asker, not of the asked', async () => {
        const ref = system.spawn(doubler())
        const asker = system.spawn(noting('asker', { supervision: restart() }))
        asker.tell(
          act(context =>
            context.ask(ref, double(1), { timeoutMs: 100 }, () => {
              throw new Error('cannot adapt')
            }),
          ),
        )
        await body.settle()
        expect(report(asker)?.failed).toBe(1)
        expect(report(ref)?.failed).toBe(0)
      })

      test('an edge asks: the answer', async () => {
        const ref = system.spawn(doubler())
        const asked = system.ask(ref, double(4), { timeoutMs: 100 })
        await body.settle()
        await expect(asked).resolves.toBe(8)
      })

      test('an edge asks, nothing comes in time: AskTimeout naming the asked and the time', async () => {
        const ref = system.spawn(doubler(0))
        const asked = system.ask(ref, double(4), { timeoutMs: 100 })
        const seen = expect(asked).rejects.toThrow(new AskTimeout('/doubler did not answer within 100 ms'))
        await body.settle()
        await body.advance(100)
        await seen
      })

      test('an edge asks one who is gone, or ends with the question unread: ActorGone at once', async () => {
        const ref = system.spawn(doubler())
        await body.settle()
        const unread = system.ask(ref, double(4), { timeoutMs: 100 })
        const seenUnread = expect(unread).rejects.toThrow(ActorGone)
        const gone = system.stopActor(ref)
        await body.settle()
        await gone
        await seenUnread
        await expect(system.ask(ref, double(4), { timeoutMs: 100 })).rejects.toThrow(ActorGone)
      })

      test('an edge asks, the mailbox is full: rejected at once, or answered by onRefused', async () => {
        const mailbox = { capacity: 1 }
        const ref = system.spawn({ ...doubler(), mailbox })
        const queued = system.ask(ref, double(1), { timeoutMs: 100 })
        await expect(system.ask(ref, double(2), { timeoutMs: 100 })).rejects.toThrow('its mailbox is full')
        const polite = system.spawn({
          ...doubler(),
          name: 'polite',
          mailbox: { capacity: 1, onRefused: (message: Question) => void message.replyTo.tell(-1) },
        })
        polite.tell(double(0)(system.function('nobody', () => {})))
        await expect(system.ask(polite, double(3), { timeoutMs: 100 })).resolves.toBe(-1)
        await body.settle()
        await expect(queued).resolves.toBe(2)
      })
    })

    describe('promises', () => {
      test('pipe: both ends come back as messages', async () => {
        const ref = system.spawn(noting('one'))
        ref.tell(
          act(context => {
            context.pipe(Promise.resolve(7), result => note(result.ok ? `value ${result.value}` : 'failed'))
            context.pipe(Promise.reject(new Error('no disk')), result =>
              note(result.ok ? 'value' : `failed: ${(result.cause as Error).message}`),
            )
          }),
        )
        await body.settle()
        expect(notes.toSorted()).toEqual(['failed: no disk', 'value 7'])
      })

      test('the actor has restarted, or is gone, before the end: nothing comes', async () => {
        const gate = makeGate()
        const pipe = act(context => context.pipe(gate.promise, () => note('never')))
        const restarted = system.spawn(noting('restarted', { supervision: restart() }))
        restarted.tell(pipe)
        restarted.tell(fail('once'))
        const stopped = system.spawn(noting('stopped'))
        stopped.tell(pipe)
        await body.settle()
        await body.advance(100)
        const gone = system.stopActor(stopped)
        await body.settle()
        await gone
        gate.resolve()
        await body.settle()
        expect(notes).toEqual([])
        expect(system.inspection.deadLetterCount).toBe(0)
      })
    })

    describe('dead letters', () => {
      test('told when it is gone: false, counted, listed with path and type', async () => {
        const ref = system.spawn(noting('one'))
        const gone = system.stopActor(ref)
        await body.settle()
        await gone
        expect(ref.tell(note('late'))).toBe(false)
        expect(system.inspection.deadLetterCount).toBe(1)
        expect(system.inspection.deadLetters()).toEqual([
          { path: '/one', messageType: 'note', atMs: expect.any(Number) },
        ])
      })

      test('150 of them: all counted, the newest 100 kept, newest last', async () => {
        const ref = system.spawn<{ type: string }>({ name: 'one', kind: 'O', start: () => ({ receive: () => {} }) })
        const gone = system.stopActor(ref)
        await body.settle()
        await gone
        for (let number = 0; number < 150; number++) ref.tell({ type: `late-${number}` })
        expect(system.inspection.deadLetterCount).toBe(150)
        const kept = system.inspection.deadLetters().map(letter => letter.messageType)
        expect(kept).toEqual(Array.from({ length: 100 }, (_, at) => `late-${at + 50}`))
      })
    })

    describe('stopping', () => {
      test('leaves first: each parent after its children, also when they need time', async () => {
        const gate = makeGate()
        const tree = (path: string, depth: number): ActorSpec<Command> =>
          noting(path, {
            onStart: context => {
              if (depth > 0) for (const side of ['l', 'r']) context.spawn(tree(`${path}${side}`, depth - 1))
            },
            stopping: () => {
              notes.push(path)
              return path === 'tl' ? gate.promise : undefined
            },
          })
        const top = system.spawn(tree('t', 2))
        await body.settle()
        let isGone = false
        const gone = system.stopActor(top).then(() => {
          isGone = true
        })
        await body.settle()
        expect(notes).toHaveLength(6)
        expect(notes.indexOf('tl')).toBeGreaterThan(Math.max(notes.indexOf('tll'), notes.indexOf('tlr')))
        expect(notes.indexOf('tr')).toBeGreaterThan(Math.max(notes.indexOf('trl'), notes.indexOf('trr')))
        expect(isGone).toBe(false)
        gate.resolve()
        await body.settle()
        await gone
        expect(notes[6]).toBe('t')
        expect(system.inspection.actors()).toEqual([])
      })

      test('a promise that never settles: waited for 10 s and no longer, and the log says so', async () => {
        const ref = system.spawn(noting('one', { stopping: () => new Promise(() => {}) }))
        await body.settle()
        ref.tell(act(context => context.stop(context.self)))
        await body.settle()
        await body.advance(9_999)
        expect(report(ref)?.status).toBe('stopping')
        await body.advance(1)
        expect(report(ref)).toBeUndefined()
        expect(body.logged).toContain('actor-stopping-timed-out')
      })

      test('a stopping that throws or rejects: the actor still goes', async () => {
        const boom = new Error('cannot stop')
        const throws = system.spawn(
          noting('throws', {
            stopping: () => {
              throw boom
            },
          }),
        )
        const rejects = system.spawn(noting('rejects', { stopping: () => Promise.reject(boom) }))
        await body.settle()
        const gone = Promise.all([throws, rejects].map(ref => system.stopActor(ref)))
        await body.settle()
        await gone
        expect(body.logged.filter(event => event === 'actor-stopping-failed')).toHaveLength(2)
      })

      test('stops itself: the current message is finished, the queued ones become dead letters', async () => {
        const ref = system.spawn(noting('one', { stopping: reason => void notes.push(reason) }))
        ref.tell(
          act(context => {
            context.stop(context.self)
            notes.push('still in the message')
          }),
        )
        ref.tell(note('never'))
        await body.settle()
        expect(notes).toEqual(['still in the message', 'stopped'])
        expect(system.inspection.deadLetterCount).toBe(1)
      })

      test('stop is asked for: from then on nobody below handles a message, however deep', async () => {
        let leaf: Ref<Command> | undefined
        const top = system.spawn(
          noting('top', {
            onStart: outer => {
              outer.spawnSilent('nest').spawn(
                noting('middle', {
                  onStart: inner => {
                    leaf = inner.spawn(noting('leaf'))
                  },
                }),
              )
            },
          }),
        )
        await body.settle()
        leaf?.tell(note('queued before'))
        const gone = system.stopActor(top)
        expect(leaf?.tell(note('told after'))).toBe(false)
        await body.settle()
        await gone
        expect(notes).toEqual([])
        expect(system.inspection.deadLetterCount).toBe(2)
      })

      test('an ancestor is stopped by its descendant: all of them go', async () => {
        const top = system.spawn(
          noting('top', {
            onStart: context => {
              const child = context.spawn(noting('child'))
              child.tell(act(inner => inner.stop(context.self)))
            },
          }),
        )
        await body.settle()
        expect(report(top)).toBeUndefined()
        expect(system.inspection.actors()).toEqual([])
      })

      test('stopped during the back-off: never started again', async () => {
        const ref = system.spawn(noting('one', { supervision: restart(), onStart: () => notes.push('start') }))
        ref.tell(fail('once'))
        await body.settle()
        const gone = system.stopActor(ref)
        await body.settle()
        await gone
        await body.advance(1_000)
        expect(notes).toEqual(['start'])
        expect(body.pendingTimers).toBe(0)
      })

      test('stopped while the clean-up of a restart waits: cleaned up once, never started again', async () => {
        const gate = makeGate()
        const ref = system.spawn(
          noting('one', {
            supervision: restart(),
            stopping: reason => {
              notes.push(reason)
              return gate.promise
            },
          }),
        )
        ref.tell(fail('once'))
        await body.settle()
        const gone = system.stopActor(ref)
        await body.settle()
        gate.resolve()
        await body.settle()
        await gone
        expect(notes).toEqual(['restarting'])
        expect(report(ref)).toBeUndefined()
      })

      test('spawned by an actor that has just stopped itself: gone at birth', async () => {
        let child: Ref<Command> | undefined
        const ref = system.spawn(noting('one'))
        ref.tell(
          act(context => {
            context.stop(context.self)
            child = context.spawn(noting('child', { onStart: () => notes.push('child starts') }))
          }),
        )
        await body.settle()
        expect(notes).toEqual([])
        expect(child?.tell(note('late'))).toBe(false)
        expect(system.inspection.actors()).toEqual([])
      })

      test('the whole system: top-level actors in the reverse order of their start, nests with theirs', async () => {
        for (const actorName of ['first', 'second']) {
          system.spawn(noting(actorName, { stopping: () => void notes.push(actorName) }))
        }
        system.spawnSilent('nest').spawn(noting('nested', { stopping: () => void notes.push('nested') }))
        await body.settle()
        const stopped = system.stop()
        await body.settle()
        await stopped
        expect(notes).toEqual(['nested', 'second', 'first'])
        expect(system.spawn(noting('late')).tell(note('late'))).toBe(false)
      })

      test('2,000 levels deep: stops without exhausting the stack', async () => {
        const level = (left: number): ActorSpec<Command> =>
          noting('n', { onStart: context => void (left > 0 && context.spawn(level(left - 1))) })
        const top = system.spawn(level(2_000))
        await body.settle()
        expect(system.inspection.actors()).toHaveLength(2_001)
        const gone = system.stopActor(top)
        await body.settle()
        await gone
        expect(system.inspection.actors()).toEqual([])
      })
    })

    describe('names and nests', () => {
      test('a name is taken: refused; free again once the former is gone', async () => {
        const ref = system.spawn(noting('one'))
        expect(() => system.spawn(noting('one'))).toThrow('the name of a new actor is free')
        await body.settle()
        const gone = system.stopActor(ref)
        expect(() => system.spawn(noting('one'))).toThrow('the name of a new actor is free')
        await body.settle()
        await gone
        const next = system.spawn(noting('one'))
        expect(next.path).toBe('/one')
        next.tell(note('the new one'))
        expect(ref.tell(note('the old one'))).toBe(false)
        await body.settle()
        expect(notes).toEqual(['the new one'])
      })

      test('a name with anything but letters, digits and _.~-: refused', () => {
        for (const bad of ['', 'a/b', 'a b', 'ä', 'a?']) expect(() => system.spawn(noting(bad))).toThrow('name')
        expect(system.spawn(noting('a~B_9.-')).path).toBe('/a~B_9.-')
      })

      test('a nest: holds children, takes no messages, shows in the inspection', async () => {
        const nest = system.spawnSilent('nest')
        const child = nest.spawn(noting('child'))
        expect(child.path).toBe('/nest/child')
        expect(nest.child('child')).toBe(child)
        expect(nest.child('other')).toBeUndefined()
        expect(nest.size).toBe(1)
        child.tell(note('hello'))
        await body.settle()
        expect(notes).toEqual(['hello'])
        expect(report(nest)).toMatchObject({ kind: 'Nest', parent: null, children: 1, mailboxMax: 0 })
        expect(report(child)).toMatchObject({ kind: 'Noting', parent: '/nest', children: 0 })
        const parent = system.spawn(noting('parent', { onStart: context => void context.spawnSilent('inner') }))
        let isTaken: boolean | undefined
        parent.tell(
          act(context => {
            isTaken = context.child('inner')?.tell(note('to a nest'))
          }),
        )
        await body.settle()
        expect(isTaken).toBe(false)
        expect(system.inspection.deadLetterCount).toBe(1)
      })

      test('100,000 children in a nest and as many under an actor: a thousand messages to it cost no more', async () => {
        const nest = system.spawnSilent('nest')
        const idle = (number: number): ActorSpec<Command> => noting(`c${number}`)
        for (let number = 0; number < 100_000; number++) nest.spawn(idle(number))
        const parent = system.spawn(
          noting('parent', {
            onStart: context => {
              for (let number = 0; number < 100_000; number++) context.spawn(idle(number))
            },
          }),
        )
        await body.settle()
        expect([nest.size, report(parent)?.children]).toEqual([100_000, 100_000])
        // One message at a time, as nact would spend 65 ms on each: over a minute for all.
        const beganMs = performance.now()
        for (let number = 0; number < 1_000; number++) {
          parent.tell(note('to the parent'))
          nest.child(`c${number * 100}`)?.tell(note('to a sibling'))
          await body.settle()
        }
        expect(notes).toHaveLength(2_000)
        expect(performance.now() - beganMs).toBeLessThan(5_000)
      })
    })

    describe('function refs', () => {
      test('told: the function runs at once, also from outside of any turn', () => {
        const ref = system.function<string>('edge', message => void notes.push(message))
        expect(ref.tell('now')).toBe(true)
        expect(notes).toEqual(['now'])
      })

      test('the function throws: logged, and the actor that told it is not harmed', async () => {
        const edge = system.function<string>('edge', () => {
          throw new Error('edge is broken')
        })
        const ref = system.spawn(noting('one'))
        ref.tell(act(() => notes.push(String(edge.tell('x')))))
        await body.settle()
        expect(notes).toEqual(['false'])
        expect(report(ref)?.failed).toBe(0)
        expect(body.logged).toContain('function-ref-failed')
      })
    })

    describe('inspection', () => {
      test('an actor that waits for its restart: its queue and its age show', async () => {
        const ref = system.spawn(noting('stuck', { supervision: restart() }))
        ref.tell(fail('once'))
        ref.tell(note('waits'))
        ref.tell(note('waits too'))
        await body.settle()
        await body.advance(60)
        expect(report(ref)).toMatchObject({ status: 'restarting', mailboxDepth: 2, oldestMessageAgeMs: 60 })
        expect(system.inspection.oldestMessage()).toEqual({ path: '/stuck', ageMs: 60 })
        await body.advance(40)
        expect(system.inspection.oldestMessage()).toBeNull()
        expect(report(ref)).toMatchObject({ status: 'running', mailboxDepth: 0, oldestMessageAgeMs: 0 })
      })

      test('an actor that looks at itself within a message: counted so far', async () => {
        const ref = system.spawn(noting('one'))
        const seen: unknown[] = []
        ref.tell(note('first'))
        ref.tell(act(context => seen.push(system.inspection.actor(context.self.path)?.processed)))
        ref.tell(note('last'))
        await body.settle()
        expect(seen).toEqual([2])
        expect(report(ref)).toMatchObject({ processed: 3, failed: 0, restarts: 0, status: 'running' })
        expect(report(ref)?.lastMessageAtMs).toBeGreaterThanOrEqual(report(ref)!.startedAtMs)
      })

      test('summary: asked for only when somebody looks, cut to 2 KB, and its throw stays inside', async () => {
        let asked = 0
        const summary = () => {
          asked++
          return { tasks: 3, isLeader: true, long: 'x'.repeat(10_000), after: 'no room' }
        }
        const ref = system.spawn(noting('one', { summary }))
        const bad = system.spawn(
          noting('bad', {
            summary: () => {
              throw new Error('no summary')
            },
          }),
        )
        ref.tell(note('hello'))
        await body.settle()
        expect(asked).toBe(0)
        const seen = report(ref)!.stateSummary
        expect(seen).toMatchObject({ tasks: 3, isLeader: true })
        expect(JSON.stringify(seen).length).toBeLessThan(2_200)
        expect(report(bad)?.stateSummary).toEqual({ summaryFailed: 'Error: no summary' })
      })

      test('all actors: parents before children, in the order of their start', async () => {
        system.spawn(noting('b', { onStart: context => void context.spawn(noting('child')) }))
        system.spawn(noting('a'))
        await body.settle()
        expect(system.inspection.actors().map(actor => actor.path)).toEqual(['/b', '/b/child', '/a'])
        expect(system.inspection.actor('/nobody')).toBeUndefined()
        expect(system.inspection.actor('nonsense')).toBeUndefined()
      })
    })
  })
}

/** A promise that the test settles. */
export function makeGate(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>(done => {
    resolve = done
  })
  return { promise, resolve: () => resolve() }
}
