/**
 * What every transport keeps, whatever carries it: a connection over it is held against this. What only some can do is asked of those
 * whose traits say so.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import { lifeOf } from '../../src/api/connection.js'
import type { Connection } from '../../src/api/connection.js'
import type { Lifeline } from '../../src/api/lifeline.js'
import type { CloseInfo } from '../../src/life/close-info.js'
import type { Message, Traits, Transport } from '../../src/transports/transport.js'
import { until } from '../support/app.js'

/** Whoever is at the other end. */
export interface Peer {
  /** What it got, in order. */
  readonly received: readonly Message[]
  /** What it was told at the end: the code, and the reason or when to come back; null: nothing yet, or not a word. */
  readonly told: { readonly code: number, readonly reason: string } | null
  /** Sends a message; only where there is a reader. */
  say (data: string | Buffer): void
  /** Stops, or goes on, taking what comes. */
  hold (on: boolean): void
  /** Is gone without a word. */
  vanish (): void
}

export interface Subject { readonly connection: Connection, readonly lifeline: Lifeline, readonly peer: Peer }

export interface Options {
  /** With receipts: of so many bytes, or messages. */
  receipts?: { limit: number, messages: number }
  /** `backpressure.limit`, in bytes. */
  limit?: number
}

export type Make = (t: TestContext, options?: Options) => Promise<Subject>

interface Kept extends Subject { transport: Transport, closes: CloseInfo[], errors: unknown[] }

export function contract (name: string, traits: Traits & { reads: boolean, asks: boolean }, make: Make): void {
  const keep: (t: TestContext, options?: Options) => Promise<Kept> = async (t, options) => {
    const subject = await make(t, options)
    const [closes, errors]: [CloseInfo[], unknown[]] = [[], []]
    subject.lifeline.on('close', (_connection, info) => { closes.push(info) })
    subject.lifeline.on('error', (_connection, error) => { errors.push(error) })
    return { ...subject, transport: lifeOf(subject.connection).transport, closes, errors }
  }
  const over = async ({ closes }: Kept): Promise<CloseInfo> => {
    await until('it is over', () => closes.length > 0)
    await turnOver()
    assert.equal(closes.length, 1)
    return closes[0]!
  }

  describe(`the contract of a transport: ${name}`, { timeout: 60_000 }, () => {
    test('its traits are what it says', async (t) => {
      const { transport } = await keep(t)
      const { reads, asks, ...said } = traits
      assert.deepEqual({ ...transport.traits }, said)
      assert.deepEqual([transport.reader !== null, transport.asker !== null, transport.open, transport.fault], [reads, asks, true, null])
    })

    test('messages arrive whole and in order, alone or many in one turn, and then nothing waits', async (t) => {
      const { connection, transport, peer } = await keep(t)
      const texts = ['', 'one', '"quoted"\n', 'ü€😀', 'x'.repeat(200_000)]
      connection.push(texts[0])
      await turnOver()
      for (const text of texts.slice(1)) connection.push(text)
      await until('all have come', () => peer.received.length === texts.length)
      assert.deepEqual(peer.received.map(({ data }) => data), texts)
      await until('nothing waits', () => transport.bufferedBytes === 0)
      assert.equal(transport.begun, texts.length)
      assert.equal(transport.left(texts.length), true)
    })

    test('binary messages arrive as such, or are invalid and reported, and harm no other', async (t) => {
      const { connection, peer, errors } = await keep(t)
      const result = connection.push(Buffer.from([0, 1, 255]))
      connection.push('behind')
      await until('what can come has come', () => peer.received.some(({ data }) => data === 'behind'))
      if (traits.binary) {
        assert.notEqual(result, 'invalid')
        assert.deepEqual(peer.received[0], { data: Buffer.from([0, 1, 255]), binary: true })
      } else {
        assert.equal(result, 'invalid')
        assert.deepEqual([peer.received.length, errors.map((error) => (error as { code: string }).code)], [1, ['FST_ERR_LIFELINE_INVALID_DATA']])
      }
    })

    test('what is pushed to who takes nothing waits, is refused past the limit, and arrives when it is taken', async (t) => {
      const { connection, transport, peer } = await keep(t, { limit: 100_000 })
      peer.hold(true)
      const results: string[] = []
      await until('it is full', () => {
        // Of text that no extension makes small.
        for (let i = 0; i < 20 && results.at(-1) !== 'full'; i++) results.push(connection.push(randomBytes(37_500).toString('base64')))
        return results.at(-1) === 'full'
      }, 30_000)
      assert.ok(transport.bufferedBytes > 0)
      const waits = connection.drained()
      peer.hold(false)
      assert.equal(await waits, true)
      const taken = results.filter((result) => result !== 'full').length
      await until('all that was taken arrives', () => peer.received.length === taken, 30_000)
    })

    test(`${name}: what was there has left when it was taken, though more is pushed behind it all the time`, async (t) => {
      // Without a network all is taken at once.
      if (!traits.remote) return
      const { connection, transport, peer } = await keep(t, { limit: 16_000_000 })
      const text = randomBytes(37_500).toString('base64')
      peer.hold(true)
      let pushed = 0
      await until('it waits', () => {
        for (let i = 0; i < 20 && transport.bufferedBytes <= 1_000_000; i++) if (connection.push(text) !== 'full') pushed++
        return transport.bufferedBytes > 1_000_000
      }, 30_000)
      assert.equal(transport.left(pushed), false)
      const pump = { on: true }
      const push = (): void => {
        while (pump.on && transport.bufferedBytes < 1_000_000) connection.push(text)
        if (pump.on) setImmediate(push)
      }
      push()
      peer.hold(false)
      let waiting = 0
      try {
        await until('what was there has left', () => {
          waiting = transport.bufferedBytes
          return transport.left(pushed)
        }, 5_000)
      } finally {
        pump.on = false
      }
      assert.ok(waiting > 0)
    })

    test('deliver says what can be known', async (t) => {
      const { connection, transport } = await keep(t)
      const { outcome, roundTrip } = await connection.deliver('a message', { timeout: 10_000 })
      assert.equal(outcome, traits.confirms === 'no' ? 'unconfirmed' : 'delivered')
      assert.equal(roundTrip !== undefined, traits.confirms !== 'no')
      assert.equal(transport.begun, 1)
    })

    test('deliver to who takes nothing does not say that it has arrived; and says so when it is over', async (t) => {
      const kept = await keep(t)
      const { connection, peer } = kept
      peer.hold(true)
      assert.notEqual((await connection.deliver(randomBytes(150_000).toString('base64'), { timeout: 100 })).outcome, 'delivered')
      const waits = connection.deliver('and one more', { timeout: 30_000 })
      peer.vanish()
      connection.terminate()
      await over(kept)
      assert.ok(['gone', 'unconfirmed'].includes((await waits).outcome))
    })

    test('with receipts: what is not confirmed is kept, where it can be confirmed, and is told at the end', async (t) => {
      const kept = await keep(t, { receipts: { limit: 1_000_000, messages: 100 } })
      const { connection, peer } = kept
      for (let i = 0; i < 300; i++) {
        assert.notEqual(connection.push(`message ${i}`), 'full', String(i))
        if (i % 20 === 19) await until('there is room', async () => await connection.drained())
      }
      await until('all have come', () => peer.received.length === 300)
      if (traits.confirms === 'asked') await connection.deliver('the last')
      assert.deepEqual(connection.unconfirmed, { count: 0, bytes: 0 })
      peer.hold(true)
      connection.push('one more')
      connection.terminate()
      const { unconfirmed } = await over(kept)
      assert.deepEqual(unconfirmed.map(({ data }) => data), traits.confirms === 'asked' ? ['one more'] : [])
    })

    test('a close comes behind what was pushed, is told once, and lets nothing through after it', async (t) => {
      const kept = await keep(t)
      const { connection, transport, peer } = kept
      connection.push('before')
      connection.close(4001, 'enough')
      assert.deepEqual([connection.push('after'), connection.state], ['gone', 'closing'])
      assert.equal(transport.close({ code: 4002, reason: 'again' }, false), false)
      const info = await over(kept)
      assert.deepEqual([info.code, info.reason, info.cause], [4001, 'enough', 'server'])
      assert.deepEqual(peer.received.map(({ data }) => data), ['before'])
      assert.deepEqual(peer.told, { code: 4001, reason: 'enough' })
      assert.deepEqual([connection.state, connection.push('later'), transport.open, transport.bufferedBytes], ['closed', 'gone', false, 0])
      transport.terminate()
      assert.equal(transport.close({ code: 1000, reason: '' }, false), false)
    })

    test('a close tells when to come back', async (t) => {
      const kept = await keep(t)
      lifeOf(kept.connection).close({ code: 1012, reason: '', retryAfter: 4213 }, 'shutdown')
      const { code, cause } = await over(kept)
      assert.deepEqual([code, cause, kept.peer.told], [1012, 'shutdown', { code: 1012, reason: 'retry: 4213' }])
    })

    test('who is gone without a word is over: told once, as 1006, and nothing throws after it', async (t) => {
      const kept = await keep(t)
      const { connection, peer } = kept
      const { signal, attached } = connection
      peer.vanish()
      // Where nobody can be heard, only a write finds out.
      await until('it is found', () => {
        if (kept.closes.length === 0) connection.push('x'.repeat(1000))
        return kept.closes.length > 0
      })
      const { code, cause } = await over(kept)
      assert.deepEqual([code, cause], [1006, 'reset'])
      assert.deepEqual([signal.aborted, attached.aborted, connection.push('x')], [true, true, 'gone'])
      connection.close()
      connection.terminate()
      assert.equal(await connection.drained(), false)
    })

    test('terminate ends it at once: what waits is lost, and waits for nobody', async (t) => {
      const kept = await keep(t)
      const { connection, transport, peer } = kept
      peer.hold(true)
      for (let i = 0; i < 20; i++) connection.push('x'.repeat(50_000))
      connection.terminate()
      assert.equal((await over(kept)).cause, 'server')
      assert.deepEqual([transport.bufferedBytes, transport.left(20)], [0, true])
    })

    test('a run that fails ends it with 1011, is told once, and what comes of it later is not told again', async (t) => {
      const kept = await keep(t)
      const { run } = lifeOf(kept.connection)
      run.failed(new Error('first'))
      run.failed(new Error('second'))
      assert.equal((await over(kept)).cause, 'handler')
      run.failed(new Error('third'))
      assert.deepEqual(kept.errors.map((error) => (error as Error).message), ['first'])
      assert.equal(kept.peer.told?.code, 1011)
      run.settled()
    })

    test('the heartbeat may ask at any time; who can be heard is', async (t) => {
      const { connection, transport, peer } = await keep(t)
      const { wire } = transport
      assert.equal(wire.paused, false)
      const before = wire.heard()
      wire.beat()
      if (!wire.deaf) await until('it is heard', () => wire.heard() !== before)
      connection.push('all is well')
      await until('it comes', () => peer.received.length > 0)
      connection.close()
      assert.equal(transport.open, false)
    })

    test('a ping has a round trip, or says that there is none', async (t) => {
      const { connection } = await keep(t)
      const roundTrip = await connection.ping()
      assert.equal(traits.asks, roundTrip >= 0 && roundTrip < Infinity)
    })

    test('what the peer says is read in order, is counted when it is taken, and waits while nobody takes it', async (t) => {
      const { connection, transport, peer } = await keep(t)
      if (transport.reader === null) {
        assert.throws(() => connection.messages(), { code: 'FST_ERR_LIFELINE_ARGUMENT' })
        return
      }
      for (const text of ['one', 'two', 'three']) peer.say(text)
      const messages = connection.messages()
      assert.deepEqual(await messages.next(), { done: false, value: { data: 'one', binary: false } })
      assert.equal(transport.reader.consumed, 1)
      assert.equal(transport.reader.spoken, true)
      assert.deepEqual((await messages.next()).value, { data: 'two', binary: false })
      assert.throws(() => connection.messages(), { code: 'FST_ERR_LIFELINE_ALREADY_READING' })
      connection.terminate()
    })

    test('a gate that is shut hands out nothing more, also of what has come, and counts nothing', async (t) => {
      const { connection, transport: { reader }, peer } = await keep(t)
      if (reader === null) return
      const messages = connection.messages()
      peer.say('one')
      assert.equal((await messages.next()).value.data, 'one')
      const next = messages.next()
      reader.shut()
      peer.say('two')
      peer.say('three')
      assert.deepEqual(await next, { done: true, value: undefined })
      for (let i = 0; i < 20; i++) await turnOver()
      assert.deepEqual([reader.consumed, await connection.messages().next()], [1, { done: true, value: undefined }])
    })
  })
}
