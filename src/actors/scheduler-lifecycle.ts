/**
 * The SchedulerLifecycle of a node: keeps its state, and begins and ends reigns. It is told by the ledger who leads, by
 * the driver whether it was let in, and by the actors of the reign that they have begun; what follows is decided in
 * core/lifecycle/scheduler-states.ts.
 *
 * It stands beside the actors of the reign and not among them, so whatever they are busy with, a registration reaches it.
 */
import { assertNever } from '../core/base/assert.ts'
import {
  IDLE_LIFE,
  invariants,
  LIFE_SETTINGS,
  type LifeEffect,
  type LifeEvent,
  type LifeMessage,
  type LifeSettings,
  type SchedulerLife,
  step,
} from '../core/lifecycle/scheduler-states.ts'
import type { ActorSpec, AnyRef, Context } from './actor.ts'
import type { Ballot, DriverPort, Logger, TransferOutcome } from './ports.ts'

/** The actors that act for the cluster, as those who begin and end a reign see them. */
export interface ReignPort {
  /**
   * Makes them, under the actor that is answered; its end without `end` is a failure. Null: leadership is lost already,
   * as will be told. `failed` when they could not be made; then nothing of them has acted. `began` once each of them has;
   * `resigned` when they want their reign to end.
   */
  start(epoch: Ballot, told: ReignWord): AnyRef | null
  /** From now on clients and agents find them. */
  advertise(): void
  /** Nobody finds them any more; settles when they are gone. Harmless without any. */
  end(reason: string): Promise<void>
}

export interface ReignWord {
  began(): void
  failed(cause: unknown): void
  resigned(reason: string): void
}

export interface SchedulerLifecycleOptions {
  readonly driver: DriverPort
  readonly reign: ReignPort
  /** Gives leadership to whoever holds most. */
  readonly handOver: () => Promise<TransferOutcome>
  /** It has failed too often: the process must end. */
  readonly endProcess: (cause: unknown) => void
  /** After every step, before its effects. */
  readonly onLife: (life: SchedulerLife) => void
  readonly logger: Logger
  readonly settings?: Partial<LifeSettings>
}

export type Command = LifeMessage

export function schedulerLifecycleSpec(options: SchedulerLifecycleOptions): ActorSpec<Command> {
  const settings: LifeSettings = { ...LIFE_SETTINGS, ...options.settings }
  return {
    name: 'scheduler-lifecycle',
    kind: 'SchedulerLifecycle',
    // Without it a node would lead and not serve, or serve and not end.
    supervision: { type: 'endProcess' },
    start: context => {
      let life = IDLE_LIFE
      let electedMs = 0
      return {
        receive(message) {
          if (message.type === 'elected') electedMs = context.now().monoMs
          const next = step(life, message, context.now(), settings)
          invariants(next.life)
          life = next.life
          options.onLife(life)
          for (const effect of next.effects) run(effect, options, context, electedMs)
        },
        summary: () => ({
          state: life.state,
          phase: life.phase,
          reign: life.reign,
          epoch: life.epoch === null ? null : life.epoch.join('.'),
          fruitless: life.fruitless,
          failures: life.failuresMs.length,
        }),
      }
    },
  }
}

function run(
  effect: LifeEffect,
  options: SchedulerLifecycleOptions,
  context: Context<Command>,
  electedMs: number,
): void {
  const { driver, reign: services, logger } = options
  const { self } = context
  switch (effect.type) {
    case 'startDriver': {
      const { reign, epoch } = effect
      return attempt(context, reign, () =>
        driver.start(epoch, {
          registered: () => void self.tell({ type: 'registered', reign }),
          exited: reason => void self.tell({ type: 'driverExited', reign, reason }),
        }),
      )
    }
    case 'startServices': {
      const { reign, epoch } = effect
      return attempt(context, reign, () => {
        const root = services.start(epoch, {
          began: () => void self.tell({ type: 'servicesBegan', reign }),
          failed: cause => void self.tell({ type: 'failed', reign, cause }),
          resigned: reason => void self.tell({ type: 'resigned', reign, reason }),
        })
        if (root === null) return
        // Told after `failed`, and after an end that was asked for, it says nothing new and is ignored.
        const cause = new Error(`${root.path} has ended: an actor below it has failed for good, see actor-failed`)
        context.watch(root, { type: 'failed', reign, cause })
      })
    }
    case 'advertise':
      return services.advertise()
    case 'endReign': {
      const { reign, reason } = effect
      // In this order: what still leaves for the machines goes through the driver.
      const ended = services.end(reason).then(() => driver.stop())
      return context.pipe(ended, result => {
        if (!result.ok) logger.warn('driver-stop-failed', { driver: driver.name, cause: result.cause })
        return { type: 'ended', reign }
      })
    }
    case 'handOver': {
      const { reign } = effect
      return context.pipe(options.handOver(), result => ({ type: 'handedOver', reign, how: told(result) }))
    }
    case 'startTimer':
      return context.startTimer(effect.key, effect.afterMs, effect.message)
    case 'cancelTimer':
      return context.cancelTimer(effect.key)
    case 'endProcess':
      return options.endProcess(effect.cause)
    case 'say':
      return say(effect.what, driver, logger, () => Math.round(context.now().monoMs - electedMs))
    default:
      return assertNever(effect)
  }
}

/** A step that throws ends its reign, not this actor. */
function attempt(context: Context<Command>, reign: number, act: () => void): void {
  try {
    act()
  } catch (cause) {
    context.self.tell({ type: 'failed', reign, cause })
  }
}

function told(result: { ok: true; value: TransferOutcome } | { ok: false; cause: unknown }): string {
  if (!result.ok) return result.cause instanceof Error ? result.cause.message : String(result.cause)
  const { value } = result
  if (value.type === 'moved') return `member ${value.memberId} leads now`
  return value.type === 'already' ? 'this node is the one to lead' : value.detail
}

function say(what: LifeEvent, driver: DriverPort, logger: Logger, sinceElectedMs: () => number): void {
  switch (what.type) {
    case 'elected':
      return logger.info('Elected as leading scheduler!', { epoch: what.epoch, driver: driver.name })
    case 'leading':
      return logger.info('leading', { epoch: what.epoch, startMs: sinceElectedMs() })
    case 'notRegistered':
      return logger.error('Framework has not been registered within the tolerated delay.', {
        driver: driver.name,
        toleratedMs: what.toleratedMs,
        next: 'this node gives up leadership; look at what the driver registers with, or raise scheduler.registrationDelay',
      })
    case 'driverExited':
      return logger.error('Driver exited, terminating lifecycle.', { driver: driver.name, because: what.reason })
    case 'resigned':
      return logger.info('reign-resigned', { because: what.reason })
    case 'reignFailed':
      return logger.error('reign-failed', { cause: what.cause, failures: what.failures })
    case 'lost':
      return logger.warn('leadership-ended', { because: what.reason })
    case 'endingLate':
      return logger.error('reign-ending-late', {
        driver: driver.name,
        afterMs: what.afterMs,
        next: 'leadership is given away all the same; the driver, or an actor of /inspect, does not stop',
      })
    case 'notRelieved':
      return logger.warn('leadership-kept', {
        because: what.how,
        pauseMs: what.pauseMs,
        next: 'clients are refused until a try succeeds: see the error before this line',
      })
    case 'alreadyDead':
      return logger.info('Shutdown already invoked, ignoring extra call.')
    default:
      return assertNever(what)
  }
}
