/**
 * A lifeline over transports of a test's own, held against a model: any sequence of pushes, joins,
 * leaves, broadcasts, drains and closes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import fc from 'fast-check'
import { Connection, lifeOf } from '../../../src/api/connection.js'
import type { Lifeline } from '../../../src/api/lifeline.js'
import { assembled, call } from '../assembled.js'
import type { Outgoing } from '../../../src/core/outgoing.js'
import { nextFd } from '../../../src/core/registry.js'
import type { Wire } from '../../../src/core/peer.js'
import type { Said, Traits, Transport, TransportOwner } from '../../../src/transports/transport.js'
import { tries } from '../../support/proof.js'

const LIMIT = 100
const LOW = 25

/** A wire that takes what it is let take. */
class FakeTransport implements Transport, Wire {
  readonly traits: Traits = { kind: 'websocket', remote: true, confirms: 'no', binary: true }
  readonly wire = this
  readonly paused = false
  readonly deaf = true
  readonly reader = null
  readonly asker = null
  readonly fault = null
  open = true
  readonly queue: number[] = []
  begun = 0
  owner!: TransportOwner

  get bufferedBytes (): number { return this.queue.reduce((sum, size) => sum + size, 0) }

  heard (): number { return 0 }
  advance (): number { return 0 }
  waiting (): number { return 0 }
  span (): number { return 0 }
  claim (): void {}
  fits (): boolean { return true }
  get roomy (): boolean { return true }
  beat (): number { return 0 }
  beatenAt (): number { return NaN }
  peek (): boolean { return false }
  left (): boolean { return this.waiting.length === 0 }

  send (message: Outgoing, seq: number): boolean {
    this.begun = seq
    this.queue.push(message.size)
    return false
  }

  /** The peer takes one message. */
  take (): void {
    if (this.queue.shift() !== undefined) this.owner.flushed()
  }

  close (_said: Said, dropped: boolean): boolean {
    if (!this.open) return false
    this.open = false
    if (dropped) this.queue.length = 0
    return true
  }

  terminate (): void {
    this.queue.length = 0
    this.end()
  }

  end (): void {
    this.open = false
    this.owner.ended({ code: 1000, reason: '', cause: 'client', idle: NaN })
  }
}

interface World { lifeline: Lifeline, open: () => { connection: Connection, transport: FakeTransport } }

function world (policy: 'drop' | 'close', total: number): World {
  const { lifeline, house } = assembled({ limit: LIMIT, low: LOW, policy }, total)
  return {
    lifeline,
    open: () => {
      const transport = new FakeTransport()
      const connection = new Connection(house, transport, nextFd(), null, call)
      transport.owner = lifeOf(connection)
      lifeOf(connection).begin(null)
      return { connection, transport }
    }
  }
}

interface Model { state: 'open' | 'closing' | 'closed', waiting: number[], full: boolean, cause: string | null, groups: Set<string>, drained: boolean[] }

const COUNT = 4
const names = ['red', 'green']
const who = fc.nat(COUNT - 1)
// Around what turns on them: low, the limit, and what is left between.
const size = fc.constantFrom(1, 24, 25, 26, 50, 75, 76, 100, 101, 150)
const steps = fc.array(fc.oneof(
  fc.record({ verb: fc.constant('push' as const), who, size }),
  fc.record({ verb: fc.constantFrom('take' as const, 'close' as const, 'end' as const, 'drained' as const), who }),
  fc.record({ verb: fc.constantFrom('join' as const, 'leave' as const), who, group: fc.constantFrom(...names) }),
  fc.record({ verb: fc.constant('broadcast' as const), size, group: fc.option(fc.constantFrom(...names), { nil: undefined }), except: fc.option(who, { nil: undefined }) })
), { maxLength: 80 })

const sum = (list: number[]): number => list.reduce((total, one) => total + one, 0)

for (const policy of ['drop', 'close'] as const) {
  for (const total of [Infinity, 200]) {
    test(`any sequence of calls is answered as the model says (policy ${policy}, total ${total})`, async () => {
      await fc.assert(fc.asyncProperty(steps, async (list) => {
        const { lifeline, open } = world(policy, total)
        const told: string[] = []
        const expected: string[] = []
        const real = Array.from({ length: COUNT }, open)
        const model = real.map((): Model => ({ state: 'open', waiting: [], full: false, cause: null, groups: new Set(), drained: [] }))
        const index = (connection: Connection | undefined): number => real.findIndex((one) => one.connection === connection)
        for (const event of ['full', 'drain'] as const) lifeline.on(event, (connection) => { told.push(`${event} ${index(connection)}`) })
        lifeline.on('drop', (connection, { reason, bytes }) => { told.push(`${reason} ${index(connection)} ${bytes}`) })
        lifeline.on('close', (connection, { cause }) => { told.push(`${cause} ${index(connection)}`) })

        // Who began the closing names the cause.
        const over = (at: number, cause: string): void => {
          const one = model[at]!
          Object.assign(one, { state: 'closed', waiting: [], full: false })
          one.groups.clear()
          expected.push(`${one.cause ?? cause} ${at}`)
        }
        const push = (at: number, bytes: number): string => {
          const one = model[at]!
          if (one.state !== 'open') return 'gone'
          const waits = sum(one.waiting)
          if (waits > LOW && waits + bytes > LIMIT) {
            if (!one.full) expected.push(`full ${at}`)
            one.full = true
            expected.push(`full ${at} ${bytes}`)
            if (policy === 'close') Object.assign(one, { state: 'closing', waiting: [], full: false, cause: 'backpressure' })
            return 'full'
          }
          one.waiting.push(bytes)
          while (sum(model.flatMap(({ waiting }) => waiting)) > total) {
            const most = Math.max(...model.map(({ waiting }) => sum(waiting)))
            const largest = model.flatMap(({ waiting }, i) => sum(waiting) === most ? [i] : [])
            // Among equals, the one that the lifeline has told of next.
            const chosen = largest.find((i) => told[expected.length] === `${model[i]!.cause ?? 'backpressure'} ${i}`) ?? largest[0]!
            over(chosen, 'backpressure')
          }
          return 'buffered'
        }

        for (const step of list) {
          switch (step.verb) {
            case 'push': {
              const result = real[step.who]!.connection.push('x'.repeat(step.size))
              assert.equal(result, push(step.who, step.size))
              break
            }
            case 'broadcast': {
              const except = step.except === undefined ? undefined : real[step.except]!.connection
              const members = step.group === undefined
                ? model.flatMap(({ state }, i) => state === 'closed' ? [] : [i])
                : Array.from(lifeline.group(step.group), index)
              const options = except === undefined ? {} : { except }
              const count = step.group === undefined ? lifeline.broadcast('x'.repeat(step.size), options) : lifeline.group(step.group).push('x'.repeat(step.size), options)
              const taken = members.filter((i) => i !== step.except && push(i, step.size) === 'buffered')
              assert.equal(count, taken.length)
              break
            }
            case 'take': {
              const one = model[step.who]!
              real[step.who]!.transport.take()
              if (one.state === 'closed' || one.waiting.shift() === undefined) break
              if (sum(one.waiting) <= LOW && one.full) {
                one.full = false
                if (one.state === 'open') expected.push(`drain ${step.who}`)
              }
              break
            }
            case 'drained': {
              const at = model[step.who]!.drained.push(false) - 1
              real[step.who]!.connection.drained().then(() => { model[step.who]!.drained[at] = true }, assert.ifError)
              break
            }
            case 'join':
            case 'leave': {
              await real[step.who]!.connection[step.verb](step.group)
              if (step.verb === 'leave') model[step.who]!.groups.delete(step.group)
              else if (model[step.who]!.state !== 'closed') model[step.who]!.groups.add(step.group)
              break
            }
            case 'close':
              real[step.who]!.connection.close()
              if (model[step.who]!.state === 'open') Object.assign(model[step.who]!, { state: 'closing', cause: 'server' })
              break
            case 'end':
              if (model[step.who]!.state === 'closed') break
              real[step.who]!.transport.end()
              over(step.who, 'client')
          }

          assert.deepEqual(told, expected)
          await turnOver()
          for (const [i, { connection }] of real.entries()) {
            const { state, waiting, groups, drained } = model[i]!
            assert.equal(connection.state, state)
            assert.equal(lifeline.exists(connection.fd), state === 'open')
            if (state !== 'closed') assert.equal(connection.bufferedBytes, sum(waiting))
            assert.deepEqual([...connection.groups].toSorted(), [...groups].toSorted())
            if (state === 'closed' || sum(waiting) <= LOW) assert.ok(drained.every(Boolean), 'drained() has not resolved')
          }
          for (const name of names) {
            assert.deepEqual(Array.from(lifeline.group(name), index).toSorted(), model.flatMap(({ groups }, i) => groups.has(name) ? [i] : []))
          }
          const stats = lifeline.stats()
          assert.equal(stats.bufferedBytes, sum(model.flatMap(({ state, waiting }) => state === 'closed' ? [] : waiting)))
          assert.equal(stats.groups, names.filter((name) => model.some(({ groups }) => groups.has(name))).length)
          assert.ok(stats.bufferedBytes <= total)
        }
      }), { numRuns: tries('model') })
    })
  }
}
