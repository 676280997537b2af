/**
 * How a client that was let in becomes a connection, whatever carries it.
 * Invariant: it is whole before anybody hears of it: found through its request, with its place and its limits; and what comes when the
 * shutdown has begun is closed at once.
 * Knows no transport from another: who calls has made it.
 */
import type { FastifyRequest } from 'fastify'
import { Connection, lifeOf } from '../api/connection.js'
import { kConnection, remember } from '../api/request.js'
import { nextFd } from '../core/registry.js'
import type { House } from '../life/house.js'
import type { MessageParser } from '../core/parser.js'
import type { Life } from '../life/life.js'
import { closeCode } from '../protocol/close-codes.js'
import { someTime } from '../protocol/retry.js'
import type { Transport, TransportOwner } from '../transports/transport.js'
import type { Place } from './admission.js'
import type { RouteSettings } from './options.js'
import type { Reconnect, Shutdown } from './shutdown.js'

/** What it needs of the server. */
export interface Opening {
  readonly house: House<Connection>
  readonly shutdown: Shutdown
  readonly reconnect: Reconnect
}

/** Who has come, and by what. */
export interface Arrival {
  readonly transport: Transport
  /** Called once, with whom it is to tell of all that happens from now on. What it throws is thrown on, and there is no connection. */
  readonly start: (owner: TransportOwner) => void
  readonly request: FastifyRequest
  /** By what else it is found: whatever the app may hold of it. */
  readonly keys: readonly object[]
  /** Those of its route. */
  readonly settings: RouteSettings
  /** What makes values of its messages; null: they are as they come. */
  readonly parser: MessageParser | null
  readonly place: Place
  /** How long a reader may let wait for it, in ms, if the end of the handler does not come first. */
  readonly patience: number
  /** The app's own handler of errors, if it has one. */
  readonly onError: ((error: unknown) => void) | null
}

export function open ({ house, shutdown, reconnect }: Opening, { transport, start, request, keys, settings, parser, place, patience, onError }: Arrival): void {
  const connection = new Connection(house, transport, nextFd(), settings.receipts, {
    remoteAddress: place.ip,
    route: request.routeOptions.url ?? '',
    params: paramsOf(request),
    on: settings.on,
    logger: request.log,
    cadence: transport.traits.remote ? settings.heartbeat : null,
    parser,
    onError
  })
  const life = lifeOf(connection)
  if (place.leave !== null) life.whenOver(place.leave)
  try {
    start(life)
  } catch (error) {
    life.ended({ code: 1006, reason: '', cause: 'handler', idle: NaN }, false)
    throw error
  }
  request.fd = connection.fd
  request[kConnection] = connection
  for (const key of keys) remember(key, connection)
  life.run.settlesWithin(patience)
  limitTime(life, settings, reconnect.within)
  life.begin(request)
  // Where the app's own preClose leaves its server open, one may still come.
  if (shutdown.begun) life.close({ code: closeCode.serviceRestart, reason: '', retryAfter: reconnect.after + someTime(reconnect.within) }, 'shutdown')
}

/** A copy: Fastify's belongs to the request, which the app may change. */
function paramsOf ({ params }: FastifyRequest): Readonly<Record<string, string>> | null {
  const copy = { ...params as Record<string, string> }
  return Object.keys(copy).length === 0 ? null : Object.freeze(copy)
}

/** The last part of `maxAge` in which connections go, so that those who came together do not go together. */
const AGE_SPREAD = 0.2

/** What ends a connection after a time. */
function limitTime (life: Life<Connection>, { maxAge, limits }: RouteSettings, within: number): void {
  if (maxAge !== Infinity) {
    life.after(maxAge - someTime(maxAge * AGE_SPREAD), () => { life.close({ code: closeCode.serviceRestart, reason: '', retryAfter: someTime(within) }, 'age') })
  }
  if (limits.firstMessage === Infinity) return
  const deadline = life.after(limits.firstMessage, () => {
    const { reader, open } = life.transport
    if (reader === null || reader.spoken || !open) return
    // What the app does not let it say is not its fault.
    if ((reader.paused || life.transport.wire.paused) && !reader.throttled) deadline.after(limits.firstMessage)
    else life.exceeded('firstMessage', true)
  })
}
