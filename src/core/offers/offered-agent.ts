/**
 * An agent that a resource manager offers, as our rows keep it. An offer tells what is free there now, not how large the
 * machine is, so the largest amounts that were ever offered stand for its size.
 */
import type { AgentId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { AgentRow, Unavailability } from '../ledger/rows.ts'
import type { OfferedRoom } from './offer-book.ts'
import { type OfferedAttribute, offeredAttributes } from './offered-attributes.ts'
import { portRangesOf } from './port-space.ts'

export interface ManagerOffer {
  readonly offerId: string
  readonly agentId: AgentId
  readonly host: string
  readonly attributes: readonly OfferedAttribute[]
  readonly room: OfferedRoom
  readonly unavailability?: Unavailability
}

/** Its mode stays, and since when it is known; what else is stored of it gives way to the offer. */
export function offeredAgent(
  offer: ManagerOffer,
  before: AgentRow | undefined,
  manager: string,
  nowWallMs: Instant,
): AgentRow {
  const { agentId, host, attributes, room, unavailability } = offer
  const { cpusMilli, ramMb, diskMb, gpus, portRanges } = room
  return {
    v: 1,
    agentId,
    host,
    attributes: offeredAttributes(attributes),
    // The machine is as large as the largest offer of it that was seen.
    total: {
      cpusMilli: Math.max(cpusMilli, before?.total.cpusMilli ?? 0),
      ramMb: Math.max(ramMb, before?.total.ramMb ?? 0),
      diskMb: Math.max(diskMb, before?.total.diskMb ?? 0),
      gpus: Math.max(gpus, before?.total.gpus ?? 0),
    },
    portRanges: before?.portRanges ?? portRangesOf(portRanges),
    mode: before?.mode ?? 'NONE',
    agentVersion: manager,
    firstSeenMs: before?.firstSeenMs ?? nowWallMs,
    ...(unavailability === undefined ? {} : { unavailability }),
    manager,
  }
}
