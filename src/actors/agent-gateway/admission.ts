/**
 * Takes agents in: HELLO is judged, the agent's row goes into the log, and only then comes WELCOME, so an agent learns
 * its id when the cluster is sure to remember it. A second connection of an agent takes the place of the first.
 */
import { attributeFault } from '../../core/agents/attribute-faults.ts'
import { type HelloRefusal, refusalOf } from '../../core/agents/hello.ts'
import { placeWarnings } from '../../core/agents/place-attributes.ts'
import { type AgentFacts, changedFacts, registration } from '../../core/agents/registration.ts'
import { TakeOvers } from '../../core/agents/take-overs.ts'
import { type AgentId, agentId } from '../../core/base/ids.ts'
import type { AgentRow } from '../../core/ledger/rows.ts'
import { agentProof, leaderProof } from '../../wire/agent-proof.ts'
import {
  AGENT_PROTOCOL_MAX,
  AGENT_PROTOCOL_MIN,
  type AgentChanged,
  CLOSE,
  type Hello,
} from '../../wire/messages/agent.ts'
import type { Context } from '../actor.ts'
import type { GatewayWorld } from '../agent-gateway.ts'
import type { Session, Sessions } from './sessions.ts'

export interface Admission {
  greeted(session: Session, hello: Hello): void
  /** What a machine offers is not what it was. */
  changed(session: Session, update: AgentChanged): void
  forgetOldClaims(nowMonoMs: number): void
}

export function admission(
  context: Pick<Context<never>, 'now' | 'log'>,
  world: GatewayWorld,
  sessions: Sessions,
): Admission {
  const { ledger, broker, epoch, clusterId, metrics, crypto, agentKey, heartbeatMs } = world
  const takeOvers = new TakeOvers()

  function greeted(session: Session, hello: Hello): void {
    const stranger = judged(session, hello)
    if (stranger !== null) return sessions.refuse(session, stranger.code, stranger.text, stranger.because)
    const refusal = ledger.refusal()
    if (refusal !== null) return sessions.drop(session, CLOSE.notLeader, refusal.detail)

    const id = hello.agentId === null ? agentId(crypto.uuid()) : agentId(hello.agentId)
    const older = sessions.of(id)
    const duplicate = takeOvers.claimed(id, hello, older !== undefined, context.now().monoMs)
    if (duplicate !== null) {
      if (older !== undefined) sessions.refuse(older, 'duplicate', duplicate)
      return sessions.refuse(session, 'duplicate', duplicate)
    }
    if (older !== undefined) sessions.drop(older, CLOSE.replaced, 'another connection of this agent took over')
    sessions.bind(session, id, hello.host)
    session.isDraining = hello.draining
    stage(id, hello, () => welcome(session, id, hello.nonce))
  }

  function judged({ listenerNonce }: Session, hello: Hello): HelloRefusal | null {
    return refusalOf(hello, {
      proof: agentProof(crypto.hmac, agentKey, listenerNonce, hello.nonce),
      protoMin: AGENT_PROTOCOL_MIN,
      protoMax: AGENT_PROTOCOL_MAX,
      clusterId,
    })
  }

  function welcome(session: Session, id: AgentId, agentNonce: string): void {
    if (session.phase !== 'admitting') return
    session.phase = 'listing'
    metrics.count('agents_admitted_total')
    session.connection.send({
      type: 'WELCOME',
      epoch,
      proof: leaderProof(crypto.hmac, agentKey, session.listenerNonce, agentNonce),
      agentId: id,
      clusterId,
      position: ledger.applied,
      heartbeatMs,
      serverTimeMs: context.now().wallMs,
    })
  }

  function changed(session: Session, update: AgentChanged): void {
    const { agentId: id, connection } = session
    if (id === null || session.phase !== 'ready') return
    const fault = attributeFault(update.attributes)
    if (fault !== null) return sessions.refuse(session, 'attributes', fault)
    session.isDraining = update.draining
    if (session.isDraining) broker.tell({ type: 'agentDown', agentId: id })
    // Not acknowledged, so it comes again.
    if (ledger.refusal() !== null) return
    stage(id, update, () => {
      connection.send({ type: 'UPDATE_AGENT_ACK', epoch, n: update.n })
      if (session.phase === 'ready' && !session.isDraining) broker.tell({ type: 'agentUp', agentId: id })
    })
  }

  function stage(id: AgentId, facts: AgentFacts, then: () => void): void {
    const before = ledger.view.agent(id)
    const transaction = registration(id, facts, before, context.now().wallMs)
    ledger.stage(transaction, () => {
      const [change] = transaction.changes
      if (change?.type === 'put' && change.table === 'agent') tellChange(before, change.row)
      then()
    })
  }

  function tellChange(before: AgentRow | undefined, row: AgentRow): void {
    const { agentId: agent, host, total, attributes } = row
    const shown = {
      total: JSON.stringify(total),
      attributes: attributes.map(({ name, values }) => `${name}=${values.join()}`).join(' '),
    }
    if (before === undefined) {
      context.log.info('agent-registered', { agent, host, ...shown })
      for (const text of placeWarnings(row)) context.log.warn('agent-place-unknown', { agent, host, text })
      return
    }
    const changed = changedFacts(before, row)
    if (changed.length > 0) context.log.info('agent-changed', { agent, host, changed: changed.join(), ...shown })
  }

  return { greeted, changed, forgetOldClaims: nowMonoMs => takeOvers.forgetOld(nowMonoMs) }
}
