import { expect, test } from 'vitest'
import type { NodeConfig } from '../../src/runtime/config.ts'
import { configFacts } from '../../src/runtime/config-facts.ts'

test('a line a key; a password in a URL is not shown, the rest of it is', () => {
  const config = {
    http: { port: 8081 },
    scheduler: { webhook: { url: 'https://ann:s3cret@hooks.example/x:y@z' } },
    agent: { schedulers: ['http://a:b@h1:8081', 'http://h2:8081'] },
  } as unknown as NodeConfig
  expect(configFacts(config)).toEqual({
    'config_http.port': 8081,
    'config_scheduler.webhook.url': 'https://ann:***@hooks.example/x:y@z',
    'config_agent.schedulers': '["http://a:***@h1:8081","http://h2:8081"]',
  })
})
