// Job files can be programs. This one makes the jobs of a small shop: three services that are alike but for their sizes,
// in two environments.
//
//   daybreak config list examples/shop.ts
//   daybreak job inspect local/www-data/prod/cart   examples/shop.ts --json
//   daybreak job create  local/www-data/devel/front examples/shop.ts --wait
//   daybreak job create  local/www-data/prod/front  examples/shop.ts --bind release=43 --wait
//
// prod counts against the quota of the role: daybreak quota set local/www-data 4 4GB 4GB
//
// `daybreak` runs it with esbuild: imports of your own files and packages work, types are for your editor and for tsc.
// What it exports is a job, a list of jobs, {jobs, bind, profiles}, or a function that returns one of them.
import { defineJobFile, type WrittenJob } from 'daybreak'

interface Service {
  name: string
  /** Cores of one instance. */
  cpu: number
  /** By environment. */
  instances: { devel: number; prod: number }
}

const services: Service[] = [
  { name: 'front', cpu: 0.1, instances: { devel: 1, prod: 3 } },
  { name: 'cart', cpu: 0.1, instances: { devel: 1, prod: 2 } },
  { name: 'search', cpu: 0.2, instances: { devel: 1, prod: 4 } },
]

function jobOf({ name, cpu, instances }: Service): WrittenJob {
  return {
    name,
    role: 'www-data',
    cluster: 'local',
    service: true,
    profile: '{{environment}}',
    environments: {
      devel: { instances: instances.devel },
      prod: { instances: instances.prod, tier: 'preferred', constraints: { host: 'limit:1' } },
    },
    task: {
      resources: { cpu, ram: '{{profile.ram}}', disk: '64MB' },
      finalization_wait: 5,
      processes: [
        {
          name: 'server',
          // References are filled in as in any job file: the launch knows the port and the instance.
          cmdline: `exec node -e '
            const text = "${name} {{release}} ({{profile.level}}), instance {{mesos.instance}}\\n"
            require("node:http").createServer((request, response) => response.end(text)).listen({{thermos.ports[http]}})
            process.on("SIGTERM", () => process.exit(0))
          '`,
        },
      ],
    },
  }
}

export default defineJobFile({
  bind: { release: 42 },
  profiles: {
    devel: { ram: '64MB', level: 'debug' },
    prod: { ram: '128MB', level: 'info' },
  },
  jobs: services.map(jobOf),
})
