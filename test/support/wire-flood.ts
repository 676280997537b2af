/**
 * A flood in one turn of the loop, on two clients that do not read: what they get when they do is held
 * against what the server said that it took.
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import type { Connection, LifelineOptions } from '../../src/index.js'
import { dial } from './raw-client.js'
import type { RawClient } from './raw-client.js'
import { socketOf, startWire } from './wire-server.js'

export interface Flood {
  /** What is called again and again, and with how many bytes. */
  calls: Array<{ by: 'push' | 'broadcast' | 'send', bytes: number }>
  /** Whether the clients then read little by little. */
  trickle: boolean
}

export interface Victim {
  connection: Connection
  client: RawClient
  /** The numbers of the messages that the server took for it. */
  taken: number[]
}

const size = fc.constantFrom(1_000, 20_000, 65_525, 65_536, 200_000)

export const floods: fc.Arbitrary<Flood> = fc.record({
  calls: fc.tuple(fc.array(fc.record({ by: fc.constantFrom('push' as const, 'push' as const, 'broadcast' as const, 'send' as const), bytes: size }), { maxLength: 5 }), size)
    // One broadcast at least: what the app sends by itself has no limit.
    .map(([calls, bytes]) => [...calls, { by: 'broadcast' as const, bytes }]),
  trickle: fc.boolean()
})

/** Floods until `enough`; then who is still open is closed with 4000. Each has to get what was taken for it, in order, up to its end. */
export async function flood ({ calls, trickle }: Flood, secure: boolean, backpressure: NonNullable<LifelineOptions['backpressure']>, enough: (states: string[], refusals: number) => boolean): Promise<Victim[]> {
  const cleanups: Array<() => unknown> = []
  const scope = { after: (cleanup: () => unknown) => { cleanups.unshift(cleanup) } } as Pick<TestContext, 'after'>
  try {
    const { app, url } = await startWire(scope, { backpressure }, secure)
    const clients = [await dial(scope, url), await dial(scope, url)]
    const victims = Array.from(app.lifeline, (connection, i): Victim => ({ connection, client: clients[i]!, taken: [] }))
    const lengths: number[] = []
    const body = (number: number): Buffer => {
      const data = Buffer.alloc(lengths[number]!, number)
      data.writeUInt32BE(number)
      return data
    }
    const refused = new Set<Connection | undefined>()
    let refusals = 0
    app.lifeline.on('drop', (connection) => {
      refused.add(connection)
      refusals++
    })

    for (let i = 0; !enough(victims.map(({ connection }) => connection.state), refusals); i++) {
      const { by, bytes } = calls[i % calls.length]!
      const one = victims[i % 2]!
      const number = lengths.push(bytes) - 1
      const open = (by === 'broadcast' ? victims : [one]).filter(({ connection }) => connection.state === 'open')
      refused.clear()
      if (by === 'broadcast') app.lifeline.broadcast(body(number))
      else if (by === 'push') one.connection.push(body(number))
      else socketOf(one.connection).send(body(number))
      for (const { connection, taken } of open) if (!refused.has(connection)) taken.push(number)
    }
    if (trickle) for (const { client } of victims) client.trickle()
    for (const { connection } of victims) if (connection.state === 'open') connection.close(4000)

    await Promise.all(victims.map(({ client }) => client.ended()))
    for (const { client, taken } of victims) {
      const numbers = client.received.filter(({ kind }) => kind !== 'close').map(({ kind, data }) => {
        assert.equal(kind, 'binary')
        const number = data.readUInt32BE()
        assert.ok(data.equals(body(number)), `message ${number} is not what was sent`)
        return number
      })
      assert.deepEqual(numbers, client.code === 4000 ? taken : taken.slice(0, numbers.length))
    }
    return victims
  } finally {
    for (const cleanup of cleanups) await cleanup()
  }
}
