import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CREDIT_MESSAGES, decode } from '../../../src/protocol/frames.js'
import type { Frame, Hello } from '../../../src/protocol/frames.js'
import { ServerSession } from '../../../src/protocol/server-session.js'
import type { ServerWire } from '../../../src/protocol/server-session.js'

const T1 = '1'.padStart(43, 't')
const terms = { id: 'id', node: 'n', window: 1000, limit: 400, credit: 100, payload: 1000, beat: 1000 }

class FakeWire implements ServerWire<string> {
  roomy = true
  taken = 0
  readonly told: Frame[] = []
  readonly sent: string[] = []
  closed: number | null = null
  shuts = 0
  tell (text: string): void { this.told.push(decode(text)) }
  send (message: string, seq: number): void { this.sent.push(`${seq} ${message}`) }
  shut (): number { this.shuts++; return this.taken }
  close (code: number): void { this.closed = code }
  get hello (): Hello { return (this.told[0] as { hello: Hello }).hello }
}

function make (options: { tokens?: boolean } = {}): { session: ServerSession<string>, index: Set<string>, ended: number[], confirmed: number[], owed: () => number } {
  const index = new Set<string>()
  const ended: number[] = []
  const confirmed: number[] = []
  let owed = 0
  let count = 0
  const minting = options.tokens === false ? null : { mint: () => String(++count).padStart(43, 't'), hash: (token: string) => token }
  const session = new ServerSession<string>(terms, minting, index, { confirmed: (seq) => { confirmed.push(seq) }, owes: () => { owed++ }, ended: (code) => { ended.push(code) } })
  return { session, index, ended, confirmed, owed: () => owed }
}

const count = (n: number, asks = false): Frame => ({ kind: 'taken', count: n, asks })

/** A session whose client has spoken. */
function attached (): ReturnType<typeof make> & { wire: FakeWire } {
  const made = make()
  const wire = new FakeWire()
  made.session.attach(wire, 'chat', null)
  made.session.heard(wire, count(0), 0)
  return { ...made, wire }
}

test('a hello says where both stand', () => {
  const { session } = make()
  const wire = new FakeWire()
  session.attach(wire, 'chat', null)
  assert.deepEqual(wire.hello, { v: 1, ...terms, token: T1, resumed: false, reason: 'new', received: 0, protocol: 'chat' })
})

test('what was not confirmed is sent again, behind the count of the claim, and no sooner than the wire takes it', () => {
  const { session, wire } = attached()
  for (const message of ['a', 'b', 'c']) session.push(message, 1)
  session.lost(wire, 1006)
  session.push('d', 1)
  const next = new FakeWire()
  next.roomy = false
  session.attach(next, '', { hash: T1, received: 1 })
  assert.deepEqual(next.sent, [])
  next.roomy = true
  session.pump()
  assert.deepEqual([wire.sent, next.sent], [['1 a', '2 b', '3 c'], ['2 b', '3 c', '4 d']])
})

test('a session whose client has never spoken, and one that has no tokens, end with their wire', () => {
  for (const options of [{}, { tokens: false }]) {
    const { session, index, ended } = make(options)
    const wire = new FakeWire()
    session.attach(wire, '', null)
    if (options.tokens === false) session.heard(wire, count(0), 0)
    assert.equal(wire.hello.token, options.tokens === false ? null : T1)
    session.lost(wire, 1006)
    assert.deepEqual([ended, index.size], [[1006], 0])
  }
})

test('the count of a wire that is gone is final: its gate is shut once, and before another hello', () => {
  const { session, wire } = attached()
  for (let i = 0; i < 3; i++) session.heard(wire, 'message', 1)
  wire.taken = 2
  const next = new FakeWire()
  session.attach(next, '', { hash: T1, received: 0 })
  assert.deepEqual([wire.shuts, wire.closed, next.hello.received, session.received], [1, 3001, 2, 2])
  // Whatever comes of the old one.
  session.took(wire)
  session.lost(wire, 1000)
  assert.equal(session.heard(wire, count(9), 0), false)
  assert.deepEqual([session.attached, session.ended, session.received, next.told.length], [true, false, 2, 1])
})

test('a wrong frame ends the session with 1002', () => {
  for (const frame of [{ kind: 'malformed', why: '' } as const, count(1)]) {
    const { session, wire, ended } = attached()
    assert.equal(session.heard(wire, frame, 0), false)
    assert.deepEqual([wire.closed, ended], [1002, [1002]])
  }
  const { session, ended } = make()
  const wire = new FakeWire()
  session.attach(wire, '', null)
  session.heard(wire, { kind: 'message', text: 'too early' }, 9)
  assert.deepEqual([wire.closed, ended], [1002, [1002]])
})

test('what a client has no business to say, and what a later version says, is ignored', () => {
  const { session } = make()
  const wire = new FakeWire()
  session.attach(wire, '', null)
  for (const frame of [{ kind: 'unknown' }, { kind: 'gap', reason: '', groups: [] }, { kind: 'hello', hello: wire.hello }] as const) assert.equal(session.heard(wire, frame, 0), false)
  assert.equal(session.ended, false)
})

test('a client past its credit by more than one message is closed with 1008; one large message may come alone', () => {
  const tooMany = attached()
  for (let i = 0; i <= CREDIT_MESSAGES; i++) assert.equal(tooMany.session.heard(tooMany.wire, 'message', 0), true)
  tooMany.session.heard(tooMany.wire, 'message', 0)
  assert.equal(tooMany.wire.closed, 1008)
  const tooMuch = attached()
  for (let i = 0; i < 2; i++) assert.equal(tooMuch.session.heard(tooMuch.wire, 'message', 1_000_000), true)
  tooMuch.session.heard(tooMuch.wire, 'message', 1)
  assert.equal(tooMuch.wire.closed, 1008)
})

test('the credit is that of what the client was not told to be taken', () => {
  const { session, wire } = attached()
  for (let i = 1; i <= 500; i++) {
    session.heard(wire, 'message', 20)
    wire.taken = i
    session.took(wire)
  }
  assert.equal(session.ended, false)
  // A quarter of 100 bytes is two of them.
  assert.equal(wire.told.length, 1 + 250)
  assert.deepEqual(wire.told.at(-1), count(500))
})

test('what was taken is told within a second, or when the client asks', () => {
  const { session, wire, owed } = attached()
  session.heard(wire, 'message', 1)
  wire.taken = 1
  session.took(wire)
  assert.deepEqual([owed(), wire.told.length], [1, 1])
  session.heard(wire, count(0, true), 0)
  assert.deepEqual(wire.told.at(-1), count(1))
})

test('of many small messages every 250 are told', () => {
  const { session, wire } = attached()
  for (let i = 1; i <= 1000; i++) {
    session.heard(wire, 'message', 0)
    wire.taken = i
    session.took(wire)
  }
  assert.deepEqual(wire.told.slice(1), [250, 500, 750, 1000].map((n) => count(n)))
})

test('what does not reach is told beforehand', () => {
  const { session, wire } = attached()
  for (const message of ['a', 'b', 'c']) session.push(message, 1)
  session.heard(wire, count(2), 0)
  assert.deepEqual([1, 2, 3, 4].map((received) => session.reaches(received)), [false, true, true, false])
  session.end(1000)
  assert.equal(session.reaches(2), false)
})

test('a wire that fails while it is written to takes no more', () => {
  const { session, wire } = attached()
  wire.send = (message, seq) => { wire.sent.push(`${seq} ${message}`); session.lost(wire, 1006) }
  session.push('a', 1)
  session.push('b', 1)
  assert.deepEqual([wire.sent, session.attached, session.kept.length], [['1 a'], false, 2])
})

test('the end comes once, and leaves nothing', () => {
  const { session, wire, index, ended } = attached()
  session.end(1012)
  session.end(1000)
  session.lost(wire, 1006)
  session.tell()
  assert.deepEqual([ended, wire.closed, index.size, wire.told.length], [[1012], 1012, 0, 1])
})

test('a run that is over lets nobody wait for a body that is not its last', () => {
  const { session } = attached()
  const [one, two] = [{}, {}]
  session.works(one)
  assert.deepEqual([session.mayTake(one), session.mayTake(two)], [true, false])
  session.settled(two)
  assert.equal(session.mayTake(two), false)
  session.settled(one)
  assert.equal(session.mayTake(two), true)
})
