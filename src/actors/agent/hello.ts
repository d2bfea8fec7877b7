import type { AgentIdentity, Capacity } from '../../core/executor/agent-book.ts'
import { AGENT_PROTOCOL_MAX, AGENT_PROTOCOL_MIN, type Hello } from '../../wire/messages/agent.ts'
import type { AgentActorOptions } from '../agent.ts'
import type { Link } from './agent-message.ts'

/** The first frame on a new connection: who we are, what we prove, what we offer, what we know of the cluster. */
export function helloOf(
  options: AgentActorOptions,
  identity: AgentIdentity,
  { resources, revocableCpusMilli, portRanges, draining, executors }: Capacity,
  link: Pick<Link, 'nonce' | 'listenerNonce'>,
  counts: { readonly taskCount: number; readonly outboxCount: number },
): Hello {
  return {
    type: 'HELLO',
    nonce: link.nonce,
    proof: options.secret?.prove(link.listenerNonce, link.nonce) ?? '',
    agentId: identity.agentId,
    instanceId: options.instanceId,
    bootId: options.machine.bootId,
    agentVersion: options.agentVersion,
    protoMin: AGENT_PROTOCOL_MIN,
    protoMax: AGENT_PROTOCOL_MAX,
    host: options.host,
    logUrl: options.logUrl,
    attributes: options.attributes.map(({ name, values }) => ({ name, values: [...values] })),
    resources: { ...resources },
    portRanges: portRanges.map(([from, to]): [number, number] => [from, to]),
    isolation: { cpu: false, memory: false, pids: false, disk: false },
    executors: [...executors],
    draining,
    clusterId: identity.clusterId,
    maxEpoch: identity.maxEpoch === null ? null : [identity.maxEpoch[0], identity.maxEpoch[1]],
    maxPosition: identity.maxPosition,
    ...(options.place === undefined ? {} : { place: options.place }),
    ...(options.workDir === undefined ? {} : { workDir: options.workDir }),
    ...(revocableCpusMilli === undefined ? {} : { revocableCpusMilli }),
    ...counts,
  }
}
