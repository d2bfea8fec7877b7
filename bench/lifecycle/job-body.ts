/** What creates a service of small equal tasks: the body of `POST /api/v1/jobs`. Simulated agents run none of it. */
import type { JobKey } from '../../src/core/base/ids.ts'
import type { JobConfiguration } from '../../src/core/job/task-config.ts'

/** `onHost`: where its tasks have to run; one that is not there keeps them waiting. Default: anywhere. */
export function jobBody(key: JobKey, instanceCount: number, onHost?: string): { readonly job: JobConfiguration } {
  const process = { name: 'idles', cmdline: 'exec sleep 1000' }
  const data = {
    ...{ ...key, cluster: 'local', service: true },
    task: { name: key.name, processes: [process], resources: { cpu: 0.01, ram: 1 << 20, disk: 1 << 20, gpu: 0 } },
  }
  const host = { name: 'host', rule: { type: 'value', negated: false, values: [onHost ?? ''] } } as const
  const task = {
    ...{ job: key, owner: 'bench', isService: true, maxTaskFailures: -1, priority: 0, production: false },
    ...{ tier: 'preemptible', resources: { cpusMilli: 10, ramMb: 1, diskMb: 1, gpus: 0 }, ports: [], metadata: [] },
    constraints: onHost === undefined ? [] : [host],
    executor: { name: 'AuroraExecutor', data: JSON.stringify(data) },
  }
  return { job: { key, owner: 'bench', instanceCount, task } }
}
