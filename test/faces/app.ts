/**
 * An app that names all that the package exports, as the packed package's types let it: compiled by scripts/faces.js.
 * What a compiler cannot find in our types becomes `any`, without a word where libraries are not checked: so each is asked.
 */
import Fastify from 'fastify'
import type { FastifyRequest } from 'fastify'
import { Registry } from 'prom-client'
import lifeline, { causes, errors, fastifyLifeline } from 'fastify-lifeline'
import type {
  BroadcastOptions, Cause, CloseInfo, Connection, ConnectionData, ConnectionInfo, ConnectionWritableOptions, DeliverOptions, Delivery,
  Distribution, Drop, Group, GroupDeliverOptions, HeartbeatOptions, HeartbeatStatus, InvalidMessageError, Lifeline, LifelineEvents, LifelineOptions,
  LifelineRouteOptions, Limited, Message, MessageOf, OnInvalid, OriginRule, Origins, Outcome, ParsedMessage, PushOptions, PushResult, RateOptions, ReceiptOptions,
  RouteListeners, Stats, Unconfirmed, ValidationIssue
} from 'fastify-lifeline'
import { collectMetrics } from 'fastify-lifeline/metrics'
import type { MetricsOptions, MetricsRegister } from 'fastify-lifeline/metrics'

declare module 'fastify-lifeline' {
  interface ConnectionData { user?: string }
}

type IsAny<T> = 0 extends 1 & T ? true : false
/** The members that are `any`, or give it. */
type Anys<T> = { [K in keyof T]-?: true extends IsAny<T[K]> ? K : T[K] extends (...args: any[]) => infer R ? (true extends IsAny<R> ? K : never) : never }[keyof T]
/** Of each type whether it is, and which of its members are. */
type Asked<T extends unknown[]> = { [K in keyof T]: true extends IsAny<T[K]> ? true : T[K] extends object ? Anys<T[K]> : never }[number]
const none = <T>(..._anys: [T] extends [never] ? [] : [any: T]): void => {}

none<Asked<[
  BroadcastOptions, Cause, CloseInfo, Connection, ConnectionData,
  ConnectionInfo, ConnectionWritableOptions, DeliverOptions, Delivery,
  Distribution, Drop, Group, GroupDeliverOptions, HeartbeatOptions,
  HeartbeatStatus, Omit<Lifeline, 'emit'>, LifelineEvents, Required<LifelineOptions>,
  Required<LifelineRouteOptions>, InvalidMessageError, Limited, Message, MessageOf<FastifyRequest>, OnInvalid<Connection, Message>, OriginRule, Origins,
  Outcome, ParsedMessage<string>, PushOptions, PushResult, RateOptions, ReceiptOptions,
  RouteListeners, Stats, Unconfirmed, ValidationIssue,
  MetricsOptions, MetricsRegister,
  typeof causes, typeof errors, typeof lifeline, typeof fastifyLifeline, typeof collectMetrics
]>>()

const fastify = Fastify()
await fastify.register(lifeline, {
  heartbeat: { interval: 20_000, timeout: 10_000 },
  receipts: true,
  origins: ['https://app.example.com', /^https:\/\/[a-z]+\.example\.com$/],
  websocket: { options: { perMessageDeflate: true }, errorHandler (error, socket) { socket.close(1011, error.message) } }
})

/** What is to be sent another way, is sent as it is: as the body of a request, a part of a Blob, the message of a WebSocket. */
async function another (data: string | Unconfirmed['data'] | NonNullable<Drop['data']>, signal: AbortSignal): Promise<string> {
  const response = await fetch('http://127.0.0.1:8080/', { method: 'POST', body: data, signal })
  return `${await response.text()} of ${new Blob([data]).size}`
}

async function serve (request: FastifyRequest): Promise<void> {
  const connection: Connection = fastify.lifeline.of(request)
  connection.data.user = 'her'
  connection.onClose(async ({ cause, unconfirmed, groups }) => {
    if (causes[cause].code === 1012) for (const { data } of unconfirmed) await another(data, connection.signal)
    return groups.length
  })
  const first = await connection.next()
  if (first === null || first.binary) return connection.close(4000, 'text is wanted')
  await connection.join(first.data)
  for await (const message of connection.messages()) {
    const size: number = message.binary ? message.data.readUInt8(0) : message.data.length
    connection.push({ size, said: await another(message.data, connection.signal) })
    const { outcome, roundTrip } = await connection.deliver(message.data, { timeout: 1_000, signal: connection.attached })
    if (outcome === 'delivered') request.log.info({ late: roundTrip > 1_000 })
  }
}

fastify.get('/:room', { websocket: true, config: { lifeline: { heartbeat: false } satisfies LifelineRouteOptions } }, async (socket, request) => {
  socket.on('close', (code) => { request.log.debug({ code, fd: request.fd }) })
  await serve(request)
})

fastify.lifeline.on('drop', (connection, { data }) => { if (connection !== undefined && data !== undefined) another(data, connection.signal).catch(() => {}) })
fastify.lifeline.on('error', (_connection, error) => {
  if (error instanceof errors.FST_ERR_LIFELINE_INVALID_DATA) fastify.log.warn(error.code satisfies 'FST_ERR_LIFELINE_INVALID_DATA')
})
fastify.lifeline.group('room').push(new Uint8Array(2), { except: [...fastify.lifeline].slice(0, 1) })
const counts: Record<Outcome, number> = await fastify.lifeline.group('room').deliver('hello')
const stop: () => void = collectMetrics(new Registry(), fastify.lifeline, { prefix: 'app_' })
stop()
if (fastify.exists(1) && fastify.safePush(1, counts)) await fastify.lifeline.disconnect({ group: 'room' }, 1000, 'bye')
