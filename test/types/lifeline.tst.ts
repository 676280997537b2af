/**
 * What an app's compiler is told.
 */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifyTypeProvider, RouteShorthandOptions } from 'fastify'
import Fastify from 'fastify'
import { describe, expect, test } from 'tstyche'
import { Counter, Registry } from 'prom-client'
import type { OpenMetricsContentType } from 'prom-client'
import type WebSocket from 'ws'
import lifeline, { causes, errors, fastifyLifeline } from '../../src/index.js'
import type {
  Cause, CloseInfo, Connection, ConnectionData, ConnectionInfo, ConnectionWritableOptions, DeliverOptions, Delivery, Distribution, Drop, Group, HeartbeatOptions, HeartbeatStatus, InvalidMessageError, Lifeline, LifelineEvents, LifelineOptions, LifelineRouteOptions, Limited, Message, MessageOf, OriginRule, Origins, Outcome, ParsedMessage, PushOptions, PushResult, ReceiptOptions, Stats, Unconfirmed
} from '../../src/index.js'
import { collectMetrics } from '../../src/metrics/collect.js'

declare module '../../src/index.js' {
  interface ConnectionData { user?: { name: string }, rooms?: string[] }
}

declare const fastify: FastifyInstance
declare const request: FastifyRequest
declare const connection: Connection

describe('registering', () => {
  test('the plugin with its options, under all of its names', () => {
    expect(fastify.register(lifeline)).type.not.toRaiseError()
    expect(fastify.register(fastifyLifeline, {})).type.not.toRaiseError()
    expect(fastify.register(lifeline, { heartbeat: { interval: 20_000, timeout: 10_000 } })).type.not.toRaiseError()
    expect(fastify.register(lifeline, { heartbeat: false })).type.not.toRaiseError()
    expect(fastify.register(lifeline, () => ({ closeTimeout: 1_000 }))).type.not.toRaiseError()
    expect(Fastify({ http2: true }).register(lifeline)).type.not.toRaiseError()
    expect(Fastify({ https: {} }).register(lifeline, { closeTimeout: 1 })).type.not.toRaiseError()
  })

  test('wrong options are errors', () => {
    expect(fastify.register).type.not.toBeCallableWith(lifeline, { heartbeat: true })
    expect(fastify.register).type.not.toBeCallableWith(lifeline, { heartbeat: { intervall: 1 } })
    expect(fastify.register).type.not.toBeCallableWith(lifeline, { closeTimeout: '5s' })
    expect(fastify.register).type.not.toBeCallableWith(lifeline, { unknown: 1 })
    expect(fastify.register).type.not.toBeCallableWith(lifeline, 5)
    expect(fastify.register).type.not.toBeCallableWith(lifeline, { websocket: { errorHandler: 'no function' } })
  })

  test('LifelineOptions', () => {
    expect<LifelineOptions>().type.toBeAssignableFrom({})
    expect<LifelineOptions>().type.toBeAssignableFrom({
      heartbeat: { interval: 1 },
      backpressure: { stallTimeout: 1 },
      closeTimeout: 1,
      upgradeTimeout: 1,
      shutdown: { window: 0, timeout: 1 },
      limits: { payload: 1 },
      websocket: { options: { perMessageDeflate: true, verifyClient: () => true } }
    })
    expect<LifelineOptions['heartbeat']>().type.toBe<HeartbeatOptions | false | undefined>()
    expect<LifelineOptions>().type.not.toBeAssignableFrom({ shutdown: { window: '1s' } })
    expect<LifelineOptions>().type.not.toBeAssignableFrom({ limits: { payload: undefined } })
  })

  test('the app\'s own handlers, under websocket, get their types', () => {
    fastify.register(lifeline, {
      websocket: {
        errorHandler (error, socket, request, reply) {
          expect(error).type.toBe<Error>()
          expect(socket).type.toBe<WebSocket>()
          expect(request).type.toBe<FastifyRequest>()
          expect(reply).type.toBe<FastifyReply>()
        }
      }
    })
  })
})

describe('receipts', () => {
  test('options', () => {
    expect<LifelineOptions['receipts']>().type.toBe<boolean | ReceiptOptions | undefined>()
    expect<LifelineRouteOptions['receipts']>().type.toBe<boolean | ReceiptOptions | undefined>()
    expect<LifelineOptions>().type.not.toBeAssignableFrom({ receipts: { messages: '5' } })
  })

  test('deliver', () => {
    expect(connection.deliver('x')).type.toBe<Promise<Delivery>>()
    expect(connection.deliver('x', { timeout: 1, signal: connection.signal, binary: true })).type.toBe<Promise<Delivery>>()
    expect(fastify.lifeline.deliver(1, {})).type.toBe<Promise<Delivery>>()
    expect(connection.deliver).type.not.toBeCallableWith('x', { timeout: '1s' })
    expect<Delivery['outcome']>().type.toBe<Outcome>()
    expect<Outcome>().type.toBe<'delivered' | 'gone' | 'full' | 'invalid' | 'timeout' | 'unconfirmed'>()
    expect<DeliverOptions>().type.toBeAssignableFrom({})
    expect<Extract<Delivery, { outcome: 'delivered' }>['roundTrip']>().type.toBe<number>()
    expect<Delivery['roundTrip']>().type.toBe<number | undefined>()
  })

  test('what was not confirmed', () => {
    expect(connection.unconfirmed).type.toBe<{ count: number, bytes: number }>()
    expect<CloseInfo['unconfirmed']>().type.toBe<readonly Unconfirmed[]>()
    expect<Unconfirmed['data']>().type.toBe<string | Buffer<ArrayBuffer>>()
    expect<Stats['deliveries']>().type.toBe<Record<Outcome, number>>()
  })
})

describe('on the instance', () => {
  test('exists takes anything and gives a boolean', () => {
    expect(fastify.exists(1)).type.toBe<boolean>()
    expect(fastify.exists).type.toBeCallableWith(null)
    expect(fastify.exists).type.toBeCallableWith('1')
    expect(fastify.exists).type.not.toBeCallableWith()
  })

  test('safePush takes anything and gives a boolean', () => {
    expect(fastify.safePush(1, 'text')).type.toBe<boolean>()
    expect(fastify.safePush).type.toBeCallableWith(1, { hello: 'world' }, { binary: false })
    expect(fastify.safePush).type.toBeCallableWith(undefined, Buffer.from(''))
    expect(fastify.safePush).type.not.toBeCallableWith(1)
    expect(fastify.safePush).type.not.toBeCallableWith(1, 'text', { binary: 'yes' })
    expect(fastify.safePush).type.not.toBeCallableWith(1, 'text', { compress: true })
  })

  test('lifeline', () => {
    expect(fastify.lifeline).type.toBe<Lifeline>()
    const secure = Fastify({ http2: true, https: { allowHTTP1: true } })
    expect(secure.lifeline).type.toBe<Lifeline>()
  })
})

describe('routes', () => {
  test('handlers of WebSocket routes get socket and request without types of their own', () => {
    fastify.get('/', { websocket: true }, (socket, request) => {
      expect(socket).type.toBe<WebSocket>()
      expect(request.fd).type.toBe<number>()
      expect(request.ws).type.toBe<boolean>()
      expect(fastify.lifeline.of(request)).type.toBe<Connection>()
      expect(fastify.lifeline.of(request.raw)).type.toBe<Connection>()
      expect(fastify.lifeline.of(socket)).type.toBe<Connection>()
    })
    fastify.get<{ Params: { id: string } }>('/:id', { websocket: true }, async (_socket, { params }) => {
      expect(params.id).type.toBe<string>()
    })
    fastify.route({
      method: 'GET',
      url: '/both',
      handler: async (request) => { expect(request.fd).type.toBe<number>() },
      wsHandler: (socket, request) => {
        expect(socket).type.toBe<WebSocket>()
        expect(fastify.lifeline.of(request)).type.toBe<Connection>()
      }
    })
    fastify.get<{ Querystring: { q: string } }>('/generic', { websocket: true }, (_socket, request) => {
      expect(fastify.lifeline.of(request)).type.toBe<Connection>()
    })
  })

  test('request.fd is there on every request', () => {
    expect(request.fd).type.toBe<number>()
    fastify.get('/http', async (request) => { expect(request.fd).type.toBe<number>() })
  })

  test('config.lifeline is typed', () => {
    expect(fastify.get('/', { websocket: true, config: { lifeline: { heartbeat: false } } }, () => {})).type.not.toRaiseError()
    expect(fastify.get('/', { websocket: true, config: { lifeline: { heartbeat: { interval: 5 } } } }, () => {})).type.not.toRaiseError()
    // Within a call Fastify infers the type of a config from what it is given, and anything fits: these see a slip.
    expect<RouteShorthandOptions>().type.not.toBeAssignableFrom({ config: { lifeline: { hartbeat: false } } })
    expect<RouteShorthandOptions>().type.not.toBeAssignableFrom({ config: { lifeline: { heartbeat: true } } })
    expect<LifelineRouteOptions>().type.not.toBeAssignableFrom({ hartbeat: false })
    expect(fastify.get).type.not.toBeCallableWith('/', { websocket: true, lifeline: { heartbeat: false } }, () => {})
    expect<LifelineRouteOptions>().type.not.toBeAssignableFrom({ heartbeat: true })
    expect<LifelineRouteOptions>().type.not.toBeAssignableFrom({ closeTimeout: 1 })
    expect(request.routeOptions.config.lifeline).type.toBe<LifelineRouteOptions | undefined>()
  })
})

/** As TypeBox and zod do it: the type lies in the schema. */
interface Box<T> { readonly type: 'object', readonly static?: T }
interface BoxProvider extends FastifyTypeProvider { validator: this['schema'] extends Box<infer T> ? T : unknown }
interface Move { from: string, to: string }
declare const boxed: Box<Move>

describe('messages with a schema', () => {
  test('by a type provider, from the schema alone', () => {
    const app = fastify.withTypeProvider<BoxProvider>()
    app.get('/', { websocket: true, config: { lifeline: { message: boxed } } }, async (_socket, request) => {
      const connection = app.lifeline.of(request)
      expect(connection).type.toBe<Connection<ParsedMessage<Move>>>()
      expect(connection.next()).type.toBe<Promise<ParsedMessage<Move> | null>>()
      expect(connection.onMessage(({ value, data, binary }) => {
        expect(value).type.toBe<Move>()
        expect(data).type.toBe<string>()
        expect(binary).type.toBe<false>()
      })).type.toBe<void>()
      for await (const { value } of connection.messages()) expect(value).type.toBe<Move>()
    })
    app.route({
      method: 'GET',
      url: '/both',
      config: { lifeline: { message: boxed, codec: 'json' } },
      handler: async () => {},
      wsHandler: (_socket, request) => { expect(app.lifeline.of(request)).type.toBe<Connection<ParsedMessage<Move>>>() }
    })
    app.route({
      method: 'GET',
      url: '/route',
      websocket: true,
      config: { lifeline: { message: boxed } },
      handler: (_socket, request) => { expect(app.lifeline.of(request)).type.toBe<Connection<ParsedMessage<Move>>>() }
    })
    // What this provider makes nothing of.
    app.get('/', { websocket: true, config: { lifeline: { message: { type: 'string' } } } }, (_socket, request) => {
      expect(app.lifeline.of(request)).type.toBe<Connection<ParsedMessage<unknown>>>()
    })
    app.get('/', { websocket: true, config: { lifeline: { heartbeat: false } } }, (_socket, request) => {
      expect(app.lifeline.of(request)).type.toBe<Connection>()
    })
  })

  test('without a provider the value is unknown, or of the type that the route is given', () => {
    fastify.get('/', { websocket: true, config: { lifeline: { message: { type: 'object' } } } }, (_socket, request) => {
      expect(fastify.lifeline.of(request)).type.toBe<Connection<ParsedMessage<unknown>>>()
    })
    fastify.get('/', { websocket: true, config: { lifeline: { codec: 'json' } } }, (_socket, request) => {
      expect(fastify.lifeline.of(request)).type.toBe<Connection<ParsedMessage<unknown>>>()
    })
    fastify.get<{ Message: Move }>('/', { websocket: true, config: { lifeline: { message: { type: 'object' } } } }, (_socket, request) => {
      expect(fastify.lifeline.of(request)).type.toBe<Connection<ParsedMessage<Move>>>()
    })
    fastify.get<{ Params: { id: string }, Message: Move[] }>('/:id', { websocket: true }, (_socket, request) => {
      expect(request.params.id).type.toBe<string>()
      expect(fastify.lifeline.of(request)).type.toBe<Connection<ParsedMessage<Move[]>>>()
    })
  })

  test('onInvalid', () => {
    fastify.get('/', {
      websocket: true,
      config: {
        lifeline: {
          message: { type: 'object' },
          onInvalid: (connection, error, message) => {
            expect(connection).type.toBe<Connection>()
            expect(error.code).type.toBe<'FST_ERR_LIFELINE_INVALID_MESSAGE'>()
            expect(message.data).type.toBe<string | Buffer<ArrayBuffer>>()
            connection.push({ error: error.message, at: error.validation?.[0]?.instancePath })
          }
        }
      }
    }, () => {})
    const options = {
      codec: 'json',
      onInvalid (connection, error, message) {
        expect(connection).type.toBe<Connection>()
        expect(error).type.toBe<InvalidMessageError>()
        expect(message).type.toBe<Message>()
      }
    } satisfies LifelineRouteOptions
    expect(options).type.toBeAssignableTo<LifelineRouteOptions>()
    expect<LifelineRouteOptions>().type.not.toBeAssignableFrom({ codec: 'msgpack' })
    expect<LifelineRouteOptions>().type.not.toBeAssignableFrom({ message: true })
    expect<LifelineRouteOptions>().type.not.toBeAssignableFrom({ message: 'string' })
    expect<LifelineRouteOptions>().type.toBeAssignableFrom({ message: boxed })
  })

  test('a connection with a schema is a connection', () => {
    expect<Connection<ParsedMessage<Move>>>().type.toBeAssignableTo<Connection>()
    expect<ParsedMessage<Move>>().type.toBeAssignableTo<Message>()
    expect<Connection>().type.not.toBeAssignableTo<Connection<ParsedMessage<Move>>>()
    expect<MessageOf<FastifyRequest>>().type.toBe<Message>()
    expect<MessageOf<FastifyRequest<any, any, any, any, any, any, any>>>().type.toBe<Message>()
    expect<MessageOf<any>>().type.toBe<Message>()
    expect(fastify.lifeline.of({} as any)).type.toBe<Connection>()
    expect(fastify.lifeline.stats().invalid).type.toBe<number>()
  })
})

describe('Lifeline', () => {
  test('its members', () => {
    expect(fastify.lifeline.size).type.toBe<number>()
    expect(fastify.lifeline.get(1)).type.toBe<Connection | undefined>()
    expect(fastify.lifeline.exists(1)).type.toBe<boolean>()
    expect(fastify.lifeline.push(1, {})).type.toBe<PushResult>()
    expect(fastify.lifeline.broadcast('all')).type.toBe<number>()
    expect(fastify.lifeline.broadcast('all', { except: [1, connection], binary: true })).type.toBe<number>()
    expect(fastify.lifeline.disconnect(1, 4000, 'why')).type.toBe<Promise<number>>()
    expect(fastify.lifeline.disconnect('id')).type.toBe<Promise<number>>()
    expect(fastify.lifeline.disconnect({ group: 'a' })).type.toBe<Promise<number>>()
    expect(fastify.lifeline.disconnect(connection, 1000, Buffer.from('why'))).type.toBe<Promise<number>>()
    expect(fastify.lifeline.sweep({ close: false })).type.toBe<number[]>()
    expect(fastify.lifeline.list({ after: 1, limit: 2 })).type.toBe<ConnectionInfo[]>()
    expect(fastify.lifeline.stats()).type.toBe<Stats>()
    expect(fastify.lifeline.heartbeat).type.toBe<HeartbeatStatus>()
    for (const one of fastify.lifeline) expect(one).type.toBe<Connection>()
  })

  test('wrong usage is an error', () => {
    expect(fastify.lifeline.of).type.not.toBeCallableWith({})
    expect(fastify.lifeline.of).type.not.toBeCallableWith(1)
    expect(fastify.lifeline.broadcast).type.not.toBeCallableWith()
    expect(fastify.lifeline.broadcast).type.not.toBeCallableWith('x', { except: 'me' })
    expect(fastify.lifeline.disconnect).type.not.toBeCallableWith({})
    expect(fastify.lifeline.list).type.not.toBeCallableWith({ limit: 'all' })
    expect(fastify.lifeline).type.not.toHaveProperty('registry')
  })

  test('events are typed', () => {
    fastify.lifeline.on('open', (connection) => { expect(connection).type.toBe<Connection>() })
    fastify.lifeline.once('close', (connection, info) => {
      expect(connection).type.toBe<Connection>()
      expect(info).type.toBe<CloseInfo>()
    })
    fastify.lifeline.on('drop', (connection, drop) => {
      expect(connection).type.toBe<Connection | undefined>()
      expect(drop).type.toBe<Drop>()
    })
    fastify.lifeline.on('error', (connection, error) => {
      expect(connection).type.toBe<Connection | undefined>()
      expect(error).type.toBe<unknown>()
    })
    fastify.lifeline.prependOnceListener('full', (connection) => { expect(connection).type.toBe<Connection>() })
    fastify.lifeline.addListener('newListener', (event) => { expect(event).type.toBe<string | symbol>() })
    expect(fastify.lifeline.on(Symbol('own'), (_any: number) => {})).type.not.toRaiseError()
    expect(fastify.lifeline.on('close', async () => {})).type.not.toRaiseError()
    expect(once(fastify.lifeline, 'close')).type.not.toRaiseError()
    for (const call of ['on', 'addListener', 'once', 'prependListener', 'prependOnceListener', 'off', 'removeListener'] as const) {
      expect(fastify.lifeline[call]).type.toBeCallableWith('close', () => {})
      expect(fastify.lifeline[call]).type.not.toBeCallableWith('clsoe', () => {})
    }
    expect(fastify.lifeline.on).type.not.toBeCallableWith('close', (_connection: Connection, _info: string) => {})
    expect<LifelineEvents['close']>().type.toBe<[connection: Connection, info: CloseInfo]>()
    expect<(connection: Connection, info: string) => void>().type.not.toBeAssignableTo<(...args: LifelineEvents['close']) => void>()
  })
})

describe('Connection', () => {
  test('what it says of itself', () => {
    expect(connection.fd).type.toBe<number>()
    expect(connection.id).type.toBe<string>()
    expect(connection.transport).type.toBe<'websocket'>()
    expect(connection.state).type.toBe<'open' | 'closing' | 'closed'>()
    expect(connection.remoteAddress).type.toBe<string>()
    expect(connection.openedAt).type.toBe<number>()
    expect(connection.lastSeenAt).type.toBe<number>()
    expect(connection.roundTrip).type.toBe<number | null>()
    expect(connection.route).type.toBe<string>()
    expect(connection.params).type.toBe<Readonly<Record<string, string>>>()
    expect(connection.bufferedBytes).type.toBe<number>()
    expect(connection.signal).type.toBe<AbortSignal>()
    expect(connection.attached).type.toBe<AbortSignal>()
    expect(connection.closed).type.toBe<Promise<CloseInfo>>()
    expect(connection.info()).type.toBe<ConnectionInfo>()
  })

  test('what it does', () => {
    expect(connection.push({})).type.toBe<PushResult>()
    expect(connection.push).type.toBeCallableWith(Buffer.from(''), { binary: true } satisfies PushOptions)
    expect(connection.push).type.not.toBeCallableWith()
    expect(connection.ping()).type.toBe<Promise<number>>()
    expect(connection.messages()).type.toBe<AsyncIterableIterator<Message>>()
    expect(connection.next()).type.toBe<Promise<Message | null>>()
    expect(connection.onClose((info) => { expect(info).type.toBe<CloseInfo>() })).type.toBe<void>()
    connection.onMessage((message) => { expect(message.binary ? message.data : null).type.toBe<Buffer<ArrayBuffer> | null>() })
    expect(connection.onMessage(async ({ data, binary }) => {
      expect(data).type.toBe<string | Buffer<ArrayBuffer>>()
      expect(binary).type.toBe<boolean>()
    })).type.toBe<void>()
    expect(connection.close(4000, 'why')).type.toBe<void>()
    expect(connection.close).type.not.toBeCallableWith('why')
    expect(connection.close).type.not.toBeCallableWith('why', 4000)
    expect(fastify.lifeline.disconnect).type.not.toBeCallableWith(1, 'why', 4000)
    expect(connection.terminate()).type.toBe<void>()
    expect(connection.pauseReading()).type.toBe<void>()
    expect(connection.resumeReading()).type.toBe<void>()
    expect(connection.protect()).type.toBe<void>()
    expect(connection.protect).type.toBeCallableWith(false)
  })

  test('what it says cannot be overwritten', () => {
    expect({} as { -readonly [K in 'fd' | 'id' | 'state']: Connection[K] }).type.not.toBeAssignableTo<Connection>()
  })

  test('data is the app\'s, by declaration merging', () => {
    expect(connection.data).type.toBe<ConnectionData>()
    expect(connection.data.user?.name).type.toBe<string | undefined>()
    expect(connection.data.rooms).type.toBe<string[] | undefined>()
    expect(connection.data).type.not.toHaveProperty('other')
  })
})

describe('values', () => {
  test('PushResult, Cause, Message, CloseInfo', () => {
    expect<PushResult>().type.toBe<'sent' | 'buffered' | 'full' | 'gone' | 'invalid'>()
    expect<CloseInfo['cause']>().type.toBe<Cause>()
    expect<Cause>().type.toBe<'client' | 'reset' | 'heartbeat' | 'stalled' | 'backpressure' | 'handler' | 'protocol' | 'limit' | 'invalid' | 'expired' | 'age' | 'server' | 'shutdown'>()
    expect<CloseInfo>().type.toHaveProperty('closedAt')
    expect<Message['data']>().type.toBe<string | Buffer<ArrayBuffer>>()
    expect<NonNullable<Drop['data']>>().type.toBe<string | Buffer<ArrayBuffer>>()
    expect(causes.client.meaning).type.toBeAssignableTo<string>()
  })

  test('Connection and Lifeline are types alone: the plugin makes them, and nobody else', () => {
    expect<typeof import('../../src/index.js')>().type.not.toHaveProperty('Connection')
    expect<typeof import('../../src/index.js')>().type.not.toHaveProperty('Lifeline')
  })

  test('errors may be matched', () => {
    expect(errors).type.toHaveProperty('FST_ERR_LIFELINE_OPTION')
    expect(errors).type.toHaveProperty('FST_ERR_LIFELINE_ALREADY_REGISTERED')
    expect(new errors.FST_ERR_LIFELINE_NO_CONNECTION('it was refused').code).type.toBeAssignableTo<string>()
  })
})

describe('limits', () => {
  test('options', () => {
    expect<LifelineOptions>().type.toBeAssignableFrom({
      limits: { payload: 1, connections: 1, perAddress: Infinity, messageRate: 0.5, byteRate: 1, policy: 'close', firstMessage: 1, pongRate: 1 },
      maxAge: 1,
      shutdown: { reconnect: { after: 0, within: 0 } }
    } as const)
    expect<LifelineOptions['origins']>().type.toBe<Origins | false | undefined>()
    expect<LifelineOptions>().type.toBeAssignableFrom({ origins: 'https://app.example' })
    expect<LifelineOptions>().type.toBeAssignableFrom({ origins: ['https://app.example', /x/] })
    expect<LifelineOptions>().type.toBeAssignableFrom({ origins: async (origin: string | undefined) => origin !== undefined })
    expect<LifelineOptions>().type.not.toBeAssignableFrom({ origins: true })
    expect<LifelineOptions>().type.not.toBeAssignableFrom({ limits: { policy: 'drop' } })
    expect<OriginRule>().type.toBeCallableWith('https://app.example', request)
  })

  test('of a route', () => {
    expect<LifelineRouteOptions>().type.toBeAssignableFrom({ origins: false, maxAge: 1, limits: { firstMessage: 1 } } as const)
    expect<LifelineRouteOptions>().type.not.toBeAssignableFrom({ limits: { payload: 1 } })
  })

  test('members', () => {
    expect(connection.expire).type.toBeCallableWith(new Date())
    expect(connection.expire).type.toBeCallableWith(Date.now())
    expect(connection.expire).type.not.toBeCallableWith('tomorrow')
    expect(fastify.lifeline.stats().limited).type.toBe<Record<Limited, number>>()
  })
})

describe('backpressure and groups', () => {
  test('options', () => {
    expect(fastify.register(lifeline, { backpressure: { limit: 1, low: 0, policy: 'close', total: 1_000, stallTimeout: 1 } })).type.not.toRaiseError()
    expect(fastify.register).type.not.toBeCallableWith(lifeline, { backpressure: { policy: 'wait' } })
  })

  test('members', () => {
    expect(connection.drained()).type.toBe<Promise<boolean>>()
    expect(connection.writable()).type.toBe<Writable>()
    expect(connection.writable).type.toBeCallableWith({ objectMode: true, binary: false } satisfies ConnectionWritableOptions)
    expect(connection.join('a')).type.toBe<Promise<void>>()
    expect(connection.leave('a')).type.toBe<Promise<void>>()
    expect(connection.groups).type.toBe<ReadonlySet<string>>()
    expect(connection.join).type.not.toBeCallableWith(7)
    expect(fastify.lifeline.group('a')).type.toBe<Group>()
    expect(fastify.lifeline.group('a')).type.toBeAssignableTo<ReadonlySet<Connection>>()
    expect(fastify.lifeline.group('a').push('x', { except: connection })).type.toBe<number>()
    expect(fastify.lifeline.group('a').deliver('x', { timeout: 1, except: [1] })).type.toBe<Promise<Record<Outcome, number>>>()
    expect(fastify.lifeline.members('a')).type.toBe<Promise<{ members: ConnectionInfo[], incomplete: boolean }>>()
    expect(fastify.lifeline.broadcast).type.toBeCallableWith('x', { except: connection })
    expect(fastify.lifeline.broadcast).type.not.toBeCallableWith('x', { group: 'a' })
    expect(fastify.lifeline.stats().dropped).type.toBe<{ unread: number, full: number }>()
    expect(fastify.lifeline.stats().messages).type.toBe<{ in: number, out: number }>()
    expect(fastify.lifeline.stats().recipients).type.toBe<{ reached: number, full: number }>()
    expect(fastify.lifeline.stats().unconfirmed).type.toBe<{ messages: number, bytes: number }>()
    expect(fastify.lifeline.stats().roundTrips).type.toBe<Distribution>()
    expect(fastify.lifeline.stats().lateness).type.toBe<Distribution>()
  })

  test('events', () => {
    fastify.lifeline.on('open', (one, from) => { expect(one).type.toBe<Connection>(); expect(from).type.toBe<FastifyRequest>() })
    fastify.lifeline.on('join', (one, group) => { expect(one).type.toBe<Connection>(); expect(group).type.toBe<string>() })
    expect<LifelineRouteOptions>().type.toBeAssignableFrom({ on: { close (_one: Connection, info: CloseInfo) { info.groups.at(0) } } })
    fastify.lifeline.on('full', (one) => { expect(one).type.toBe<Connection>() })
    fastify.lifeline.on('drain', (one) => { expect(one).type.toBe<Connection>() })
    expect<Drop['reason']>().type.toBe<'unread' | 'full'>()
  })
})

describe('metrics', () => {
  test('any registry of prom-client will do', () => {
    expect(collectMetrics).type.toBeCallableWith(new Registry(), fastify.lifeline)
    expect(collectMetrics).type.toBeCallableWith(new Registry<OpenMetricsContentType>(), fastify.lifeline, { prefix: 'app_' })
    expect(collectMetrics(new Registry(), fastify.lifeline)).type.toBe<() => void>()
  })

  test('wrong usage is an error', () => {
    expect(collectMetrics).type.not.toBeCallableWith(fastify.lifeline, new Registry())
    expect(collectMetrics).type.not.toBeCallableWith(new Counter({ name: 'a', help: 'b' }), fastify.lifeline)
    expect(collectMetrics).type.not.toBeCallableWith(new Registry(), fastify.lifeline, { prefixes: 'app_' })
  })
})
