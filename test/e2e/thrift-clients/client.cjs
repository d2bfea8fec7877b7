// Drives a node through a client that the Thrift compiler has made: client.cjs GENERATED URL json|binary EXECUTOR_DATA.
const { join } = require('node:path')
const { setTimeout: pause } = require('node:timers/promises')
const thrift = require('thrift')

const [generated, url, protocol, data] = process.argv.slice(2)
const AuroraAdmin = require(join(generated, 'AuroraAdmin.js'))
const types = require(join(generated, 'daybreak_types.js'))

const kind = `application/vnd.apache.thrift.${protocol}`
const { hostname, port } = new URL(url)
const connection = thrift.createHttpConnection(hostname, Number(port), {
  transport: thrift.TBufferedTransport,
  protocol: protocol === 'json' ? thrift.TJSONProtocol : thrift.TBinaryProtocol,
  path: '/api',
  headers: { 'Content-Type': kind, Accept: kind },
})
connection.on('error', error => {
  throw error
})
const client = thrift.createHttpClient(AuroraAdmin, connection)
const key = new types.JobKey({ role: 'www-data', environment: 'devel', name: `js-${protocol}` })

const anywhere = new types.TaskConstraint({ limit: new types.LimitConstraint({ limit: 10 }) })
const nowhere = new types.TaskConstraint({ value: new types.ValueConstraint({ negated: false, values: ['none'] }) })

function configuration(name, constraint) {
  const taskConfig = new types.TaskConfig({
    job: key,
    owner: new types.Identity({ user: 'www-data' }),
    isService: true,
    priority: 0,
    maxTaskFailures: 1,
    tier: 'preemptible',
    resources: [{ numCpus: 0.1 }, { ramMb: 32 }, { diskMb: 32 }].map(amount => new types.Resource(amount)),
    constraints: [new types.Constraint({ name, constraint })],
    executorConfig: new types.ExecutorConfig({ name: 'AuroraExecutor', data }),
    metadata: [],
  })
  const owner = new types.Identity({ user: 'www-data' })
  return new types.JobConfiguration({ key, owner, taskConfig, instanceCount: 2, cronCollisionPolicy: 0 })
}

const codes = new Map(Object.entries(types.ResponseCode).map(([name, number]) => [number, name]))
const code = response => codes.get(response.responseCode)
const say = (step, facts) => console.log(JSON.stringify({ step, ...facts }))

async function running(...others) {
  const query = new types.TaskQuery({ jobKeys: [key], statuses: [types.ScheduleStatus.RUNNING, ...others] })
  const { tasks } = (await client.getTasksStatus(query)).result.scheduleStatusResult
  return tasks.map(({ assignedTask: { instanceId, taskId } }) => [instanceId, taskId]).sort(([a], [b]) => a - b)
}

async function wait(until, ...others) {
  for (let n = 0; n < 600; n++) {
    const seen = await running(...others)
    if (until(seen)) return seen
    await pause(100)
  }
  throw new Error(`never came to it: ${JSON.stringify(await running())}`)
}
const instances = seen => seen.map(([instance]) => instance)

async function main() {
  say('create', { code: code(await client.createJob(configuration('host', anywhere))) })
  const first = await wait(seen => seen.length === 2)
  say('status', { instances: instances(first) })
  say('again', { code: code(await client.createJob(configuration('host', anywhere))) })
  say('add', { code: code(await client.addInstances(new types.InstanceKey({ jobKey: key, instanceId: 0 }), 1)) })
  say('added', { instances: instances(await wait(seen => seen.length === 3)) })
  say('restart', { code: code(await client.restartShards(key, [0])) })
  const after = await wait(seen => seen.length === 3 && seen[0][1] !== first[0][1])
  say('restarted', { others: after[1][1] === first[1][1] })
  say('kill', { code: code(await client.killTasks(key, [2], 'not needed')) })
  say('killed', { instances: instances(await wait(seen => seen.length === 2)) })
  say('killall', { code: code(await client.killTasks(key, [], null)) })
  await wait(seen => seen.length === 0, types.ScheduleStatus.KILLING)

  say('nowhere', { code: code(await client.createJob(configuration('zone', nowhere))) })
  let reasons = []
  for (let n = 0; n < 600; n++) {
    const answer = await client.getPendingReason(new types.TaskQuery({ jobKeys: [key] }))
    reasons = answer.result.getPendingReasonResult.reasons
    if (reasons.length === 2 && reasons.every(({ reason }) => reason)) break
    await pause(100)
  }
  say('pending', { reasons: [...new Set(reasons.map(({ reason }) => reason))].sort() })
  await client.killTasks(key, null, null)
  const { quota } = (await client.getQuota('www-data')).result.getQuotaResult
  say('quota', {
    limits: quota.resources.map(({ numCpus }) => numCpus).filter(cpus => cpus !== null && cpus !== undefined),
  })
}

main().then(
  () => process.exit(0),
  error => {
    console.error(error)
    process.exit(1)
  },
)
