import { textOf } from '../../core/base/cause.ts'
import { LeaderSearch, REDIRECTS_MAX } from '../../core/executor/leader-search.ts'
import type { AgentActorOptions } from '../agent.ts'
import type { AgentContext, Dialed, LeaderConnection } from './agent-message.ts'

/** A connection that was just made; nothing has been said on it. */
export interface Dialled {
  readonly url: string
  readonly connection: LeaderConnection
  readonly listenerNonce: string
}

/** Dials until a leader takes the call; where and when is decided in `core/executor/leader-search.ts`. */
export class Dialler {
  readonly search: LeaderSearch
  private readonly options: AgentActorOptions
  private readonly context: AgentContext
  private readonly connected: (dialled: Dialled) => void
  private attempt = 0
  private dialing = false

  constructor(options: AgentActorOptions, context: AgentContext, connected: (dialled: Dialled) => void) {
    this.options = options
    this.context = context
    this.connected = connected
    this.search = new LeaderSearch(options.schedulers, options.redialMsMax)
  }

  get isDialing(): boolean {
    return this.dialing
  }

  dial(): void {
    const { url } = this.search
    if (this.dialing || url === null) return
    const attempt = ++this.attempt
    this.dialing = true
    this.context.pipe(this.options.dialer.dial(url), settled =>
      settled.ok
        ? { type: 'dialed', attempt, result: settled.value }
        : { type: 'dialFailed', attempt, because: textOf(settled.cause) },
    )
  }

  dialed(attempt: number, result: Dialed): void {
    if (!this.isCurrent(attempt)) return
    this.dialing = false
    if ('connection' in result) {
      const { connection, nonce } = result
      return this.connected({ url: this.search.url as string, connection, listenerNonce: nonce })
    }
    if (!this.search.redirected(result.redirect))
      return this.redial(
        `sent on to ${result.redirect}, after more than ${REDIRECTS_MAX} redirects or from https to http`,
      )
    this.dial()
  }

  dialFailed(attempt: number, because: string): void {
    if (!this.isCurrent(attempt)) return
    this.dialing = false
    this.redial(because)
  }

  /** After a pause. */
  redial(because: string): void {
    const { url, afterMs, failures, isNews } = this.search.failed(this.context.now().monoMs, this.context.random.next())
    this.options.metrics.count('agent_redials')
    if (isNews) this.context.log.info('agent-leader-unreachable', { url, because, failures })
    this.context.startTimer('dial', afterMs, { type: 'dial' })
  }

  private isCurrent(attempt: number): boolean {
    return this.dialing && attempt === this.attempt
  }
}
