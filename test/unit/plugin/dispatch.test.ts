import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { dispatchUpgrades } from '../../../src/plugin/dispatch.js'
import { takeUpWebSockets } from '../../../src/plugin/offers.js'
import type { Upgrades } from '../../../src/plugin/upgrades.js'

type Handler = (this: unknown, request: FastifyRequest, reply: FastifyReply) => unknown

/** A request that comes to a route, as Fastify would call its handler. */
function call (route: object, upgrade: string | null, ws = true, strangers = false): { heard: unknown[], result: unknown } {
  const heard: unknown[] = []
  const raw = { headers: { upgrade } } as unknown as IncomingMessage
  const upgrades = { has: () => upgrade !== null, dispatched: () => { heard.push('dispatched') }, hear: () => { heard.push('hear'); return true } } as unknown as Upgrades
  const reply = {
    code: (status: number) => { heard.push(status); return reply },
    header: () => reply,
    send: ({ message }: Error) => { heard.push(message) }
  }
  const declared = { url: '/x', method: 'GET', handler (this: unknown) { heard.push(this); return 'its own' }, ...route }
  dispatchUpgrades(upgrades, { misused: () => {}, misplaced: (name) => { heard.push(name) } }, { strangersRoute: strangers })(declared as unknown as RouteOptions)
  const result = (declared.handler as Handler).call('the instance', { raw, ws, method: 'GET', routeOptions: { url: '/x' } } as unknown as FastifyRequest, reply as unknown as FastifyReply)
  return { heard, result }
}

test('an ordinary request goes on as it is; a WebSocket goes on to the routes that take one', () => {
  for (const route of [{}, { websocket: true }]) assert.deepEqual(call(route, null), { heard: ['the instance'], result: 'its own' })
  for (const route of [{ websocket: true }, { wsHandler: () => {} }]) {
    assert.deepEqual(call(route, 'WebSocket'), { heard: ['dispatched', 'the instance'], result: 'its own' })
  }
})

test('what our own @fastify/websocket knows nothing of, for somebody else has routed it, it hears of before its handler is called', () => {
  assert.deepEqual(call({ websocket: true }, 'websocket', false).heard, ['hear', 'dispatched', 'the instance'])
  assert.deepEqual(call({}, 'websocket', false).heard, ['GET /x', 404, 'This route takes no WebSocket'])
})

test('what a stranger has had routed its own handler answers, on a route that takes no WebSockets of ours', () => {
  assert.deepEqual(call({}, 'websocket', false, true), { heard: ['the instance'], result: 'its own' })
})

test('a WebSocket on any other route gets a 404, and any other upgrade a 400', () => {
  for (const route of [{}, { websocket: false }]) assert.deepEqual(call(route, 'websocket').heard, ['GET /x', 404, 'This route takes no WebSocket'])
  for (const route of [{}, { websocket: true }]) assert.deepEqual(call(route, 'h2c').heard, [400, 'The only upgrade here is that to a WebSocket'])
})

test('what is no handler is Fastify\'s to refuse', () => {
  const route = { handler: 'none' } as unknown as RouteOptions
  dispatchUpgrades({} as Upgrades, { misused: () => {}, misplaced: () => {} }, { strangersRoute: false })(route)
  assert.equal(route.handler, 'none')
})

test('a server that is asked takes up WebSockets alone, while it has no other listener; and one that has its own answer keeps it', () => {
  // As Node.js has it, where it asks.
  const server = Object.assign(createServer(), { shouldUpgradeCallback: (createServer() as { shouldUpgradeCallback?: unknown }).shouldUpgradeCallback })
  const asks = server.shouldUpgradeCallback !== undefined
  let strangers = 0
  takeUpWebSockets(server, { get strangers () { return strangers } })
  assert.equal(typeof server.shouldUpgradeCallback, asks ? 'function' : 'undefined')
  if (asks) {
    const takesUp = (method: string, upgrade: string): boolean => (server.shouldUpgradeCallback as (request: object) => boolean)({ method, headers: { upgrade } })
    assert.equal(takesUp('GET', 'websocket'), false, 'nobody listens')
    server.on('upgrade', () => {}).on('upgrade', () => {})
    assert.deepEqual([takesUp('GET', 'WebSocket'), takesUp('POST', 'websocket'), takesUp('GET', 'h2c'), takesUp('GET', 'websocket, h2c')], [true, false, false, false])
    strangers = 1
    assert.equal(takesUp('GET', 'h2c'), true)
  }
  const theirs = (): boolean => true
  const own = Object.assign(new EventEmitter(), { shouldUpgradeCallback: theirs })
  takeUpWebSockets(own, { strangers: 0 })
  assert.equal(own.shouldUpgradeCallback, theirs)
})
