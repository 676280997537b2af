import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClientSession } from '../../../src/protocol/client-session.js'
import type { ClientOwner, ClientWire, Gap } from '../../../src/protocol/client-session.js'
import { CREDIT_MESSAGES, hello } from '../../../src/protocol/frames.js'
import type { Hello } from '../../../src/protocol/frames.js'

const [T1, T2] = ['1'.repeat(43), '2'.repeat(43)] as const
const greeting: Hello = { v: 1, id: 'id', node: 'n', token: T1, resumed: false, reason: 'new', received: 0, protocol: '', window: 1000, limit: 400, credit: 100, payload: 1000, beat: 1000 }

class FakeWire implements ClientWire<string> {
  readonly out: string[] = []
  closed: number | null = null
  tell (text: string): void { this.out.push(text) }
  send (message: string): void { this.out.push(message) }
  close (code: number): void { this.closed = code }
}

interface Made { session: ClientSession<string>, log: Array<string | object>, gaps: Array<Gap<string> | null>, owed: () => number, onOpen: (what: () => void) => void }

function make (): Made {
  const log: Array<string | object> = []
  const gaps: Array<Gap<string> | null> = []
  let owed = 0
  let opens = (): void => {}
  const owner: ClientOwner<string> = {
    opened: (_hello, gap) => { gaps.push(gap); opens() },
    resumed: () => { log.push('resumed') },
    message: (data) => { log.push(data) },
    confirmed: (message) => { log.push(`confirmed ${message}`) },
    missed: (reason, groups) => { log.push(`missed ${reason} ${groups.join()}`) },
    owes: () => { owed++ }
  }
  return { session: new ClientSession(owner), log, gaps, owed: () => owed, onOpen: (what) => { opens = what } }
}

const say = ({ session }: Made, wire: FakeWire, data: string | Uint8Array): void => { session.heard(wire, data, data.length) }

function attach (made: Made, changes: Partial<Hello> = {}): FakeWire {
  const wire = new FakeWire()
  made.session.attach(wire)
  say(made, wire, hello({ ...greeting, ...changes }))
  return wire
}

const resumed = { resumed: true, reason: null, token: T2 } as const

test('it opens, says that it has the hello, and claims what it was told', () => {
  const made = make()
  assert.equal(made.session.leave(), null)
  const wire = attach(made)
  assert.deepEqual([wire.out, made.gaps, made.session.attached], [['\0a0'], [null], true])
  say(made, wire, 'one')
  assert.deepEqual(made.session.leave(), { node: 'n', token: T1, received: 1 })
})

test('what is sent before there is a hello waits for it; what the app sends when it is told comes first', () => {
  const made = make()
  made.session.send('early', 5)
  made.onOpen(() => { made.session.send('first', 5) })
  assert.deepEqual(attach(made).out, ['\0a0', 'first', 'early'])
})

test('it comes back with what the server has not taken, in order, before anything new', () => {
  const made = make()
  attach(made)
  for (const message of ['a', 'b', 'c']) made.session.send(message, 1)
  made.session.leave()
  made.session.send('d', 1)
  const wire = attach(made, { ...resumed, received: 1 })
  made.session.send('e', 1)
  assert.deepEqual([wire.out, made.log], [['\0a0', 'b', 'c', 'd', 'e'], ['confirmed a', 'resumed']])
  assert.equal(made.session.leave()?.token, T2)
})

test('what the app sends because it hears of a confirmation comes behind what waits', () => {
  const made = make()
  attach(made)
  for (const message of ['a', 'b']) made.session.send(message, 1)
  made.session.leave()
  const wire = new FakeWire()
  made.session.attach(wire)
  const { push } = made.log
  made.log.push = (line) => { if (line === 'confirmed a') made.session.send('answer', 6); return push.call(made.log, line) }
  say(made, wire, hello({ ...greeting, ...resumed, received: 1 }))
  assert.deepEqual(wire.out, ['\0a0', 'b', 'answer'])
})

test('another session is a gap: what was taken, what is not known, and what goes to the new one', () => {
  const made = make()
  const wire = attach(made)
  say(made, wire, 'one')
  for (const message of ['a', 'b', 'c']) made.session.send(message, 1)
  say(made, wire, '\0a1')
  made.session.leave()
  made.session.send('d', 1)
  const next = attach(made, { reason: 'expired', token: T2 })
  assert.deepEqual(made.gaps.at(-1), { reason: 'expired', received: 1, unknown: ['b', 'c'] })
  assert.deepEqual(next.out, ['\0a0', 'd'])
  assert.equal(made.session.received, 0)
})

test('what a cut wire was given again, but the server has not taken, is unknown only if it was given', () => {
  const made = make()
  attach(made)
  for (const message of ['a', 'b']) made.session.send(message, 60)
  // The credit is 100: b waits. Its first wire never had it.
  made.session.leave()
  const next = attach(made, { reason: 'unknown' })
  assert.deepEqual([made.gaps.at(-1)?.unknown, next.out], [['a'], ['\0a0', 'b']])
})

test('it keeps within its credit, and sends one larger message alone', () => {
  const made = make()
  const wire = attach(made)
  for (const [message, size] of [['a', 60], ['b', 60], ['large', 500], ['c', 1]] as const) made.session.send(message, size)
  assert.deepEqual(wire.out, ['\0a0', 'a'])
  say(made, wire, '\0a1')
  assert.deepEqual(wire.out.slice(1), ['a', 'b'])
  say(made, wire, '\0a2')
  assert.deepEqual(wire.out.slice(1), ['a', 'b', 'large'])
  say(made, wire, '\0a3')
  assert.deepEqual(wire.out.slice(1), ['a', 'b', 'large', 'c'])
})

test('no more than 1,000 are on their way', () => {
  const made = make()
  const wire = attach(made)
  for (let i = 0; i < CREDIT_MESSAGES + 5; i++) made.session.send('', 0)
  assert.equal(wire.out.length, 1 + CREDIT_MESSAGES)
  say(made, wire, '\0a3')
  assert.equal(wire.out.length, 1 + CREDIT_MESSAGES + 3)
})

test('it confirms after a quarter of what the server keeps, when it is asked, and else soon', () => {
  const made = make()
  const wire = attach(made)
  say(made, wire, 'x'.repeat(99))
  assert.deepEqual([wire.out, made.owed(), made.session.owing], [['\0a0'], 1, true])
  say(made, wire, new Uint8Array(1))
  assert.deepEqual([wire.out.at(-1), made.session.owing], ['\0a2', false])
  say(made, wire, 'one')
  say(made, wire, '\0r0')
  assert.equal(wire.out.at(-1), '\0a3')
  made.session.tell(true)
  assert.equal(wire.out.at(-1), '\0r3')
})

test('what an app says that begins with U+0000 is a message; a gap of the server is told', () => {
  const made = make()
  const wire = attach(made)
  say(made, wire, '\0\0nul')
  say(made, wire, '\0g{"reason":"full","groups":["a","b"]}')
  say(made, wire, '\0z')
  assert.deepEqual([made.log, made.session.received], [['\0nul', 'missed full a,b'], 1])
})

test('a wire that was left is heard no more', () => {
  const made = make()
  const wire = attach(made)
  made.session.leave()
  say(made, wire, 'late')
  made.session.tell()
  made.session.lost(wire, 1000)
  assert.deepEqual([made.log, made.session.received, wire.out], [[], 0, ['\0a0']])
  assert.notEqual(made.session.leave(), null)
})

test('by its close code a wire that is gone leaves the token, or takes it', () => {
  for (const [code, kept] of [[1006, true], [1012, true], [3001, true], [1000, false], [1011, false], [4000, false]] as const) {
    const made = make()
    const wire = attach(made)
    made.session.lost(wire, code)
    assert.deepEqual([made.session.attached, made.session.leave() !== null], [false, kept], String(code))
  }
})

test('who has had enough claims nothing', () => {
  const made = make()
  attach(made)
  made.session.forget()
  assert.equal(made.session.leave(), null)
})

test('a server that says what cannot be is left, and its token dropped', () => {
  const wrong: Array<[string, (made: Made, wire: FakeWire) => void]> = [
    ['a message before the hello', (made, wire) => { made.session.attach(wire); say(made, wire, 'one') }],
    ['another version', (made, wire) => { made.session.attach(wire); say(made, wire, hello({ ...greeting, v: 2 })) }],
    ['a resume that nobody has claimed', (made, wire) => { made.session.attach(wire); say(made, wire, hello({ ...greeting, ...resumed })) }],
    ['a second hello', (made, wire) => { made.session.attach(wire); say(made, wire, hello(greeting)); say(made, wire, hello(greeting)) }],
    ['a count of what was never sent', (made, wire) => { made.session.attach(wire); say(made, wire, hello(greeting)); say(made, wire, '\0a1') }],
    ['what cannot be read', (made, wire) => { made.session.attach(wire); say(made, wire, hello(greeting)); say(made, wire, '\0a') }],
    ['a count that goes back', (made, wire) => {
      const first = attach(made)
      made.session.send('a', 1)
      say(made, first, '\0a1')
      made.session.leave()
      made.session.attach(wire)
      say(made, wire, hello({ ...greeting, ...resumed, received: 0 }))
    }]
  ]
  for (const [what, happens] of wrong) {
    const made = make()
    const wire = new FakeWire()
    happens(made, wire)
    assert.deepEqual([wire.closed, made.session.attached, made.session.leave()], [1002, false, null], what)
  }
})
