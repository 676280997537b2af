import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fc from 'fast-check'
import { Tally } from '../../../src/observe/tally.js'
import { Journal } from '../../../src/life/journal.js'
import type { Named } from '../../../src/life/journal.js'
import { Log } from '../../../src/observe/log.js'
import { Admission } from '../../../src/plugin/admission.js'
import type { OriginRule } from '../../../src/plugin/origins.js'

interface Came {
  answer: { status: number, body: { message: string } } | null
  let: 'in' | null
  proceeded: number
  /** Gives the place back. */
  leave: () => void
  gone: boolean
}

interface Setting { connections?: number, perAddress?: number, rule?: unknown, ruleOf?: () => OriginRule | null }

function setUp ({ connections = Infinity, perAddress = Infinity, rule = null, ruleOf = () => rule as OriginRule | null }: Setting) {
  const tally = new Tally()
  const errors: Array<Error & { code?: string, cause?: unknown }> = []
  const lines: string[] = []
  const say = (_fields: object, line: string): void => { lines.push(line) }
  const log = new Log({ debug: say, info: say, warn: say, error: say })
  const journal = new Journal<Named>(tally, log, { tell () {}, listens: () => false })
  const admission = new Admission({ connections, perAddress, reconnect: 0, ruleOf, onError: (error) => { errors.push(error) } }, journal)
  const come = (raw: object = { socket: {} }, more: object = {}): Came => {
    const came: Came = { answer: null, let: null, proceeded: 0, leave: () => { assert.fail('it has no place') }, gone: false }
    const request = { headers: { origin: 'https://evil.example' }, raw, ip: '192.0.2.1' } as unknown as FastifyRequest
    // With its getters: spreading would call them.
    Object.defineProperties(request, Object.getOwnPropertyDescriptors(more))
    const reply = {
      status: 0,
      code (status: number) { this.status = status },
      header () {},
      send (body: { message: string }) { came.answer = { status: this.status, body } }
    }
    admission.ask({
      request,
      reply: reply as unknown as FastifyReply,
      origin: 'origin' in more ? more.origin as string : request.headers.origin,
      refusals: { origins: 'No page of yours', unknown: 'Could not be checked' },
      waits: () => !came.gone,
      enter: ({ leave }) => {
        came.let = 'in'
        came.leave = leave ?? (() => {})
      },
      proceed: () => { came.proceeded++ }
    })
    return came
  }
  // Whatever was resolved has been heard by then.
  const settled = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })
  return { come, errors, lines, tally, settled, log }
}

test('the log names the page that was judged, whichever header it came in', () => {
  const { come, lines } = setUp({ rule: (origin: unknown) => origin !== 'https://old.example' })
  come({ socket: {} }, { headers: {}, origin: 'https://old.example' })
  assert.equal(lines.length, 1)
  assert.match(lines[0]!, /the origin "https:\/\/old\.example" is none of those/)
})

const unsure: Record<string, () => unknown> = {
  'gives a Promise whose then throws': () => Object.assign(Promise.resolve(true), { then () { throw new Error('hunter2') } }),
  'gives a Promise whose constructor throws': () => Object.defineProperty(Promise.resolve('no'), 'constructor', { get () { throw new Error('hunter2') } }),
  'throws an Error': () => { throw new Error('hunter2') },
  'throws undefined': () => { throw undefined }, // eslint-disable-line no-throw-literal
  'throws null': () => { throw null }, // eslint-disable-line no-throw-literal
  'throws false': () => { throw false }, // eslint-disable-line no-throw-literal
  'throws what cannot be read': () => { throw new Proxy({}, { get () { throw new Error('no') }, getPrototypeOf () { throw new Error('no') } }) },
  'is rejected without a reason': () => Promise.reject(), // eslint-disable-line prefer-promise-reject-errors
  'is rejected with 0': () => Promise.reject(0), // eslint-disable-line prefer-promise-reject-errors
  'is rejected with an Error': () => Promise.reject(new Error('hunter2')),
  'says nothing': () => undefined,
  'says null': () => null,
  'says "true"': () => 'true',
  'says 1': () => 1,
  'says an object': () => ({}),
  'says new Boolean(true)': () => new Boolean(true), // eslint-disable-line no-new-wrappers
  'says a function': () => () => true,
  'says "no" later': async () => 'no',
  'says nothing later': async () => {},
  'gives a thenable that rejects with undefined': () => ({ then (_: unknown, reject: (reason?: unknown) => void) { reject() } }),
  'gives a thenable that throws undefined': () => ({ then () { throw undefined } }), // eslint-disable-line no-throw-literal
  'gives a thenable whose then cannot be read': () => ({ get then () { throw new Error('no') } }),
  'gives a thenable that rejects, then resolves to true': () => ({
    then (resolve: (said: unknown) => void, reject: (reason?: unknown) => void) {
      reject()
      resolve(true)
      setImmediate(() => { resolve(true) })
    }
  })
}

for (const [what, rule] of Object.entries(unsure)) {
  test(`an origins function that ${what} lets nobody in, is reported, and tells the client nothing`, async () => {
    const { come, errors, lines, tally, settled, log } = setUp({ rule })
    const came = [come(), come(), come()]
    await settled()
    for (const { answer, let: entered, proceeded } of came) {
      assert.deepEqual(answer, { status: 403, body: { statusCode: 403, error: 'Forbidden', message: 'No page of yours' } })
      assert.deepEqual([entered, proceeded], [null, 0])
    }
    assert.deepEqual(errors.map(({ code }) => code), Array(3).fill('FST_ERR_LIFELINE_ORIGINS'))
    assert.equal(tally.limited.origins, 3)
    assert.equal(lines.length, 0, 'whoever is told of the error says it')
    log.close()
  })
}

test('what was thrown is the cause of what is reported', async () => {
  const thrown = new Error('the database is away')
  for (const rule of [() => { throw thrown }, async () => { throw thrown }]) {
    const { come, errors, settled } = setUp({ rule })
    come()
    await settled()
    assert.equal(errors[0]!.cause, thrown)
    assert.match(errors[0]!.message, /the database is away/)
  }
})

test('false, at once or later, refuses, and is no error; true lets in', async () => {
  for (const [said, status] of [[false, 403], [true, undefined]] as const) {
    for (const rule of [() => said, async () => said, () => ({ then (resolve: (said: boolean) => void) { resolve(said); resolve(!said) } })]) {
      const { come, errors, settled } = setUp({ rule })
      const came = come()
      await settled()
      assert.equal(came.answer?.status, status)
      assert.equal(came.proceeded, said ? 1 : 0)
      assert.deepEqual(errors, [])
    }
  }
})

test('who has left before it was decided takes no place, gets no answer, and is not counted', async () => {
  for (const said of [true, false]) {
    let decide!: (said: boolean) => void
    const { come, tally, settled } = setUp({ connections: 1, rule: () => new Promise((resolve) => { decide = resolve }) })
    const left = come()
    left.gone = true
    decide(said)
    await settled()
    assert.deepEqual([left.let, left.proceeded, left.answer, tally.limited.origins], [null, 0, null, 0])
    const next = come()
    decide(true)
    await settled()
    assert.equal(next.let, 'in')
  }
})

test('what a function throws too late is reported all the same', async () => {
  const { come, errors, settled } = setUp({ rule: async () => { throw new Error('late') } })
  come().gone = true
  await settled()
  assert.equal(errors.length, 1)
})

test('however decisions, leavings and ends follow each other, no more are inside than there is room for, and the places all come back', async () => {
  const step = fc.record({ what: fc.constantFrom('come', 'yes', 'no', 'throw', 'gone', 'end', 'end twice'), who: fc.nat(20) })
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }), async (steps, connections, perAddress) => {
    const decisions: Array<{ resolve: (said: boolean) => void, reject: (reason?: unknown) => void }> = []
    const { come, settled, log } = setUp({ connections, perAddress, rule: () => new Promise((resolve, reject) => { decisions.push({ resolve, reject }) }) })
    const all: Array<{ came: Came, address: string, over: boolean }> = []
    const inside = (address?: string): number => all.filter((one) => one.came.let === 'in' && !one.over && (address === undefined || one.address === address)).length
    for (const { what, who } of steps) {
      const one = all[who]
      if (what === 'come') {
        const address = `192.0.2.${who % 2}`
        all.push({ came: come({ socket: {} }, { ip: address }), address, over: false })
      } else if (one === undefined) {
        continue
      } else if (what === 'yes' || what === 'no') {
        decisions[who]!.resolve(what === 'yes')
      } else if (what === 'throw') {
        decisions[who]!.reject()
      } else if (what === 'gone') {
        one.came.gone = true
      } else if (one.came.let === 'in') {
        one.came.leave()
        if (what === 'end twice') one.came.leave()
        one.over = true
      }
      // Sometimes several decide in one turn.
      if (who % 3 !== 0) await settled()
      assert.ok(inside() <= connections)
      for (const address of ['192.0.2.0', '192.0.2.1']) assert.ok(inside(address) <= perAddress)
    }
    await settled()
    for (const one of all) if (one.came.let === 'in' && !one.over) one.came.leave()
    for (let i = 0; i < Math.min(connections, perAddress); i++) {
      const came = come({ socket: {} }, { ip: '192.0.2.0' })
      decisions.at(-1)!.resolve(true)
      await settled()
      assert.equal(came.let, 'in', 'the places have all come back')
    }
    log.close()
  }), { numRuns: 100 })
})

test('who cannot be looked up in the options of its route is refused with a fixed text, and reported', () => {
  const wrong = new Error('hunter2')
  const { come, errors } = setUp({ ruleOf: () => { throw wrong } })
  const came = come()
  assert.deepEqual(came.answer, { status: 500, body: { statusCode: 500, error: 'Internal Server Error', message: 'Could not be checked' } })
  assert.equal(came.proceeded, 0)
  assert.deepEqual(errors, [wrong])
})

test('an address that cannot be read refuses, whatever was thrown, also where nobody counts by it', () => {
  for (const thrown of [new Error('hunter2'), undefined, null]) {
    const hostile = { get ip () { throw thrown } }
    for (const limits of [{ perAddress: 5 }, { connections: 5 }, {}]) {
      const { come, errors } = setUp(limits)
      const came = come({ socket: {} }, hostile)
      assert.deepEqual([came.answer?.status, came.answer?.body.message, came.proceeded], [500, 'Could not be checked', 0])
      assert.deepEqual(errors.map(({ code }) => code), ['FST_ERR_LIFELINE_ADDRESS'])
    }
  }
})

test('those who have no address of their own, as behind a Unix socket, are one; an injected one has none', () => {
  const { come } = setUp({ perAddress: 1 })
  assert.equal(come({ socket: {} }, { ip: undefined }).let, 'in')
  assert.equal(come({ socket: {} }, { ip: undefined }).answer?.status, 429)
  assert.equal(come({}).let, 'in')
  assert.equal(come({}).let, 'in')
})

test('clients whose address cannot be read count as one, and are told as a warning that does not fill the log', () => {
  const { come, lines, log } = setUp({ perAddress: 2 })
  const written = ['1:2:3:4:5:6:7:8::9:0', 'unknown', '', `a\n${'A'.repeat(10_000)}`]
  const came = written.map((ip) => come({ socket: {} }, { ip }))
  assert.deepEqual(came.map(({ answer }) => answer?.status), [undefined, undefined, 429, 429])
  assert.deepEqual(lines.slice(0, 2), [
    'lifeline: the address of a client cannot be read, so it counts as one with all others of that kind (limits.perAddress): 1 since the last line, such as "1:2:3:4:5:6:7:8::9:0"',
    'lifeline: an upgrade was refused: limits.perAddress, 2, is reached for clients whose address cannot be read, such as none at all, as on a Unix socket'
  ])
  came[0]!.leave()
  assert.equal(come({ socket: {} }, { ip: written[3] }).let, 'in')
  log.close()
  assert.match(lines.at(-1)!, /4 since the last line, such as "a\\nA{198}"$/)
})

test('where nobody counts by the address, or its client has left, none is told as unreadable', async () => {
  const { come, lines } = setUp({ connections: 5 })
  assert.equal(come({ socket: {} }, { ip: 'unknown' }).let, 'in')
  assert.deepEqual(lines, [])
  const counting = setUp({ perAddress: 5, rule: async () => true })
  counting.come({ socket: {} }, { ip: undefined }).gone = true
  await counting.settled()
  assert.deepEqual(counting.lines, [])
})
