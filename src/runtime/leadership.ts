/**
 * Who begins and ends the leader subtree: the life cycle of the scheduler, which follows what the ledger and the driver
 * tell. This is where its actor meets the parts of a node. See docs/design/0015-scheduler-life-cycle.md.
 */
import type { AnyRef, Context } from '../actors/actor.ts'
import type { DriverPort, LeaderView, Logger } from '../actors/ports.ts'
import { type ReignPort, schedulerLifecycleSpec } from '../actors/scheduler-lifecycle.ts'
import { assert } from '../core/base/assert.ts'
import { type LifeView, lifeView } from '../core/lifecycle/life-view.ts'
import { IDLE_LIFE, LIFE_SETTINGS, type LifeSettings } from '../core/lifecycle/scheduler-states.ts'
import { type LeaderParts, type Leading, type ReignContext, type Resign, startReign } from './leader.ts'

const DRIVER_STOP_MS_MAX = 5_000

export interface LeaderTree {
  /** Null unless this node leads and all that acts for the cluster has begun: clients and agents may be served. */
  readonly leading: Leading | null
  readonly life: LifeView
  /** The log is open. */
  prepared(): void
  /** The log cannot be opened: this node never leads. */
  prepareFailed(): void
  /** Told whenever `leading` has become something. Answers the way to leave. */
  onAdvertised(listener: () => void): () => void
  stop(): Promise<void>
}

/**
 * Makes and ends the subtree as the life cycle of the scheduler wants it, which follows what the ledger tells. Call
 * `prepared` when the log is open; until then nothing begins.
 */
export function followLeadership(parts: LeaderParts): LeaderTree {
  const { system, ledger, logger, driver = GATEWAY_DRIVER } = parts
  const settings: LifeSettings = { ...LIFE_SETTINGS, registrationDelayMs: parts.config.scheduler.registrationDelay }
  let life = IDLE_LIFE
  let made: Leading | null = null
  let leading: Leading | null = null
  let root: AnyRef | null = null
  let isStopped = false
  let stopped: Promise<void> = Promise.resolve()
  const onAdvertised = new Set<() => void>()

  const start: ReignPort['start'] = (epoch, told) => {
    // Lost since: the life cycle is told next.
    if (!ledger.open) return null
    const since = ledger.applied
    const resign: Resign = (reason, last) => {
      told.resigned(reason)
      end()
      stopped = Promise.allSettled([stopped, last()]).then(() => {})
    }
    const started = system.spawn<never>({
      name: 'leader',
      kind: 'Leader',
      start: context => {
        try {
          made = startReign(watchStarts(context, told.began), parts, epoch, resign)
        } catch (cause) {
          told.failed(cause)
          throw cause
        }
        return { receive: () => {}, summary: () => ({ epoch: epoch.join('.'), since }) }
      },
      // A half-made subtree never acts: what was made of it stops before its first turn, and the life cycle is told.
      supervision: { type: 'stop' },
    })
    root = started
    return started
  }
  const end = (): Promise<void> => {
    const last = root
    root = null
    made = null
    leading = null
    if (last !== null) stopped = Promise.all([stopped, system.stopActor(last)]).then(() => {})
    return stopped
  }
  const lifecycle = system.spawn(
    schedulerLifecycleSpec({
      driver,
      reign: {
        start,
        advertise() {
          leading = made
          if (leading === null) return
          for (const tell of [...onAdvertised]) tell()
        },
        end,
      },
      handOver: parts.handOver,
      endProcess: parts.endProcess,
      onLife: next => {
        life = next
      },
      logger,
      settings,
    }),
  )
  const elected = (view: LeaderView): void => {
    assert(view.ballot !== null, 'a leader has a ballot')
    if (!isStopped) lifecycle.tell({ type: 'elected', epoch: view.ballot })
  }
  ledger.onOpen(elected)
  ledger.onClose(reason => {
    // The subtree stops now, however much the life cycle has to do: its next message would meet rows that are gone.
    end()
    if (!isStopped) lifecycle.tell({ type: 'lost', reason: reason.detail })
  })
  lifecycle.tell({ type: 'prepare' })
  const present = ledger.leadership
  if (ledger.open && present !== null) elected(present.view)
  return {
    get leading() {
      return leading
    },
    get life() {
      return lifeView(life, leading !== null, settings)
    },
    prepared: () => void lifecycle.tell({ type: 'prepared' }),
    prepareFailed: () => void lifecycle.tell({ type: 'prepareFailed' }),
    onAdvertised(listener) {
      onAdvertised.add(listener)
      return () => onAdvertised.delete(listener)
    },
    stop() {
      isStopped = true
      lifecycle.tell({ type: 'stop' })
      // Not only on its way through a mailbox: the system may stop before that has its turn.
      return Promise.all([end(), stopDriver(driver, logger)]).then(() => {})
    },
  }
}

/** Agents come to whoever leads: there is nobody to ask. */
const GATEWAY_DRIVER: DriverPort = {
  name: 'agents',
  start: (_epoch, events) => events.registered(),
  stop: async () => {},
}

/** A node that ends waits for its driver, but not for ever and not for it to succeed. */
async function stopDriver(driver: DriverPort, logger: Logger): Promise<void> {
  let late: NodeJS.Timeout | undefined
  const patience = new Promise<never>((_, reject) => {
    late = setTimeout(() => reject(new Error(`it did not stop within ${DRIVER_STOP_MS_MAX} ms`)), DRIVER_STOP_MS_MAX)
  })
  try {
    await Promise.race([driver.stop(), patience])
  } catch (cause) {
    logger.warn('driver-stop-failed', { driver: driver.name, cause })
  } finally {
    clearTimeout(late)
  }
}

/**
 * `began`: once everyone who was spawned in the turn of this call has begun, after that turn. Direct children only: those
 * of nests are made by the rows and as many.
 */
function watchStarts(context: Context<never>, began: () => void): ReignContext {
  const waiting = new Set<string>()
  let isTold = false
  return {
    log: context.log,
    random: context.random,
    spawnSilent: name => context.spawnSilent(name),
    spawn(spec) {
      waiting.add(spec.name)
      return context.spawn({
        ...spec,
        start(child) {
          const behaviour = spec.start(child)
          waiting.delete(spec.name)
          if (waiting.size === 0 && !isTold) {
            isTold = true
            began()
          }
          return behaviour
        },
      })
    },
  }
}
