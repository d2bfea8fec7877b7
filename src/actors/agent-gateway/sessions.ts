/**
 * The connections of agents, each from its first frame to its end. One agent has one session; a connection without a
 * HELLO belongs to nobody yet. Whatever ends a connection, silence too, ends its session here, once.
 */
import type { AgentId } from '../../core/base/ids.ts'
import { type AgentToLeader, CLOSE, type LeaderToAgent, type TaskReport } from '../../wire/messages/agent.ts'
import type { Context } from '../actor.ts'
import type { GatewayWorld } from '../agent-gateway.ts'
import type { Connection } from '../ports.ts'

type AgentConnection = Connection<AgentToLeader, LeaderToAgent>

export interface Session {
  readonly connection: AgentConnection
  readonly listenerNonce: string
  /**
   * `greeting`: no HELLO yet; `admitting`: its row is on its way into the log, and nothing may be said before WELCOME;
   * `listing`: WELCOME sent, its task list is coming; `ready`: takes launches.
   */
  phase: 'greeting' | 'admitting' | 'listing' | 'ready' | 'closed'
  agentId: AgentId | null
  host: string
  /** It runs what it has and takes nothing new. */
  isDraining: boolean
  /** The pages of its task list so far. */
  listed: TaskReport[]
  lastFrameMonoMs: number
}

export type SessionMessage =
  | { readonly type: 'connected'; readonly connection: AgentConnection; readonly nonce: string }
  | { readonly type: 'received'; readonly session: Session; readonly message: AgentToLeader }
  | { readonly type: 'closed'; readonly session: Session; readonly reason: string }

export interface Sessions {
  readonly greeting: number
  /** Agents with a session, in whatever phase. */
  readonly agents: number
  of(id: AgentId): Session | undefined
  /** Only when it takes launches. */
  ready(id: AgentId): Session | undefined
  readyCount(): number
  connected(connection: AgentConnection, listenerNonce: string): void
  /** It has said who it is: from here on it holds the agent's place. */
  bind(session: Session, id: AgentId, host: string): void
  /** Says why, and ends it. `because`: for our log, where it differs from what the agent is told. */
  refuse(session: Session, code: RefusalCode, text: string, because?: string): void
  drop(session: Session, code: number, reason: string): void
  closed(session: Session, reason: string): void
  dropSilent(nowMonoMs: number): void
  dropAll(reason: string): void
}

type RefusalCode = Extract<LeaderToAgent, { type: 'REJECT' }>['code']

/** For a connection that has not said HELLO. */
const HELLO_MS_MAX = 10_000
/** Connections that have not said HELLO; an honest agent does at once, so the oldest makes way for one more. */
const GREETING_MAX = 1000
const REJECT_RETRY_MS = 10_000

/** `byAgent`: where the sessions of agents are kept. `onLeft`: one of those has ended. */
export function openSessions(
  context: Context<SessionMessage>,
  { epoch, listener, metrics, silenceMsMax }: GatewayWorld,
  byAgent: Map<AgentId, Session>,
  onLeft: (id: AgentId, session: Session, wasReady: boolean) => void,
): Sessions {
  const greeting = new Set<Session>()
  const all = (): Session[] => [...byAgent.values(), ...greeting]

  /** Told of, and not taken in yet: if this actor ends before, nobody else would close them. */
  const arriving = new Set<AgentConnection>()

  listener.onConnection = (connection, nonce) => {
    arriving.add(connection)
    takeIn(connection, { type: 'connected', connection, nonce })
  }

  function takeIn(connection: AgentConnection, message: SessionMessage): void {
    if (context.self.tell(message)) return
    arriving.delete(connection)
    connection.close(CLOSE.goingAway, 'the scheduler has more work than it can take in')
  }

  function connected(connection: AgentConnection, listenerNonce: string): void {
    arriving.delete(connection)
    const session: Session = {
      connection,
      listenerNonce,
      phase: 'greeting',
      agentId: null,
      host: '?',
      isDraining: false,
      listed: [],
      lastFrameMonoMs: context.now().monoMs,
    }
    const [oldest] = greeting
    if (oldest !== undefined && greeting.size >= GREETING_MAX)
      drop(oldest, CLOSE.goingAway, 'too many connections wait here without a HELLO')
    greeting.add(session)
    connection.onClose = (_, reason) => void context.self.tell({ type: 'closed', session, reason })
    connection.onMessage = message => takeIn(connection, { type: 'received', session, message })
  }

  function bind(session: Session, id: AgentId, host: string): void {
    greeting.delete(session)
    session.agentId = id
    session.host = host
    session.phase = 'admitting'
    byAgent.set(id, session)
  }

  function refuse(session: Session, code: RefusalCode, text: string, because = text): void {
    session.connection.send({ type: 'REJECT', epoch, code, message: text, retryAfterMs: REJECT_RETRY_MS })
    metrics.count('agents_refused_total', 1, { code })
    context.log.warn('agent-refused', { remote: session.connection.remote, because })
    drop(session, CLOSE.rejected, text)
  }

  function drop(session: Session, code: number, reason: string): void {
    session.connection.close(code, reason)
    closed(session, reason)
  }

  function closed(session: Session, reason: string): void {
    if (session.phase === 'closed') return
    const wasReady = session.phase === 'ready'
    session.phase = 'closed'
    greeting.delete(session)
    const { agentId: id, host } = session
    if (id === null || byAgent.get(id) !== session) return
    byAgent.delete(id)
    onLeft(id, session, wasReady)
    context.log.warn('agent-disconnected', { agent: id, host, because: reason === '' ? 'closed' : reason })
  }

  return {
    get greeting() {
      return greeting.size
    },
    get agents() {
      return byAgent.size
    },
    of: id => byAgent.get(id),
    ready: id => {
      const session = byAgent.get(id)
      return session?.phase === 'ready' ? session : undefined
    },
    readyCount: () => [...byAgent.values()].filter(session => session.phase === 'ready').length,
    connected,
    bind,
    refuse,
    drop,
    closed,
    dropSilent(nowMonoMs) {
      for (const session of all()) {
        const limitMs = session.phase === 'greeting' ? HELLO_MS_MAX : silenceMsMax
        if (nowMonoMs - session.lastFrameMonoMs > limitMs)
          drop(session, CLOSE.goingAway, `silent for over ${limitMs / 1000} s`)
      }
    },
    dropAll(reason) {
      for (const connection of arriving) connection.close(CLOSE.goingAway, reason)
      arriving.clear()
      for (const session of all()) drop(session, CLOSE.goingAway, reason)
    },
  }
}
