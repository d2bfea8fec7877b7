import type { AgentStore, StoreChange } from '../agent-ports.ts'
import type { AgentContext } from './agent-message.ts'

/**
 * What must be durable before it is acted on. The store writes in the order of the calls, so an answer that goes
 * through here waits for everything before it; an empty change waits and writes nothing. A write that fails comes back
 * as `storeFailed`: what was promised cannot be kept.
 */
export class Journal {
  private readonly context: AgentContext
  private readonly store: AgentStore

  constructor(context: AgentContext, store: AgentStore) {
    this.context = context
    this.store = store
  }

  write(change: StoreChange, then: () => void = () => {}): void {
    this.context.pipe(this.store.write(change), settled =>
      settled.ok ? { type: 'stored', then } : { type: 'storeFailed', cause: settled.cause },
    )
  }
}
