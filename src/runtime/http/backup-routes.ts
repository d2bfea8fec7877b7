/** Backups over REST: written, listed, staged, looked at and committed, all on the node that leads. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Ref } from '../../actors/actor.ts'
import type * as Backup from '../../actors/backup.ts'
import { jobKeyText } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import type { TaskRow } from '../../core/ledger/rows.ts'
import * as rest from '../../wire/rest.ts'
import type { HttpDeps, SchedulerDeps } from '../http-server.ts'
import { leading, notReady } from './leader-guard.ts'
import { mutateAt, type Target } from './mutation.ts'
import { comparePageKeys, readCursor, takePage } from './paging.ts'
import { asked, parsed, refuse } from './rest-answers.ts'
import { taskQueryOf } from './rest-views.ts'
import { API } from './routes.ts'

const QUESTION_MS_MAX = 30_000
const SHOWN_MAX = 1_000

const ref = (scheduler: SchedulerDeps) => scheduler.backup()
const NOW: Target<Backup.BackupNow, Backup.Written> = {
  ref,
  document: ({ file }): rest.BackupWritten => fileDocument(file),
}
const document = ({ name, tasks, jobs, dropped }: Backup.Staged): rest.StagedBackupView => {
  return { staged: name, tasks, jobs, dropped }
}
const STAGE: Target<Backup.StageBackup, Backup.Staged> = { ref, document }
const DROP: Target<Backup.DropTasks, Backup.Staged> = { ref, document }
const UNLOAD: Target<Backup.UnloadBackup, Backup.Staged> = { ref, document }
const COMMIT: Target<Backup.CommitBackup, Backup.Restored> = {
  ref,
  document: ({ name, killed, lost, rows }): rest.BackupRestored => ({ restored: name, killed, lost, rows }),
}

export function addBackupRoutes(app: FastifyInstance, deps: HttpDeps): void {
  app.get(`${API}/backups`, async (request, reply) => {
    const query = parsed(reply, rest.pageQuery, request.query)
    if (query === null) return reply
    const cursor = readCursor(query.cursor, ['number', 'string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const listed = await question<Backup.Listed>(deps, request, reply, replyTo => ({ type: 'list', replyTo }))
    if (listed === null) return reply
    const { folder, files, staged } = listed
    const keyed = files.map(file => [[file.atMs, file.name], file] as const)
    const { items, next } = takePage(
      keyed.sort(([a], [b]) => comparePageKeys(a, b)),
      cursor.after,
      query.limit,
    )
    return reply.send({ folder, backups: items.map(fileDocument), staged, next } satisfies rest.BackupList)
  })

  app.post(`${API}/backups`, (request, reply) => {
    const body = parsed(reply, rest.backupNow, request.body ?? {})
    if (body === null) return reply
    return mutateAt(NOW, deps, request, reply, { status: 201, body }, mutation => ({ type: 'backupNow', ...mutation }))
  })

  app.post(`${API}/backups::stage`, (request, reply) => {
    const body = parsed(reply, rest.stageBackup, request.body ?? {})
    if (body === null) return reply
    return mutateAt(STAGE, deps, request, reply, { status: 200, body }, mutation => {
      return { type: 'stage', name: body.name, ...mutation }
    })
  })

  app.get(`${API}/backups/tasks`, async (request, reply) => {
    const text = parsed(reply, rest.taskQuery, request.query)
    const query = text === null ? null : queryOf(reply, text)
    if (text === null || query === null) return reply
    const cursor = readCursor(text.cursor, ['string', 'number', 'string'])
    if (!cursor.ok) return refuse(reply, cursor.rejection)
    const shown = await question<Backup.Shown>(deps, request, reply, replyTo => ({ type: 'show', query, replyTo }))
    if (shown === null) return reply
    const keyed = shown.tasks.map(row => [[jobKeyText(row.job), row.instance, row.taskId], row] as const)
    const { items, next } = takePage(keyed, cursor.after, text.limit)
    return reply.send({ staged: shown.name, tasks: items.map(taskDocument), next } satisfies rest.BackupTaskList)
  })

  app.post(`${API}/backups::drop`, (request, reply) => {
    const body = parsed(reply, rest.dropBackupTasks, request.body ?? {})
    if (body === null) return reply
    const { all, ...filters } = body
    // Never "all" by accident.
    const isFiltered = Object.values(filters).some(part => part !== undefined && part.trim() !== '')
    if (isFiltered === (all === true)) {
      const found = `say either filters or \`all\`, found ${isFiltered ? 'both' : 'neither'}`
      return refuse(reply, rejected('INVALID_REQUEST', `The request is not valid: ${found}`))
    }
    const query = queryOf(reply, filters)
    if (query === null) return reply
    return mutateAt(DROP, deps, request, reply, { status: 200, body }, mutation => {
      return { type: 'drop', query, ...mutation }
    })
  })

  app.post(`${API}/backups::unload`, (request, reply) => {
    const body = parsed(reply, rest.unloadBackup, request.body ?? {})
    if (body === null) return reply
    return mutateAt(UNLOAD, deps, request, reply, { status: 200, body }, mutation => ({ type: 'unload', ...mutation }))
  })

  app.get(`${API}/backups/diff`, async (request, reply) => {
    const said = await question<Backup.Differs>(deps, request, reply, replyTo => ({ type: 'diff', replyTo }))
    return said === null ? reply : reply.send(diffDocument(said))
  })

  app.post(`${API}/backups::commit`, (request, reply) => {
    const body = parsed(reply, rest.commitBackup, request.body ?? {})
    if (body === null) return reply
    const { digest = null, force, reason = '' } = body
    if ((digest === null) !== (force === true)) {
      const text = 'The request is not valid: say either the `digest` of a diff, or `force`'
      return refuse(reply, rejected('INVALID_REQUEST', text, { remedy: 'GET /api/v1/backups/diff has the digest' }))
    }
    return mutateAt(COMMIT, deps, request, reply, { status: 200, body }, mutation => {
      return { type: 'commit', digest, reason, ...mutation }
    })
  })
}

/** Null: the reply has been sent. */
async function question<A extends { readonly type: string }>(
  deps: HttpDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  command: (replyTo: Ref<A | Rejection>) => Backup.Command,
): Promise<A | null> {
  const scheduler = leading(deps, request, reply)
  if (scheduler === null) return null
  const backup = scheduler.backup()
  const late = (): Rejection => rejected('BUSY', `No answer within ${QUESTION_MS_MAX / 1000} s`)
  const said = backup === null ? notReady() : await asked(scheduler, backup, command, QUESTION_MS_MAX, late)
  if (said.type !== 'rejected') return said as A
  refuse(reply, said as Rejection)
  return null
}

function queryOf(reply: FastifyReply, text: rest.TaskQueryText) {
  const query = taskQueryOf(text)
  if (!('path' in query)) return query
  refuse(reply, rejected('INVALID_REQUEST', 'The query is not valid', { faults: [query] }))
  return null
}

function fileDocument({ name, atMs, position, bytes }: Backup.Listed['files'][number]): rest.BackupWritten {
  return { name, atMs, position, bytes }
}

function taskDocument({ taskId, job, instance, status, host }: TaskRow): rest.BackupTask {
  return { taskId, job, instance, status, host: host ?? null }
}

function diffDocument({ name, plan }: Backup.Differs): rest.BackupDiff {
  const { digest, jobsAdded, jobsRemoved, jobsChanged, ...tasks } = plan.consequences
  const some = (rows: readonly TaskRow[]) => ({ count: rows.length, first: rows.slice(0, SHOWN_MAX).map(taskDocument) })
  return {
    staged: name,
    digest,
    killed: some(tasks.killed),
    lost: some(tasks.lost),
    again: some(tasks.again),
    forgotten: some(tasks.forgotten),
    jobsAdded: [...jobsAdded],
    jobsRemoved: [...jobsRemoved],
    jobsChanged: [...jobsChanged],
    rows: { ...plan.counts },
  }
}
