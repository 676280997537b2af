import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { Ajv } from 'ajv'
import { MessageParser } from '../../../src/core/parser.js'
import type { InvalidMessageError, Parsed, Poisoning, Validate } from '../../../src/core/parser.js'

const parser = (validate: Validate | null, poisoning: Poisoning = {}): MessageParser => new MessageParser(validate, null, poisoning, 'route /, config.lifeline: ')
const parse = (validate: Validate | null, data: string | Buffer): Parsed | InvalidMessageError => parser(validate).parse(data)
const failing = (errors: unknown): Validate => Object.assign(() => false, { errors })

function refused (validate: Validate | null, data: string | Buffer = '{}'): InvalidMessageError {
  const result = parse(validate, data)
  assert.ok(result instanceof Error)
  assert.deepEqual([result.code, result.statusCode], ['FST_ERR_LIFELINE_INVALID_MESSAGE', 400])
  return result
}

test('without a validator any JSON is a value, beside the text that it came as', () => {
  for (const text of ['{"a":[1]}', '[]', 'null', 'false', '0', '""', ' "x" ']) {
    assert.deepEqual(parse(null, text), { data: text, binary: false, value: JSON.parse(text) })
  }
})

test('what is no JSON is refused, with the reason of the parser as its cause', () => {
  for (const text of ['', ' ', '{', '{"a":1}x', "{'a':1}", 'undefined', 'NaN', '\u0000', '{"a":1}{"b":2}', '[1,]', '{"__proto__":{}}', '{"a":{"constructor":{"prototype":{}}}}']) {
    const error = refused(null, text)
    assert.deepEqual([error.message, error.validation], ['message is not valid JSON', null])
    assert.ok(error.cause instanceof SyntaxError, text)
  }
})

test('what could poison a prototype is removed, or let through, if Fastify is told so', () => {
  const text = '{"a":1,"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}'
  const removed = parser(null, { protoAction: 'remove', constructorAction: 'remove' }).parse(text) as Parsed
  assert.deepEqual(removed.value, { a: 1 })
  const ignored = parser(null, { protoAction: 'ignore', constructorAction: 'ignore' }).parse(text) as Parsed
  assert.ok(Object.hasOwn(ignored.value as object, '__proto__'))
  assert.equal(({} as { admin?: boolean }).admin, undefined)
})

test('binary is refused, also where it would be JSON', () => {
  const error = refused(null, Buffer.from('{}'))
  assert.deepEqual([error.message, error.validation, 'cause' in error], ['message must be text, not binary', null, false])
})

test('what a validator says becomes the message, as Fastify says it of bodies', () => {
  const issues = [{ instancePath: '/a/0', message: 'must be string' }, { instancePath: '', message: 'must be object' }, {}]
  const error = refused(failing(issues))
  assert.equal(error.message, 'message/a/0 must be string, message must be object, message does not fit')
  assert.equal(error.validation, issues)
})

test('whatever it says otherwise, something is said', () => {
  for (const errors of [[], null, undefined, 'no', 0]) assert.equal(refused(failing(errors)).message, 'message does not fit its schema')
  const own = new Error('is no move')
  for (const validate of [() => ({ error: own }), failing(own)]) {
    const error = refused(validate as Validate)
    assert.deepEqual([error.message, error.cause, error.validation], ['is no move', own, []])
  }
  assert.equal(refused((() => ({ error: [{ instancePath: '/a', message: 'is none' }] })) as Validate).message, 'message/a is none')
})

test('a validator that finds an error in each of a million parts costs a few words', () => {
  const error = refused(failing(Array(1_000_000).fill({ instancePath: '/a', message: 'must be string' })))
  assert.ok(error.message.length <= 1000)
  assert.equal(refused((() => ({ error: new Error('x'.repeat(1e6)) })) as Validate).message.length, 1000)
})

test('an error has no stack to be captured: peers make them as fast as they like', () => {
  assert.equal(refused(null, '{').stack, undefined)
})

test('a value that the validator gives takes the place of what was parsed; other results let it be', () => {
  assert.deepEqual(parse((value) => ({ value: { was: value } }), '5'), { data: '5', binary: false, value: { was: 5 } })
  assert.deepEqual(parse(() => ({ value: undefined }), '5'), { data: '5', binary: false, value: undefined })
  for (const result of [true, undefined, null, 1, 'value', {}, { error: null }, { error: undefined }]) assert.deepEqual(parse(() => result, '5'), { data: '5', binary: false, value: 5 })
})

test('a validator of ajv is told what holds the value, others are not', () => {
  const contexts: unknown[] = []
  const validate = (_value: unknown, context?: object): boolean => { contexts.push(context); return true }
  const result = parse(Object.assign(validate.bind(null), { schemaEnv: {} }), '5')
  parse(validate, '5')
  assert.deepEqual(contexts, [{ parentData: result, parentDataProperty: 'value' }, undefined])
})

test('what goes deeper than the stack is the peer\'s fault, and what else throws is not', () => {
  const deep = (value: unknown): boolean => Array.isArray(value) ? value.every(deep) : true
  const error = refused(deep, '['.repeat(200_000) + ']'.repeat(200_000))
  assert.deepEqual([error.message, error.validation], ['message is nested too deeply', []])
  for (const own of [new RangeError('Invalid array length'), new TypeError('no'), 'no']) {
    assert.throws(() => parse(() => { throw own }, '5'), (thrown) => thrown === own)
  }
})

test('objects that ajv cannot compare, for the peer has named a value valueOf or toString, are the peer\'s fault; what else ajv throws is not', () => {
  const ajv = new Ajv()
  for (const [schema, text] of [
    [{ type: 'array', uniqueItems: true, items: { type: 'object' } }, '[{"valueOf":1},{"valueOf":1}]'],
    [{ const: { a: 1 } }, '{"toString":1}'],
    [{ enum: [{ a: 1 }, { b: 1 }] }, '{"valueOf":null}']
  ] as const) {
    const error = refused(ajv.compile(schema) as unknown as Validate, text)
    assert.deepEqual([error.message, error.validation], ['message has an object that cannot be compared', []])
  }
  const own = new TypeError('no')
  assert.throws(() => parse(ajv.addFormat('own', () => { throw own }).compile({ type: 'string', format: 'own' }) as unknown as Validate, '"x"'), (thrown) => thrown === own)
})

test('a validator that answers later is an error of the app\'s, and what it is rejected with reaches nobody', async () => {
  for (const result of [Promise.reject(new Error('later')), Promise.resolve(true), { then (_: unknown, reject: (error: Error) => void) { reject(new Error('later')) } }]) {
    assert.throws(() => parse(() => result, '5'), { code: 'FST_ERR_LIFELINE_OPTION', message: /route \/, config\.lifeline: option "message" must have a validator that answers at once \(received a Promise\)/ })
  }
  await new Promise(setImmediate)
})

test('a validator of another realm says the same: that its stack has ended, and why it refuses', () => {
  const deep = runInNewContext('() => { const down = () => down() + 1; return down() }') as Validate
  assert.equal(refused(deep).message, 'message is nested too deeply')
  assert.equal(refused(failing(runInNewContext('new Error("too long")'))).message, 'too long')
})
