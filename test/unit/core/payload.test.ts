import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { toOutgoing, toShared } from '../../../src/core/outgoing.js'
import { toPayload } from '../../../src/core/payload.js'
import { framesOf } from '../../../src/transports/websocket/frame.js'

test('a string is sent as it is', () => {
  fc.assert(fc.property(fc.string(), (text) => toPayload(text) === text))
})

test('bytes are viewed, never copied, whatever they come in', () => {
  const buffer = Buffer.from('abcdef')
  assert.equal(toPayload(buffer), buffer)
  const memory = new ArrayBuffer(16)
  new Uint8Array(memory).set([0, 1, 2, 3, 4, 5, 6, 7])
  const shared = new SharedArrayBuffer(4)
  for (const data of [memory, new Uint8Array(memory, 2, 4), new Float64Array(memory, 8, 1), new DataView(memory, 1, 3), new BigInt64Array(memory), shared]) {
    const payload = toPayload(data) as Buffer
    assert.ok(Buffer.isBuffer(payload))
    assert.equal(payload.buffer, ArrayBuffer.isView(data) ? data.buffer : data)
    assert.equal(payload.byteOffset, ArrayBuffer.isView(data) ? data.byteOffset : 0)
    assert.equal(payload.length, data.byteLength)
  }
})

test('bytes are what they are, whatever they say of themselves', () => {
  const lying = Object.defineProperties(Buffer.from('abc'), { length: { value: 2 ** 40 }, byteLength: { value: 2 ** 40 }, byteOffset: { value: 7 }, buffer: { value: null } })
  const view = Object.defineProperty(new DataView(new Uint8Array([1, 2, 3]).buffer, 1), 'byteLength', { value: 2 ** 40 })
  class Mine extends Uint8Array { override get length (): number { return 2 ** 40 } }
  const large = Object.assign(Buffer.alloc(100_000, 7), { subarray: () => Buffer.from('liar') })
  assert.deepEqual(toShared(large, undefined).payload.length, 100_000)
  assert.equal((framesOf(toShared(large, undefined)) as Buffer[]).reduce((sum, { length }) => sum + length, 0) > 100_000, true)
  const memory = Object.defineProperty(new Uint8Array([1, 2, 3]).buffer, 'byteLength', { value: 2 })
  assert.throws(() => toPayload(memory), { code: 'FST_ERR_LIFELINE_INVALID_DATA' })
  assert.deepEqual([lying, view, new Mine([4, 5])].map((data) => [...toPayload(data) as Buffer]), [[97, 98, 99], [2, 3], [4, 5]])
})

test('what only looks like a Buffer is sent as any other object is', () => {
  for (const data of [Object.create(Buffer.prototype), new Proxy(Buffer.from('abc'), {})]) {
    assert.throws(() => toPayload(data), { code: 'FST_ERR_LIFELINE_INVALID_DATA' })
  }
})

test('everything else that has JSON is sent as JSON', () => {
  class Row { id = 1; get twice (): number { return 2 * this.id } }
  class Listed { * [Symbol.iterator] (): Iterator<number> { yield 1 } toJSON (): number[] { return [...this] } }
  const foreign = runInNewContext('({ plain: { a: 1 }, list: [1, [2]], date: new Date(0) })')
  for (const data of [
    null, 0, -1.5, NaN, true, [], {}, { a: [1, 'x'] }, new Date(0), { toJSON: () => 'mine' }, { then: 1 }, Object.create(null), Object.assign(Object.create(null), { a: 1 }),

    new Row(), new Listed(), Object('boxed'), Object(1), new URL('https://a.example'), foreign, foreign.plain, foreign.list, foreign.date
  ]) {
    assert.equal(toPayload(data), JSON.stringify(data))
  }
  fc.assert(fc.property(fc.jsonValue(), (data) => typeof data === 'string' || toPayload(data) === JSON.stringify(data)))
})

/** As another realm's: of no class that is known here. */
const foreignBlob = { get [Symbol.toStringTag] () { return 'Blob' }, arrayBuffer: async () => new ArrayBuffer(0), size: 0 }

const circular: { self?: unknown } = {}
circular.self = circular
const invalid: Record<string, [unknown, RegExp]> = {
  'a Blob of another realm': [foreignBlob, /it is a Blob/],
  undefined: [undefined, /undefined has no JSON/],
  'a function': [() => {}, /function has no JSON/],
  'a symbol': [Symbol('s'), /symbol has no JSON/],
  'a toJSON that gives undefined': [{ toJSON () {} }, /object has no JSON/],
  'a bigint': [1n, /BigInt/],
  'a bigint within': [{ deep: [1n] }, /BigInt/],
  'a circle': [circular, /circular/i],
  'a toJSON that throws': [{ toJSON () { throw new Error('mine') } }, /mine/],
  // eslint-disable-next-line no-throw-literal
  'a toJSON that throws a string': [{ toJSON () { throw 'mine' } }, /mine/],
  'a getter that throws': [{ get it () { throw new Error('mine') } }, /mine/],
  'a Promise': [Promise.resolve(1), /Promise, or a query that has not run: await it/],
  'a Promise of another realm': [runInNewContext('Promise.resolve(1)'), /Promise/],
  'a Promise that hides its then': [Object.assign(Promise.resolve(1), { then: null }), /Promise/],
  'a query builder': [new (class Query { sql = 'SELECT'; bindings = ['secret']; then (resolve: (rows: unknown) => void): void { resolve([]) } toJSON (): unknown { return this.bindings } })(), /query that has not run: await it/],
  'a Response': [new Response('x'), /it is a Response/],
  'a Request': [new Request('http://a.example'), /it is a Request/],
  'a ReadableStream': [new ReadableStream(), /it is a ReadableStream/],
  'a stream': [new PassThrough(), /it is a PassThrough/],
  'a generator': [(function * () { yield 1 })(), /read it into an array/],
  'an async generator': [(async function * () { yield 1 })(), /read it into an array/],
  'an Error': [new TypeError('secret'), /it is an Error \(TypeError\)/],
  'an Error of another realm': [runInNewContext('new Error("secret")'), /it is an Error/],
  'a Map': [new Map([[1, 2]]), /it is a Map: read it into/],
  'a Set': [new Set([1]), /it is a Set: read it into/],
  'a WeakMap': [new WeakMap(), /it is a WeakMap, of which JSON keeps nothing/],
  'a RegExp': [/x/, /it is a RegExp/],
  'an object of a class whose fields are private': [new (class Hidden { #secret = 1; get secret (): number { return this.#secret } })(), /it is a Hidden, of which/],
  'a Blob': [new Blob(['x']), /Blob: await its arrayBuffer/]
}

for (const [name, [data, message]] of Object.entries(invalid)) {
  test(`${name} is no message, and the error says why`, () => {
    assert.throws(() => toPayload(data), (error: Error & { code: string }) => {
      assert.equal(error.code, 'FST_ERR_LIFELINE_INVALID_DATA')
      assert.match(error.message, message)
      assert.equal(error.message.split('was not sent').length, 2)
      return true
    })
  })
}

test('the error of the app\'s own serializer is the cause of ours', () => {
  const mine = new Error('mine')
  assert.throws(() => toPayload({ toJSON () { throw mine } }), ({ cause }: Error) => cause === mine)
})

test('what is kept of few bytes is those bytes, though they say otherwise of themselves', () => {
  const lying = Object.assign(Buffer.from('abc'), { toString: () => 'liar' })
  assert.deepEqual(toOutgoing(lying, undefined).own().payload, Buffer.from('abc'))
})
