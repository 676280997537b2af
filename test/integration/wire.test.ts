/**
 * What an app pushes, broadcasts and sends arrives byte for byte and in the order of the calls, whatever
 * way it takes: at three independent clients, compressed or not, over TLS or not.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { lackOf } from '../support/needs.js'
import { patience, tries } from '../support/proof.js'
import { dial } from '../support/raw-client.js'
import { openClient } from '../support/wire-clients.js'
import type { Kind } from '../support/wire-clients.js'
import { bytes, text } from '../support/wire-payloads.js'
import type { Shape } from '../support/wire-payloads.js'
import { flood, floods } from '../support/wire-flood.js'
import { endLine, lineOf } from '../support/wire-lines.js'
import { play, scenarios, startWorld } from '../support/wire-scenario.js'
import type { Step, World } from '../support/wire-scenario.js'
import { socketOf, startWire } from '../support/wire-server.js'

const lack = lackOf('python3-websockets')
const kinds: Kind[] = ['ws', 'raw', lack === false ? 'python' : 'ws']

const large = bytes(200_000)
const blob = (length: number): ReturnType<typeof bytes> => bytes(length, 'Blob')
const turn: Step = { do: 'turn', how: 'immediate' }
const tick: Step = { do: 'turn', how: 'nextTick' }
const shapes: Shape[] = ['Buffer', 'Uint8Array', 'Uint16Array', 'DataView', 'ArrayBuffer', 'SharedArrayBuffer']
const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 70_000, 200_000]
const to = 0

/** Each is played to all three clients at once. */
const rules: Array<[rule: string, steps: Step[]]> = [
  ['what is pushed, broadcast and sent in one turn arrives in the order of the calls', [
    { do: 'push', to, payload: text('a') }, { do: 'broadcast', payload: text('b') }, { do: 'send', to, payload: text('c') },
    { do: 'broadcast', payload: text('d') }, { do: 'broadcast', payload: large }, { do: 'push', to, payload: text('e') },
    { do: 'send', to, payload: bytes(70_000) }, { do: 'safePush', to, payload: large }, { do: 'broadcast', group: true, payload: text('f') },
    { do: 'send', to, payload: text('g') }, { do: 'push', to, payload: text('h') }, { do: 'broadcast', except: 1, payload: text('i') }
  ]],
  ['what is pushed, broadcast and sent over several turns arrives in the order of the calls', [
    { do: 'push', to, payload: text('a') }, tick, { do: 'push', to, payload: large }, { do: 'broadcast', payload: text('b') }, turn,
    { do: 'send', to, payload: text('c') }, { do: 'push', to, payload: text('d') }, { do: 'turn', how: 'microtask' }, { do: 'send', to, payload: text('e') },
    { do: 'broadcast', payload: large }, tick, { do: 'broadcast', payload: text('f') }, { do: 'push', to, payload: text('g') }
  ]],
  ['what is pushed between two fragments of the app\'s comes behind the last of them', [
    { do: 'push', to, payload: text('before') }, { do: 'fragment', to, payload: text('one, '), last: false }, { do: 'push', to, payload: text('pushed') },
    { do: 'broadcast', payload: text('broadcast') }, turn, { do: 'push', to, payload: large }, { do: 'fragment', to, payload: text('two, '), last: false }, tick,
    { do: 'push', to, payload: text('last') }, { do: 'fragment', to, payload: text('three'), last: true }, { do: 'push', to, payload: text('after') }
  ]],
  ['a ping of the app\'s goes at once between two fragments, also where something waits for the last of them', [
    { do: 'fragment', to, payload: text('one, '), last: false }, { do: 'push', to, payload: text('pushed') }, { do: 'ping', to, text: 'app' },
    { do: 'ask', to }, { do: 'pong', to, text: 'app' }, { do: 'fragment', to, payload: text('two'), last: true }
  ]],
  ['what is pushed after a Blob comes behind it, and before what the app sends then', [
    { do: 'push', to, payload: text('a') }, { do: 'send', to, payload: blob(70_000) }, { do: 'push', to, payload: text('b') }, { do: 'send', to, payload: text('c') },
    { do: 'broadcast', payload: large }, { do: 'send', to, payload: blob(10) }, { do: 'send', to, payload: blob(0) }, { do: 'push', to, payload: text('d') }, turn,
    { do: 'send', to, payload: blob(0) }, { do: 'push', to, payload: text('e') }, tick, { do: 'send', to, payload: text('f') }, { do: 'ping', to, text: 'app' }
  ]],
  ['what is pushed while a large Blob is read leaves after it, although the app sends nothing more', [
    { do: 'send', to, payload: blob(70_000) }, { do: 'push', to, payload: text('a') }
  ]],
  ['what is pushed while much of what the app sent waits leaves after it, although the app sends nothing more', [
    { do: 'send', to, payload: text('a', 6_000_000) }, { do: 'push', to, payload: text('b') }
  ]],
  ['what is pushed after an empty Blob comes behind it', [
    { do: 'send', to, payload: blob(0) }, { do: 'push', to, payload: text('a') }, { do: 'broadcast', payload: text('b') }
  ]],
  ['Blobs may be fragments: what is pushed between them comes behind the last', [
    { do: 'fragment', to, payload: blob(100), last: false }, { do: 'push', to, payload: text('a') }, { do: 'fragment', to, payload: blob(0), last: false }, turn,
    { do: 'push', to, payload: text('b') }, { do: 'fragment', to, payload: blob(70_000), last: true }, { do: 'push', to, payload: text('c') }, { do: 'send', to, payload: text('d') }
  ]],
  ...(['ping', 'pong'] as const).map((kind): [string, Step[]] => [`a ${kind} of the app's arrives between the messages around its call`, [
    { do: 'push', to, payload: text('a') }, { do: kind, to, text: 'app 1' }, { do: 'push', to, payload: large }, { do: kind, to, text: 'app 2' },
    { do: 'broadcast', payload: large }, { do: kind, to, text: 'app 3' }, { do: 'push', to, payload: text('b') }, { do: kind, to, text: '' }, { do: 'send', to, payload: text('c') }
  ]]),
  ['a ping of the app\'s with a Blob holds up what is pushed after it', [
    { do: 'push', to, payload: text('a') }, { do: 'ping', to, text: 'app 1', blob: true }, { do: 'push', to, payload: text('b') },
    { do: 'pong', to, text: 'app 2', blob: true }, { do: 'broadcast', payload: text('c') }, { do: 'send', to, payload: text('d') }
  ]],
  ['connection.ping() disturbs no order', [
    { do: 'push', to, payload: text('a') }, { do: 'ask', to }, { do: 'push', to, payload: large }, { do: 'ask', to }, { do: 'send', to, payload: text('b') }, turn, { do: 'ask', to }, { do: 'push', to, payload: text('c') }
  ]],
  ['what is written to a stream over the socket keeps its place among pushes', [
    { do: 'push', to, payload: text('a') }, { do: 'stream', to, payload: text('b') }, { do: 'push', to, payload: text('c') }, { do: 'stream', to, payload: large },
    { do: 'broadcast', payload: text('d') }, { do: 'send', to, payload: text('e') }, { do: 'stream', to, payload: text('f') }, { do: 'push', to, payload: large }
  ]],
  ['connection.close() comes behind what was pushed in its turn', [
    { do: 'push', to, payload: large }, { do: 'push', to, payload: text('a') }, { do: 'broadcast', payload: large }, { do: 'close', to, by: 'connection', code: 4999, reason: 'Grüße' }
  ]],
  ['socket.close() comes behind what was pushed in its turn', [
    { do: 'push', to, payload: large }, { do: 'push', to, payload: text('a') }, { do: 'broadcast', payload: large }, { do: 'close', to, by: 'socket', code: 1001, reason: 'bye' }
  ]],
  ['socket.close() without a code comes behind what was pushed and sent in its turn', [
    { do: 'send', to, payload: large }, { do: 'push', to, payload: text('a') }, { do: 'ping', to, text: 'app' }, { do: 'push', to, payload: text('b') }, { do: 'close', to, by: 'socket', reason: '' }
  ]],
  ['what waits for a Blob comes before connection.close()', [
    { do: 'send', to, payload: blob(10) }, { do: 'push', to, payload: text('a') }, { do: 'broadcast', payload: large }, { do: 'close', to, by: 'connection', code: 3000, reason: '' }
  ]],
  ['what waits for a Blob comes before socket.close()', [
    { do: 'send', to, payload: blob(0) }, { do: 'push', to, payload: text('a') }, { do: 'broadcast', payload: large }, { do: 'close', to, by: 'socket', code: 3000, reason: '' }
  ]],
  ['nothing follows a close', [
    { do: 'push', to, payload: text('a') }, { do: 'close', to, by: 'connection', reason: '' }, { do: 'push', to, payload: text('b') }, { do: 'send', to, payload: text('c') },
    { do: 'broadcast', payload: text('d') }, { do: 'ping', to, text: 'app' }, turn, { do: 'safePush', to, payload: large }, { do: 'close', to, by: 'socket', code: 1001, reason: '' }
  ]],
  ['a text of any length arrives', lengths.map((length) => ({ do: 'push', to, payload: text('a€🎈', length) }))],
  ['bytes of any length arrive', lengths.map((length) => ({ do: 'push', to, payload: bytes(length) }))],
  ['half a surrogate pair arrives as U+FFFD, and a whole one as what it is', [
    { do: 'push', to, payload: text('\ud83c') }, { do: 'push', to, payload: text('\udf88\ud83c') }, { do: 'broadcast', payload: text('\ud83c\udf88\u0000') }, { do: 'push', to, payload: text('\ud83c', 70_000) }
  ]],
  ['of a view its window arrives, and no byte around it', shapes.flatMap((as) => [1, 130, 70_000].map((length) => ({ do: 'push', to, payload: bytes(length * 2, as) })))],
  ['binary says whether text goes as bytes, and bytes as text', [true, false].flatMap((binary) => [
    { do: 'push', to, payload: text('€'), binary }, { do: 'push', to, payload: { as: 'Buffer', of: '€', length: 3 }, binary }, { do: 'broadcast', payload: { as: 'ArrayBuffer', of: '🎈', length: 70_000 }, binary },
    { do: 'push', to, payload: { as: 'json', value: { a: ['€', null, 1.5] } }, binary }, { do: 'send', to, payload: { as: 'DataView', of: 'é', length: 130 }, binary }
  ])]
]

const everywhere = (steps: Step[]): Step[] => steps.flatMap((step): Step[] => 'to' in step ? kinds.map((_, to) => ({ ...step, to })) : [step])

for (const secure of [false, true]) {
  for (const deflate of [false, true]) {
    describe(`on the wire, ${deflate ? 'compressed' : 'uncompressed'}${secure ? ', over TLS' : ''}`, () => {
      let world: World
      const cleanups: Array<() => unknown> = []
      before(async () => {
        world = await startWorld({ after: (cleanup: () => unknown) => { cleanups.push(cleanup) } } as Pick<TestContext, 'after'>, { secure, deflate, python: lack === false })
      })
      after(async () => {
        for (const cleanup of cleanups) await cleanup()
        assert.deepEqual(world.errors(), [])
      })

      for (const [rule, steps] of rules) {
        test(rule, () => play(world, { clients: kinds.map((kind) => ({ kind, deflate, member: true })), steps: everywhere(steps) }))
      }

      test('any sequence of pushes, broadcasts, sends, fragments, Blobs, streams, pings and closes arrives byte for byte and in order', async (t) => {
        if (lack !== false) t.diagnostic(`without Python: ${lack}`)
        await fc.assert(fc.asyncProperty(scenarios(kinds), (scenario) => play(world, scenario)), { numRuns: tries('wire'), interruptAfterTimeLimit: patience(60_000), markInterruptAsFailure: true })
      })
    })
  }
}

for (const secure of [false, true]) {
  test(`what a listener of "open" pushes, and what the handler pushes and sends before it returns, comes first and in order${secure ? ' (over TLS)' : ''}`, async (t) => {
    const { app, url } = await startWire(t, {}, secure, {
      greet: (socket, connection) => {
        connection.push('handler')
        socket.send('sent')
        app.lifeline.broadcast('broadcast')
        app.safePush(connection.fd, Buffer.alloc(200_000))
        socket.ping('app')
      }
    })
    app.lifeline.on('open', (connection) => { connection.push('open') })
    for (const kind of ['ws', 'raw'] as const) {
      const client = await openClient(t, kind, url, false, null)
      await client.until(6)
      client.close(1000)
      await client.ended()
      const expected = ['open', 'handler', 'sent', 'broadcast'].map((said) => lineOf('text', Buffer.from(said)))
      assert.deepEqual(client.came, [...expected, lineOf('binary', Buffer.alloc(200_000)), lineOf('ping', Buffer.from('app')), endLine(1000, '')])
    }
  })
}

test('a close between two fragments of the app\'s ends the message there: nothing that waited for its end is sent', async (t) => {
  const { app, url } = await startWire(t, {}, false)
  const client = await dial(t, url)
  const [connection] = app.lifeline
  socketOf(connection!).send('half', { fin: false })
  connection!.push('behind it')
  connection!.close(4000)
  await client.ended()
  assert.deepEqual([client.received.length, client.code, client.torn], [1, 4000, 'message'])
})

for (const secure of [false, true]) {
  const over = secure ? ' (over TLS)' : ''
  const KIB = 1024

  test(`a breach of policy "close" in the middle of a turn tears no frame: whole messages come, then the close frame with 1013${over}`, async () => {
    await fc.assert(fc.asyncProperty(floods, async (given) => {
      const victims = await flood(given, secure, { limit: 64 * KIB, policy: 'close' }, (states) => !states.includes('open'))
      for (const { client } of victims) {
        assert.equal(client.code, 1013)
        assert.notEqual(client.torn, 'frame')
      }
    }), { numRuns: tries('breaches'), interruptAfterTimeLimit: patience(30_000), markInterruptAsFailure: true })
  })

  test(`a breach of policy "drop" in the middle of a turn tears no frame, and all that was taken comes${over}`, async () => {
    await fc.assert(fc.asyncProperty(floods, async (given) => {
      const victims = await flood(given, secure, { limit: 64 * KIB }, (_states, refusals) => refusals > 20)
      for (const { client } of victims) assert.deepEqual([client.code, client.torn], [4000, null])
    }), { numRuns: tries('breaches'), interruptAfterTimeLimit: patience(30_000), markInterruptAsFailure: true })
  })

  test(`past the total the largest ends, at most within a frame; the other gets all that was taken${over}`, async () => {
    await fc.assert(fc.asyncProperty(floods, async (given) => {
      const victims = await flood(given, secure, { limit: 1024 * KIB * KIB, total: 512 * KIB }, (states) => states.some((state) => state !== 'open'))
      const ends = victims.map(({ client }) => client.code)
      assert.ok(ends.includes(undefined), 'none was terminated')
      for (const { client } of victims) if (client.code !== undefined) assert.deepEqual([client.code, client.torn], [4000, null])
    }), { numRuns: tries('breaches'), interruptAfterTimeLimit: patience(30_000), markInterruptAsFailure: true })
  })
}
