"""Drives a node through a client that the Thrift compiler has made: client.py GENERATED URL json|binary EXECUTOR_DATA."""
import json
import sys
import time

generated, url, protocol, data = sys.argv[1:5]
sys.path.insert(0, generated)
from daybreak.api import AuroraAdmin  # noqa: E402
from daybreak.api import ttypes  # noqa: E402
from daybreak.api.ttypes import (  # noqa: E402
    Constraint, ExecutorConfig, Identity, InstanceKey, JobConfiguration, JobKey, LimitConstraint, Resource,
    ResponseCode, ScheduleStatus, TaskConfig, TaskConstraint, TaskQuery, ValueConstraint,
)
from thrift.protocol import TBinaryProtocol, TJSONProtocol  # noqa: E402
from thrift.transport import THttpClient  # noqa: E402

# The interface has sets of structs, and generated classes have no hash.
for made in vars(ttypes).values():
    if isinstance(made, type):
        made.__hash__ = object.__hash__

transport = THttpClient.THttpClient(url + '/api')
kind = 'application/vnd.apache.thrift.' + protocol
transport.setCustomHeaders({'Content-Type': kind, 'Accept': kind})
wire = TJSONProtocol.TJSONProtocol if protocol == 'json' else TBinaryProtocol.TBinaryProtocol
client = AuroraAdmin.Client(wire(transport))
key = JobKey(role='www-data', environment='devel', name='py-' + protocol)


def configuration(constraint):
    task = TaskConfig(
        job=key, owner=Identity(user='www-data'), isService=True, priority=0, maxTaskFailures=1, tier='preemptible',
        resources={Resource(numCpus=0.1), Resource(ramMb=32), Resource(diskMb=32)},
        constraints={constraint},
        executorConfig=ExecutorConfig(name='AuroraExecutor', data=data), metadata=set())
    return JobConfiguration(key=key, owner=Identity(user='www-data'), taskConfig=task, instanceCount=2,
                            cronCollisionPolicy=0)


def code(response):
    return ResponseCode._VALUES_TO_NAMES[response.responseCode]


def say(step, **facts):
    print(json.dumps({'step': step, **facts}), flush=True)


def running(*others):
    query = TaskQuery(jobKeys={key}, statuses={ScheduleStatus.RUNNING, *others})
    tasks = client.getTasksStatus(query).result.scheduleStatusResult.tasks
    return sorted((t.assignedTask.instanceId, t.assignedTask.taskId) for t in tasks)


def wait(until, *others):
    for _ in range(600):
        seen = running(*others)
        if until(seen):
            return seen
        time.sleep(0.1)
    raise SystemExit('never came to it: %r' % (running(),))


def instances(seen):
    return [i for i, _ in seen]


anywhere = Constraint(name='host', constraint=TaskConstraint(limit=LimitConstraint(limit=10)))
nowhere = Constraint(name='zone', constraint=TaskConstraint(value=ValueConstraint(negated=False, values={'none'})))
answer = client.createJob(configuration(anywhere))
say('create', code=code(answer))
first = wait(lambda seen: len(seen) == 2)
say('status', instances=instances(first))
say('again', code=code(client.createJob(configuration(anywhere))))
say('add', code=code(client.addInstances(InstanceKey(jobKey=key, instanceId=0), 1)))
say('added', instances=instances(wait(lambda seen: len(seen) == 3)))
say('restart', code=code(client.restartShards(key, {0})))
after = wait(lambda seen: len(seen) == 3 and seen[0][1] != first[0][1])
say('restarted', others=after[1][1] == first[1][1])
say('kill', code=code(client.killTasks(key, {2}, 'not needed')))
say('killed', instances=instances(wait(lambda seen: len(seen) == 2)))
say('killall', code=code(client.killTasks(key, set(), None)))
wait(lambda seen: seen == [], ScheduleStatus.KILLING)

say('nowhere', code=code(client.createJob(configuration(nowhere))))
for _ in range(600):
    reasons = client.getPendingReason(TaskQuery(jobKeys={key})).result.getPendingReasonResult.reasons
    if len(reasons) == 2 and all(r.reason for r in reasons):
        break
    time.sleep(0.1)
say('pending', reasons=sorted({r.reason for r in reasons}))
client.killTasks(key, None, None)
quota = client.getQuota('www-data').result.getQuotaResult
say('quota', limits=[r.numCpus for r in quota.quota.resources if r.numCpus is not None])
