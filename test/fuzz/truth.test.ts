/**
 * What is said of messages is true: any interleaving of what an app and its peers may do, held against a client of our own that reads
 * strictly and a model of what may be said `delivered` and `unconfirmed`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { until } from '../support/app.js'
import { tries } from '../support/proof.js'
import { scenarios } from '../support/truth-steps.js'
import { play, startWorld } from '../support/truth-world.js'
import type { Ways } from '../support/truth-world.js'

const { FUZZ_CASES, FUZZ_SEED: seed, FUZZ_PATH: path } = process.env

const worlds: Array<[name: string, ways: Ways]> = [
  ['TCP', {}],
  ['TLS', { secure: true }],
  ['small kernel buffers', { unix: true }],
  ['permessage-deflate', { deflate: true }],
  ['permessage-deflate over TLS', { deflate: true, secure: true }],
  ['a class of the app\'s own', { sends: 'at once' }],
  ['a class whose send is late', { sends: 'in a later turn' }],
  ['a class whose send awaits', { sends: 'in a promise' }],
  ['a class whose send is late, with permessage-deflate', { sends: 'in a later turn', deflate: true }],
  ['a class whose send awaits, with small kernel buffers', { sends: 'in a promise', unix: true }]
]

const RUNS = Math.ceil(Number(FUZZ_CASES ?? tries('truth')) / worlds.length)

/** What keeps a process alive, but for the test runner's own. */
const resources = (): string[] => process.getActiveResourcesInfo().filter((name) => /^(TCP|TLS|Pipe|Timeout|Immediate|FSReq)/.test(name)).toSorted()

for (const [name, ways] of worlds) {
  test(`whatever an app and its peers do, what is said of messages is true: ${name}`, { timeout: 3_600_000 }, async (t) => {
    const before = resources()
    const stray: unknown[] = []
    const caught = (error: unknown): void => { stray.push(error) }
    process.on('unhandledRejection', caught).on('uncaughtException', caught)
    const cleanups: Array<() => unknown> = []
    try {
      const world = await startWorld({ after: (cleanup: () => unknown) => { cleanups.unshift(cleanup) } } as Pick<TestContext, 'after'>, ways)
      const details = await fc.check(fc.asyncProperty(scenarios, async (scenario) => {
        await play(world, scenario)
        assert.deepEqual(stray.splice(0), [], 'something was thrown that nobody caught')
      }), {
        numRuns: RUNS,
        endOnFailure: process.env.FUZZ_SHRINK === 'false',
        interruptAfterTimeLimit: 1_800_000,
        ...(seed !== undefined && { seed: Number(seed) }),
        ...(path !== undefined && { path })
      })
      if (details.failed) {
        const again = `FUZZ_SEED=${details.seed} FUZZ_PATH=${details.counterexamplePath} node --import ./scripts/typescript.js --test --test-name-pattern=': ${name}$' test/fuzz/truth.test.ts`
        const cause = details.errorInstance
        throw new Error(`${fc.defaultReportMessage(details) ?? ''}\n${String(cause)}\nAgain: ${again}`, { cause })
      }
      const stats = world.app.lifeline.stats()
      t.diagnostic(JSON.stringify({ deliveries: stats.deliveries, pushes: stats.pushes, closed: stats.closed }))
      assert.deepEqual([stats.connections, stats.bufferedBytes, stats.groups], [0, 0, 0])
    } finally {
      for (const cleanup of cleanups) await cleanup()
      process.off('unhandledRejection', caught).off('uncaughtException', caught)
    }
    await until('no socket and no timer is left', () => resources().length <= before.length)
  })
}
