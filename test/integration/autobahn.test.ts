/**
 * RFC 6455 on the wire, by the cases of the Autobahn test suite, with pushes as the echo. The client is
 * a bare socket whose reader accepts nothing that the RFC does not allow.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { start } from '../support/app.js'
import type { App } from '../support/app.js'
import { cases as otherCases } from '../support/autobahn.js'
import { utf8Cases } from '../support/autobahn-utf8.js'
import type { Case } from '../support/autobahn.js'
import { dial } from '../support/raw-client.js'
import type { RawClient } from '../support/raw-client.js'
import { lineOf } from '../support/wire-lines.js'

const order = new Intl.Collator('en', { numeric: true })
const cases = [...otherCases, ...utf8Cases].toSorted((a, b) => order.compare(a.number, b.number))

/** In so many turns of the loop as the case says; no more when the server has closed. */
async function write (client: RawClient, bytes: Buffer[], chops: Case['chops']): Promise<void> {
  const whole = Buffer.concat(bytes)
  const pieces = chops === 'frames' ? bytes : []
  if (chops === undefined) pieces.push(whole)
  else if (chops !== 'frames') for (let at = 0; at < whole.length; at += chops) pieces.push(whole.subarray(at, at + chops))
  for (const piece of pieces) {
    if (client.code !== undefined || client.over) return
    client.socket.write(piece)
    if (chops !== undefined) await turn()
  }
}

/** @param sync the echo is in the turn of its message: then it is there even when the next frame fails the connection */
async function play (t: TestContext, url: string, { sends, chops, gets, code, times = 1 }: Case, sync: boolean): Promise<void> {
  const client = await dial(t, url)
  for (let round = 1; round <= times; round++) {
    let waiting: Buffer[] = []
    for (const item of [...sends, round * gets.length]) {
      if (typeof item !== 'number') {
        waiting.push(item)
        continue
      }
      await write(client, waiting, chops)
      waiting = []
      if (code === undefined) await client.until(() => client.received.length >= item)
    }
  }
  if (code === undefined) client.close(1000)
  await client.ended()
  const came = client.received.filter(({ kind }) => kind !== 'close').map(({ kind, data }) => lineOf(kind, data))
  const expected = Array.from({ length: times }, () => gets.map(([kind, data]) => lineOf(kind, Buffer.from(data)))).flat()
  assert.deepEqual(came, code === undefined || sync ? expected : expected.slice(0, came.length))
  assert.deepEqual([client.code, client.torn], [code ?? 1000, null])
}

for (const by of ['safePush in a listener', 'connection.push in a loop over messages()'] as const) {
  describe(`Autobahn, with ${by} as the echo`, () => {
    let server: App
    const cleanups: Array<() => unknown> = []
    before(async () => {
      server = await start({ after: (cleanup: () => unknown) => { cleanups.push(cleanup) } } as unknown as TestContext, {
        // Some cases send 1 MiB in fragments of 64 bytes.
        options: { limits: { payload: 2 * 1024 * 1024 }, websocket: { options: { maxFragments: 16 * 1024 } } },
        routes: (app) => {
          if (by === 'safePush in a listener') {
            app.get('/', { websocket: true }, (socket, { fd }) => {
              socket.on('message', (data: Buffer, binary: boolean) => { app.safePush(fd, data, { binary }) })
            })
          } else {
            app.get('/', { websocket: true }, async (_socket, request) => {
              const connection = app.lifeline.of(request)
              for await (const { data } of connection.messages()) connection.push(data)
            })
          }
        }
      })
    })
    after(async () => {
      for (const cleanup of cleanups) await cleanup()
      assert.deepEqual(server.errors(), [])
    })

    for (const one of cases) {
      test(`${one.number}: ${one.says}`, (t) => play(t, server.url, one, by === 'safePush in a listener'))
    }
  })
}
