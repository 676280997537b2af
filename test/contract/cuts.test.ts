/**
 * Sessions whose lines are cut at every byte, and at random: what each side has is held against what the other has sent, and what was told.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import type { Connection } from '../../src/api/connection.js'
import { share } from '../support/proof.js'
import { until } from '../support/app.js'
import { relay } from './cutting.js'
import type { Cut } from './cutting.js'
import { Returning, serve } from './resumed.js'

/** How many bytes from the beginning each is cut at. */
const BYTES = 1_200

const SAID = 6

/** How many are tried at a time. */
const AT_ONCE = 12

/** A client whose connections are cut there: nothing is lost untold, nothing comes twice, and in the end it has a session. */
async function cutAt (t: TestContext, cuts: readonly Cut[]): Promise<{ resumes: number, gaps: number }> {
  const pushed = new Map<Connection, string[]>()
  const handled: string[] = []
  const { port: to, opened } = await serve(t, {}, (connection) => {
    const list = pushed.get(connection) ?? []
    const push = (): void => { if (/sent|buffered/.test(connection.push(`down ${list.length} ${'x'.repeat(20)}`))) list.push(`down ${list.length} ${'x'.repeat(20)}`) }
    if (!pushed.has(connection)) for (let i = 0; i < 5; i++) push()
    pushed.set(connection, list)
    connection.onMessage(async ({ data }) => {
      handled.push(String(data))
      push()
      await turnOver()
    })
  })
  const { port } = await relay(t, to, (nth) => cuts[nth] ?? {})
  const client = new Returning(t, port)
  for (let i = 0; i < SAID; i++) client.say(`up ${i} ${'y'.repeat(20)}`)
  await until('it has a session, and all is told', () => {
    client.session.tell(true)
    return client.session.attached && client.session.kept.length === 0
  })
  const last = opened.get(client.segments.at(-1)!.id)!
  await until('it has all of the last', () => client.segments.at(-1)!.got.length === pushed.get(last)!.length)
  for (const { id, got } of client.segments) assert.deepEqual(got, pushed.get(opened.get(id)!)!.slice(0, got.length))
  assert.equal(client.gaps.length, client.segments.length - 1)
  const unknown = new Set(client.gaps.flatMap((gap) => gap.unknown))
  const all = Array.from({ length: SAID }, (_, i) => `up ${i} ${'y'.repeat(20)}`)
  assert.deepEqual(handled, all.filter((text) => handled.includes(text)))
  assert.deepEqual(all.filter((text) => !handled.includes(text) && !unknown.has(text)), [])
  client.vanish()
  return { resumes: client.resumes, gaps: client.gaps.length }
}

for (const side of ['up', 'down'] as const) {
  for (const phase of ['the first wire', 'the wire that comes back'] as const) {
    test(`cut at every byte, ${side}, of ${phase}`, { timeout: 300_000 }, async (t) => {
      const step = BYTES / share(BYTES)
      const total = { resumes: 0, gaps: 0 }
      const from = Math.floor(Math.random() * step)
      const tries = Array.from({ length: share(BYTES) }, (_, i) => 1 + from + i * step)
      for (let i = 0; i < tries.length; i += AT_ONCE) {
        await t.test(`from byte ${tries[i]} on`, async (t) => {
          await Promise.all(tries.slice(i, i + AT_ONCE).map(async (at) => {
            // To come back there has to be something to come back to: by then both have spoken.
            const { resumes, gaps } = await cutAt(t, phase === 'the first wire' ? [{ [side]: at }] : [{ down: 700 }, { [side]: at }])
            total.resumes += resumes
            total.gaps += gaps
          }))
        })
      }
      t.diagnostic(`${share(BYTES)} cuts: resumed ${total.resumes} times, told a gap ${total.gaps} times`)
      assert.ok(total.resumes > 0)
      if (phase !== 'the first wire') assert.equal(total.gaps, 0)
    })
  }
}
