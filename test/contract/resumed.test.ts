/**
 * A session over real WebSockets, whose lines are cut.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from '../../src/api/connection.js'
import { until } from '../support/app.js'
import { patience, share } from '../support/proof.js'
import { contract } from './transport.js'
import { Returning, serve } from './resumed.js'

contract('a session over WebSockets', { kind: 'websocket', remote: true, confirms: 'itself', binary: true, reads: true, asks: true }, async (t, options = {}) => {
  let connection!: Connection
  const { lifeline, port } = await serve(t, options, (opened) => { connection = opened }, false)
  const peer = new Returning(t, port, true)
  await until('it is open', () => peer.session.attached)
  return { connection, lifeline, peer }
})

test('thousands of cuts: every message once and in order, in both directions, and one is worked at after the other', { timeout: patience(120_000) }, async (t) => {
  const [down, up, cuts] = [share(100_000), share(20_000), share(3_000)]
  const handled: string[] = []
  let working = 0
  let most = 0
  let connection!: Connection
  const { port, errors, sessions } = await serve(t, {}, (opened) => {
    connection = opened
    opened.onMessage(async ({ data }) => {
      most = Math.max(most, ++working)
      handled.push(String(data))
      if (handled.length % 3 === 0) await sleep(1)
      working--
    })
  })
  const client = new Returning(t, port)
  await until('it is open', () => client.session.attached)
  // Before that it could not come back.
  assert.equal((await connection.deliver('first')).outcome, 'delivered')
  const first = connection
  let [pushed, said] = [0, 0]
  for (let cut = 0; cut < cuts; cut++) {
    for (const end = Math.ceil(down * (cut + 1) / cuts); pushed < end; pushed++) assert.match(connection.push(`${pushed % 7 === 0 ? '\0' : ''}down ${pushed}`), /sent|buffered/)
    for (const end = Math.ceil(up * (cut + 1) / cuts); said < end; said++) client.say(`${said % 5 === 0 ? '\0' : ''}up ${said}`)
    await sleep(cut % 6)
    client.cut()
  }
  await until('all have come', () => client.received.length > down && handled.length >= up, patience(60_000))
  await until('all are confirmed', () => client.session.kept.length === 0)
  assert.equal(connection, first)
  assert.deepEqual(client.received.slice(1).map(({ data }) => data), Array.from({ length: down }, (_, i) => `${i % 7 === 0 ? '\0' : ''}down ${i}`))
  assert.deepEqual(handled, Array.from({ length: up }, (_, i) => `${i % 5 === 0 ? '\0' : ''}up ${i}`))
  assert.deepEqual([most, client.gaps.length, errors, sessions.size <= 9], [1, 0, [], true])
  t.diagnostic(`${cuts} cuts, resumed ${client.resumes} times: ${down} messages down, ${up} up`)
  assert.ok(client.resumes > cuts / 10, String(client.resumes))
})

test('what a client says comes as it was said, and is confirmed', async (t) => {
  const heard: string[] = []
  let connection!: Connection
  const { port } = await serve(t, {}, (opened) => {
    connection = opened
    opened.onMessage(({ data }) => { heard.push(String(data)) })
  })
  const client = new Returning(t, port)
  await until('it is open', () => client.session.attached)
  client.say('\0nul')
  client.say(Buffer.from([0, 1, 2]))
  client.say('')
  await until('all have come', () => heard.length === 3)
  assert.deepEqual(heard, ['\0nul', '\0\u0001\u0002', ''])
  await until('all are confirmed', () => client.confirmedMessages.length === 3)
  assert.equal(connection.state, 'open')
})
