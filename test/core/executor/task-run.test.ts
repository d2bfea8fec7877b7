import { describe, expect, test } from 'vitest'
import { BACKOFF_MS_MAX, QUICK_RUNS_FREE } from '../../../src/core/executor/process-state.ts'
import {
  type Effect,
  type FoundRun,
  initialRun,
  type Message,
  type RunState,
} from '../../../src/core/executor/run-state.ts'
import type { ProcessSpec, TaskSpec } from '../../../src/core/executor/task-data.ts'
import { stepRun } from '../../../src/core/executor/task-run.ts'

function process(name: string, more: Partial<ProcessSpec> = {}): ProcessSpec {
  return {
    name,
    cmdline: `run ${name}`,
    maxFailures: 1,
    daemon: false,
    ephemeral: false,
    minDurationMs: 5_000,
    final: false,
    keepsOutput: true,
    ...more,
  }
}

function task(processes: ProcessSpec[], more: Partial<TaskSpec> = {}): TaskSpec {
  return {
    name: 'task',
    processes,
    orders: [],
    maxFailures: 1,
    maxConcurrency: 0,
    finalizationWaitMs: 30_000,
    ...more,
  }
}

/** Plays a task against a machine that does what it is told at once; time moves by hand. */
class Play {
  state: RunState
  readonly spec: TaskSpec
  wallMs = 1_000_000
  readonly starts: { name: string; run: number; atMs: number }[] = []
  readonly statuses: { state: string; message: string | null; reason: string | null }[] = []
  timers = new Map<string, number>()
  effects: Effect[] = []
  /** What the machine answers to a question about leftovers. */
  emptyAtOnce = true
  awaiting: 'nothing' | 'wait' | 'kill' = 'nothing'

  constructor(spec: TaskSpec, state: RunState = initialRun(spec)) {
    this.spec = spec
    this.state = state
  }

  static started(spec: TaskSpec): Play {
    const play = new Play(spec)
    play.tell({ type: 'begin', found: [] })
    play.tell({ type: 'prepared' })
    return play
  }

  tell(message: Message): this {
    const { state, effects } = stepRun(this.spec, { killCapMs: 60_000 }, this.state, message, {
      wallMs: this.wallMs,
      monoMs: 0,
    })
    this.state = state
    this.effects = [...effects]
    for (const effect of effects) this.run(effect)
    return this
  }

  private run(effect: Effect): void {
    switch (effect.type) {
      case 'startRun':
        this.starts.push({ name: effect.process.name, run: effect.run, atMs: this.wallMs })
        this.tell({ type: 'runStarted', process: effect.process.name, run: effect.run })
        return
      case 'startTimer':
        this.timers.set(effect.key, this.wallMs + effect.afterMs)
        return
      case 'cancelTimer':
        this.timers.delete(effect.key)
        return
      case 'status':
        this.statuses.push({ state: effect.state, message: effect.message, reason: effect.reason })
        return
      case 'awaitEmpty':
        this.awaiting = effect.kill ? 'kill' : 'wait'
        if (this.emptyAtOnce) this.tell({ type: 'groupEmpty' })
        return
      default:
    }
  }

  end(name: string, code: number | null = 0): this {
    const run = (this.state.processes[name]?.runs ?? 0) - 1
    return this.tell({ type: 'runEnded', process: name, run, code })
  }

  /** Moves time to the moment and fires what is due by then. */
  at(wallMs: number): this {
    for (;;) {
      const due = [...this.timers].filter(([, atMs]) => atMs <= wallMs).sort((a, b) => a[1] - b[1])[0]
      if (due === undefined) break
      this.timers.delete(due[0])
      this.wallMs = due[1]
      this.tell({ type: 'timerExpired', key: due[0] as 'gap' | 'budget' | 'stuck' })
    }
    this.wallMs = wallMs
    return this
  }

  after(ms: number): this {
    return this.at(this.wallMs + ms)
  }

  get startedNames(): string[] {
    return this.starts.map(start => start.name)
  }
  get told(): string[] {
    return this.statuses.map(status => status.state)
  }
}

describe('a task of one process', () => {
  test('STARTING comes before the sandbox, RUNNING with the first process, FINISHED when it ends well', () => {
    const play = new Play(task([process('main')]))
    play.tell({ type: 'begin', found: [] })
    expect(play.told).toEqual(['STARTING'])
    expect(play.starts).toEqual([])
    play.tell({ type: 'prepared' })
    expect(play.statuses[1]).toEqual({
      state: 'RUNNING',
      message: 'No health-check defined, task is assumed healthy.',
      reason: null,
    })
    play.end('main')
    expect(play.statuses[2]).toEqual({ state: 'FINISHED', message: 'Task finished.', reason: null })
    expect(play.state.stage).toBe('DONE')
  })

  test('a sandbox that cannot be made: FAILED with its text, nothing started', () => {
    const play = new Play(task([process('main')]))
    play.tell({ type: 'begin', found: [] }).tell({ type: 'prepareFailed', text: 'no such user' })
    expect(play.statuses.at(-1)).toEqual({ state: 'FAILED', message: 'no such user', reason: null })
    expect(play.starts).toEqual([])
  })

  test('a failing exit status: FAILED, and the message names process and status', () => {
    const play = Play.started(task([process('main')])).end('main', 3)
    expect(play.statuses.at(-1)?.message).toBe('Task failed. main: exited with status 3.')
  })

  test('killed by a signal of somebody else: a failure that is counted', () => {
    const play = Play.started(task([process('main', { maxFailures: 2 })])).end('main', 137)
    expect(play.state.processes.main?.failures).toBe(1)
    play.after(5_000).end('main', 137)
    expect(play.statuses.at(-1)?.message).toBe('Task failed. main: ended by signal 9.')
  })

  test('its shim vanished: run again, not counted as a failure', () => {
    const play = Play.started(task([process('main')])).end('main', null)
    expect(play.state.processes.main?.failures).toBe(0)
    play.after(5_000)
    expect(play.startedNames).toEqual(['main', 'main'])
    expect(play.end('main').told.at(-1)).toBe('FINISHED')
  })

  test('a terminal status is told once, and nothing changes a task that is over', () => {
    const play = Play.started(task([process('main')])).end('main')
    const before = play.statuses.length
    play.end('main', 1).tell({ type: 'kill', graceMs: null }).tell({ type: 'groupEmpty' })
    expect(play.statuses).toHaveLength(before)
  })

  test('the end of the group is not yet known: no terminal status, whatever else happens', () => {
    const play = Play.started(task([process('main')]))
    play.emptyAtOnce = false
    play.end('main')
    expect(play.told.at(-1)).toBe('RUNNING')
    play.at(play.wallMs + 29_999)
    expect(play.awaiting).toBe('wait')
    play.after(1)
    expect(play.awaiting).toBe('kill')
    play.after(60_000)
    expect(play.told.at(-1)).toBe('RUNNING')
    play.tell({ type: 'groupEmpty' })
    expect(play.told.at(-1)).toBe('FINISHED')
  })

  test('SIGKILL ends nothing for 10 s: an operator is warned, again and again', () => {
    const play = Play.started(task([process('main')]))
    play.emptyAtOnce = false
    play.tell({ type: 'kill', graceMs: 0 }).after(0).after(10_000)
    expect(play.effects.map(effect => effect.type)).toContain('warnStuck')
    expect(play.timers.has('stuck')).toBe(true)
  })
})

describe('order and failures', () => {
  test('an order: each starts when the one before has finished', () => {
    const play = Play.started(task([process('c'), process('b'), process('a')], { orders: [['a', 'b', 'c']] }))
    expect(play.startedNames).toEqual(['a'])
    expect(play.end('a').startedNames).toEqual(['a', 'b'])
    expect(play.end('b').startedNames).toEqual(['a', 'b', 'c'])
    expect(play.end('c').told).toEqual(['STARTING', 'RUNNING', 'FINISHED'])
  })

  test('job-8: max_failures 2, one process of 10 always failing beside a good one: FINISHED after 10 failed runs', () => {
    const play = Play.started(task([process('good'), process('bad', { maxFailures: 10 })], { maxFailures: 2 }))
    play.end('good')
    for (let run = 0; run < 10; run++) play.end('bad', 1).after(5_000)
    expect(play.starts.filter(start => start.name === 'bad')).toHaveLength(10)
    expect(play.told.at(-1)).toBe('FINISHED')
  })

  test('job-8: max_failures 0: any number of failed processes still ends FINISHED', () => {
    const play = Play.started(task([process('a'), process('b'), process('c')], { maxFailures: 0 }))
    play.end('a', 1).end('b', 1).end('c', 1)
    expect(play.told.at(-1)).toBe('FINISHED')
  })

  test('job-9: a→b→c, b fails, max_failures 2: c never runs, the task is stuck and FAILED', () => {
    const spec = task([process('a'), process('b'), process('c')], { orders: [['a', 'b', 'c']], maxFailures: 2 })
    const play = Play.started(spec).end('a').end('b', 1)
    expect(play.startedNames).toEqual(['a', 'b'])
    expect(play.told.at(-1)).toBe('FAILED')
  })

  test('job-10: a failing main and a finalizer: the finalizer runs, FAILED', () => {
    const play = Play.started(task([process('main'), process('last', { final: true })])).end('main', 1)
    expect(play.startedNames).toEqual(['main', 'last'])
    expect(play.told.at(-1)).toBe('RUNNING')
    expect(play.end('last').told.at(-1)).toBe('FAILED')
  })

  test('job-10: a finalizer fails alone: FINISHED all the same, its successor is not run', () => {
    const spec = task([process('main'), process('f1', { final: true }), process('f2', { final: true })], {
      orders: [['f1', 'f2']],
    })
    const play = Play.started(spec).end('main').end('f1', 1)
    expect(play.startedNames).toEqual(['main', 'f1'])
    expect(play.told.at(-1)).toBe('FINISHED')
  })

  test('job-11: an ephemeral sleeper beside a short main: the sleeper is signalled when main ends, FINISHED', () => {
    const play = Play.started(task([process('sleeper', { ephemeral: true }), process('main')]))
    play.emptyAtOnce = false
    play.end('main')
    expect(play.effects.map(effect => effect.type)).toContain('terminate')
    play.end('sleeper', 143).tell({ type: 'groupEmpty' })
    expect(play.told.at(-1)).toBe('FINISHED')
  })

  test('only ephemeral processes: started and ended at once, FINISHED', () => {
    const play = Play.started(task([process('e', { ephemeral: true })]))
    expect(play.startedNames).toEqual(['e'])
    expect(play.told.at(-1)).toBe('FINISHED')
  })

  test('job-12: a daemon with max_failures 2: success, failure, success, failure ends it at the second failure', () => {
    const play = Play.started(task([process('d', { daemon: true, maxFailures: 2 })]))
    for (const code of [0, 1, 0]) play.end('d', code).after(5_000)
    expect(play.starts).toHaveLength(4)
    expect(play.told.at(-1)).toBe('RUNNING')
    expect(play.end('d', 1).told.at(-1)).toBe('FAILED')
  })

  test('job-13: min_duration 10 s and a run that ended at 5 s: nothing at 14 s, a start at 15 s', () => {
    const play = Play.started(task([process('p', { daemon: true, minDurationMs: 10_000 })]))
    const begin = play.wallMs
    play.at(begin + 5_000).end('p')
    play.at(begin + 14_999)
    expect(play.starts).toHaveLength(1)
    play.at(begin + 15_000)
    expect(play.starts).toHaveLength(2)
  })

  test('job-13: three processes with max_concurrency 1 run one after the other', () => {
    const play = Play.started(task([process('a'), process('b'), process('c')], { maxConcurrency: 1 }))
    expect(play.startedNames).toEqual(['a'])
    play.after(1_000).end('a').after(1_000).end('b').after(1_000)
    expect(play.starts.map(start => start.atMs - 1_000_000)).toEqual([0, 1_000, 2_000])
  })

  /** Ends at once, again and again; answers the pauses between the runs. */
  const quickRuns = (play: Play, runs: number): number[] => {
    const pauses: number[] = []
    for (let run = 0; run < runs; run++) {
      const endMs = play.wallMs
      play.end('d')
      const gapMs = play.timers.get('gap')
      if (gapMs !== undefined) play.at(gapMs)
      pauses.push(play.wallMs - endMs)
    }
    return pauses
  }

  test('a process that keeps ending at once: after ten free reruns the pause doubles up to its limit, and never ends it', () => {
    const play = Play.started(task([process('d', { daemon: true, minDurationMs: 0 })]))
    const pauses = quickRuns(play, 150)
    expect(pauses.slice(0, QUICK_RUNS_FREE)).toEqual(new Array(QUICK_RUNS_FREE).fill(0))
    expect(pauses.slice(QUICK_RUNS_FREE, QUICK_RUNS_FREE + 4)).toEqual([1_000, 2_000, 4_000, 8_000])
    expect(pauses.at(-1)).toBe(BACKOFF_MS_MAX)
    expect(play.told.at(-1)).toBe('RUNNING')
    expect(play.starts).toHaveLength(151)
  })

  test('a run that lasted a minute: the pause is the job’s own again', () => {
    const play = Play.started(task([process('d', { daemon: true, minDurationMs: 0 })]))
    quickRuns(play, 30)
    play.after(60_000)
    expect(quickRuns(play, 2)).toEqual([0, 0])
  })

  test('a start that fails counts as a failed run', () => {
    const play = new Play(task([process('main')]))
    play.tell({ type: 'begin', found: [] })
    const { effects, state } = stepRun(
      play.spec,
      { killCapMs: 1 },
      play.state,
      { type: 'prepared' },
      { wallMs: 0, monoMs: 0 },
    )
    expect(effects.some(effect => effect.type === 'startRun')).toBe(true)
    play.state = state
    play.tell({ type: 'startFailed', process: 'main', run: 0, text: 'no space left' })
    expect(play.statuses.at(-1)).toEqual({ state: 'FAILED', message: 'Task failed. main: no space left', reason: null })
  })
})

describe('kills', () => {
  test('before the sandbox exists: KILLED, and no process ever starts, even when the sandbox comes after', () => {
    const play = new Play(task([process('main')]))
    play.tell({ type: 'begin', found: [] }).tell({ type: 'kill', graceMs: null })
    expect(play.statuses.at(-1)).toEqual({
      state: 'KILLED',
      message: 'Task killed during initialization.',
      reason: 'TASK_KILLED_DURING_LAUNCH',
    })
    play.tell({ type: 'prepared' })
    expect(play.starts).toEqual([])
  })

  test('a running task: SIGTERM, KILLED when the group is empty; a second kill starts nothing anew', () => {
    const play = Play.started(task([process('main', { daemon: true })]))
    play.emptyAtOnce = false
    play.tell({ type: 'kill', graceMs: null })
    expect(play.effects.filter(effect => effect.type === 'terminate')).toHaveLength(1)
    play.tell({ type: 'kill', graceMs: null })
    expect(play.effects.filter(effect => effect.type === 'terminate')).toHaveLength(0)
    play.end('main', 143).tell({ type: 'groupEmpty' })
    expect(play.statuses.at(-1)).toEqual({ state: 'KILLED', message: 'Instructed to kill task.', reason: null })
    expect(play.starts).toHaveLength(1)
  })

  const budgets: { desc: string; waitMs: number; graceMs: number | null; killAtMs: number }[] = [
    { desc: 'finalization_wait of the job', waitMs: 3_000, graceMs: null, killAtMs: 3_000 },
    { desc: 'the operator’s cap', waitMs: 600_000, graceMs: null, killAtMs: 60_000 },
    { desc: 'the grace of the request', waitMs: 30_000, graceMs: 1_000, killAtMs: 1_000 },
    { desc: 'no time at all', waitMs: 0, graceMs: null, killAtMs: 0 },
  ]
  test.each(budgets)('a kill that SIGTERM does not end: SIGKILL after $desc', ({ waitMs, graceMs, killAtMs }) => {
    const play = Play.started(task([process('main')], { finalizationWaitMs: waitMs }))
    play.emptyAtOnce = false
    const begin = play.wallMs
    play.tell({ type: 'kill', graceMs })
    if (killAtMs > 0) play.at(begin + killAtMs - 1)
    expect(play.awaiting).toBe('wait')
    play.at(begin + killAtMs)
    expect(play.awaiting).toBe('kill')
    expect(play.tell({ type: 'groupEmpty' }).told.at(-1)).toBe('KILLED')
  })

  test('finalizers run inside the budget of the kill, and end with it', () => {
    const play = Play.started(task([process('main'), process('last', { final: true })], { finalizationWaitMs: 10_000 }))
    play.tell({ type: 'kill', graceMs: null })
    expect(play.startedNames).toEqual(['main', 'last'])
    play.emptyAtOnce = false
    play.after(10_000)
    expect(play.awaiting).toBe('kill')
    expect(play.tell({ type: 'groupEmpty' }).told.at(-1)).toBe('KILLED')
  })

  test('while it is ending by itself: KILLED, and the kill’s shorter budget counts', () => {
    const play = Play.started(task([process('main')]))
    play.emptyAtOnce = false
    play.end('main').tell({ type: 'kill', graceMs: 500 }).after(500)
    expect(play.awaiting).toBe('kill')
    expect(play.tell({ type: 'groupEmpty' }).told.at(-1)).toBe('KILLED')
  })

  test('processes that wait for their gap are not started any more', () => {
    const play = Play.started(task([process('d', { daemon: true })])).end('d')
    play.emptyAtOnce = false
    play.tell({ type: 'kill', graceMs: null }).after(5_000)
    expect(play.starts).toHaveLength(1)
    expect(play.timers.has('gap')).toBe(false)
  })
})

describe('an agent that was restarted', () => {
  const restart = (play: Play, found: FoundRun[]): Play => {
    const next = new Play(play.spec, JSON.parse(JSON.stringify(play.state)) as RunState)
    next.wallMs = play.wallMs + 1_000
    next.tell({ type: 'begin', found })
    return next
  }
  const alive = (process: string, run = 0): FoundRun => ({ process, run, startedAtMs: 1_000_000, end: null })
  const over = (process: string, code: number | null, run = 0): FoundRun => ({
    process,
    run,
    startedAtMs: 1_000_000,
    end: { code, atMs: 1_000_500 },
  })

  test('the process lives: nothing is started, nothing is told, its end is told later', () => {
    const play = restart(Play.started(task([process('main')])), [alive('main')])
    expect(play.starts).toEqual([])
    expect(play.told).toEqual([])
    expect(play.end('main').told).toEqual(['FINISHED'])
  })

  test('job-15: runs that ended meanwhile are not run again, and the plan goes on behind them', () => {
    const spec = task([process('a'), process('b')], { orders: [['a', 'b']] })
    const play = restart(Play.started(spec), [over('a', 0)])
    expect(play.starts.map(({ name, run }) => `${name}/${run}`)).toEqual(['b/0'])
  })

  test('an end that the checkpoint holds already is not counted twice', () => {
    const before = Play.started(task([process('d', { daemon: true, maxFailures: 3 })]))
      .end('d', 1)
      .after(5_000)
    const play = restart(before, [over('d', 1, 0), alive('d', 1)])
    expect(play.state.processes.d?.failures).toBe(1)
    expect(play.state.processes.d?.runs).toBe(2)
  })

  test('runs newer than the checkpoint: numbers go on behind them', () => {
    const play = Play.started(task([process('d', { daemon: true, minDurationMs: 0 })]))
    const next = restart(play, [over('d', 0, 0), over('d', 0, 1), alive('d', 2)])
    expect(next.starts).toEqual([])
    expect(next.state.processes.d?.runs).toBe(3)
  })

  test('no checkpoint at all, but runs on disk: adopted all the same', () => {
    const spec = task([process('main')])
    const play = new Play(spec)
    play.tell({ type: 'begin', found: [alive('main')] })
    expect(play.starts).toEqual([])
    expect(play.told).toEqual(['STARTING', 'RUNNING'])
  })

  test('a run that the checkpoint knows and nobody finds: lost, run again after its gap', () => {
    const play = restart(Play.started(task([process('main')])), [])
    expect(play.starts).toEqual([])
    play.after(5_000)
    expect(play.starts.map(({ run }) => run)).toEqual([1])
  })

  test('job-15: in the midst of cleaning: the deadline is the old one, signals are sent again', () => {
    const before = Play.started(task([process('main')], { finalizationWaitMs: 10_000 }))
    before.emptyAtOnce = false
    before.tell({ type: 'kill', graceMs: null })
    const begin = before.wallMs
    before.at(begin + 4_000)
    const play = new Play(before.spec, JSON.parse(JSON.stringify(before.state)) as RunState)
    play.wallMs = begin + 5_000
    play.emptyAtOnce = false
    play.tell({ type: 'begin', found: [alive('main')] })
    expect(play.effects.map(effect => effect.type)).toContain('terminate')
    expect(play.timers.get('budget')).toBe(begin + 10_000)
  })

  test('the clock was set back by a day meanwhile: the budget is never longer than the whole of it', () => {
    const before = Play.started(task([process('main')], { finalizationWaitMs: 10_000 }))
    before.emptyAtOnce = false
    before.tell({ type: 'kill', graceMs: null })
    const play = new Play(before.spec, before.state)
    play.wallMs = before.wallMs - 86_400_000
    play.emptyAtOnce = false
    play.tell({ type: 'begin', found: [alive('main')] })
    expect((play.timers.get('budget') ?? 0) - play.wallMs).toBe(10_000)
  })
})
