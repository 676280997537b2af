import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Admission, Applicant } from '../../../src/plugin/admission.js'
import { takeRouted, watchUpgrades } from '../../../src/plugin/upgrade-hooks.js'
import type { Upgrades } from '../../../src/plugin/upgrades.js'

type Hook = (request: FastifyRequest, reply: FastifyReply, done: () => void) => void

/** Who asks, as Fastify would call the hooks for it. @param waiting whether somebody still waits for the upgrade; null: it is none */
function ask (headers: Record<string, string>, waiting: boolean | null = null): { raw: IncomingMessage, reply: object, applicant: Applicant | undefined, proceeded: number, heard: unknown[] } {
  const hooks: Record<string, Hook> = {}
  const heard: unknown[] = []
  const upgrades = {
    has: () => waiting !== null,
    waits: () => waiting,
    routed: () => { heard.push('routed') },
    admitted: (_: unknown, leave: unknown) => { heard.push(leave) },
    answered: () => { heard.push('answered') }
  }
  let applicant: Applicant | undefined
  const admission = { ask: (one: Applicant) => { applicant = one }, admit: (one: Applicant) => { heard.push('place'); applicant = one } }
  watchUpgrades({ addHook: (name: string, hook: Hook) => { hooks[name] = hook } } as unknown as FastifyInstance, upgrades as unknown as Upgrades, admission as unknown as Admission)
  const raw = { headers } as unknown as IncomingMessage
  const reply = { raw: { socket: null } } as unknown as FastifyReply
  let proceeded = 0
  hooks.onRequest!({ raw, headers } as unknown as FastifyRequest, reply, () => { proceeded++ })
  return { raw, reply, applicant, proceeded, heard }
}

test('an ordinary request goes on at once, and nothing is noted of it', () => {
  const { raw, applicant, proceeded, heard } = ask({})
  assert.deepEqual([applicant, proceeded, heard, takeRouted(raw)], [undefined, 1, [], undefined])
})

test('who asks for another upgrade, to h2c say, has a place while it is under way, whatever page it comes from', () => {
  const { applicant, proceeded, heard } = ask({ upgrade: 'h2c' }, true)
  assert.deepEqual([applicant!.waits(), proceeded, heard], [true, 0, ['routed', 'place']])
  assert.deepEqual(ask({ upgrade: 'h2c' }).proceeded, 1, 'and is an ordinary request where it is not')
})

test('the request of a raw one is given away once, with the address if it was let in', () => {
  const leave = (): void => {}
  const { raw, reply, applicant, proceeded, heard } = ask({ upgrade: 'WebSocket' }, true)
  assert.equal(proceeded, 0)
  applicant!.enter({ ip: '192.0.2.1', leave })
  assert.deepEqual(heard, ['routed', leave])
  const routed = takeRouted(raw)
  assert.deepEqual([routed?.reply === reply, routed?.ip], [true, '192.0.2.1'])
  assert.equal(takeRouted(raw), undefined)
})

test('a request that only names an upgrade has somebody who waits for its answer, whatever became of the upgrades', () => {
  assert.deepEqual([true, false, null].map((waiting) => ask({ upgrade: 'websocket' }, waiting).applicant!.waits()), [true, false, true])
})

test('the page is named by Sec-WebSocket-Origin in the protocol\'s version 8', () => {
  const pages = [{ 'sec-websocket-origin': 'https://old.example' }, { origin: 'https://app.example', 'sec-websocket-origin': 'https://old.example' }, {}]
  assert.deepEqual(pages.map((headers) => ask({ upgrade: 'websocket', ...headers }).applicant!.origin), ['https://old.example', 'https://app.example', undefined])
})
