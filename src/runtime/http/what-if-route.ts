/** Trials over REST: what would happen. Nothing is changed, so no request id is kept. */
import type { FastifyInstance } from 'fastify'
import type { Ref } from '../../actors/actor.ts'
import type { TriedOut } from '../../actors/what-if.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { JobConfiguration } from '../../core/job/task-config.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { leading, notReady } from './leader-guard.ts'
import { asked, parsed, refuse } from './rest-answers.ts'
import { API } from './routes.ts'

const TRIAL_MS_MAX = 40_000
const PLACEMENTS_SHOWN_MAX = 100

export function addWhatIfRoute(app: FastifyInstance, deps: HttpDeps): void {
  app.post(`${API}/what-if`, async (request, reply) => {
    const body = parsed(reply, rest.whatIf, request.body ?? {})
    const scheduler = body === null ? null : leading(deps, request, reply)
    if (body === null || scheduler === null) return reply
    const ref = scheduler.whatIf()
    if (ref === null) return refuse(reply, notReady())
    const { drain, lose, isCreation, seed = null } = body
    // The schema is the type: only optional keys differ in how they may be absent.
    const apply = body.apply as JobConfiguration[]
    const tried = await asked(
      scheduler,
      ref,
      (replyTo: Ref<TriedOut | Rejection>) => ({
        type: 'tryOut' as const,
        drain,
        lose,
        apply,
        isCreation,
        seed,
        replyTo,
      }),
      TRIAL_MS_MAX,
      () => rejected('BUSY', `No answer within ${TRIAL_MS_MAX / 1000} s`, { remedy: 'Ask again later.' }),
    )
    if (tried.type === 'rejected') return refuse(reply, tried)
    return reply.send(document(tried))
  })
}

function document({ plan, refused, warnings, quotaLeft }: TriedOut): rest.WhatIfPlan {
  return {
    seed: plan.seed,
    hosts: { ...plan.hosts },
    jobs: plan.jobs.map(({ key, asked: tasks, displaced, placed, pending, reasons, details }) => ({
      key,
      asked: tasks,
      displaced,
      placed: placed.length,
      placements: placed.slice(0, PLACEMENTS_SHOWN_MAX).map(({ instance, host }) => ({ instance, host })),
      pending: [...pending],
      reasons: [...reasons],
      details: [...details],
    })),
    preempted: plan.preempted.map(({ key, instance, host, inFavorOf }) => ({ key, instance, host, inFavorOf })),
    refused: refused.map(({ key, rejection: { code, detail, remedy = null, faults = [] } }) => ({
      key,
      code,
      detail,
      remedy,
      faults: faults.map(({ path, text }) => ({ path, text })),
    })),
    warnings: [...warnings],
    quotaLeft: quotaLeft.map(({ role, left: { cpusMilli, ramMb, diskMb, gpus } }) => ({
      role,
      cpusMilli,
      ramMb,
      diskMb,
      ...(gpus === undefined ? {} : { gpus }),
    })),
  }
}
