/**
 * Which connection a request has become: held under a key that no app can hit upon by a slip. And which one a socket is, or a raw
 * request has become: held beside them, for they are none of ours.
 * Invariant: whatever is asked about, it is looked at without harm, and is a connection or none; and nothing is kept alive by it.
 */
import type { FastifyRequest, FastifyTypeProvider } from 'fastify'
import type { Message } from '../transports/transport.js'
import { isConnection } from './connection.js'
import type { Connection } from './connection.js'
import type { ParsedMessage } from './parsed.js'

/** What a schema is to a type provider. */
type Validated<Provider, Schema> = Provider extends FastifyTypeProvider ? (Provider & { readonly schema: Schema })['validator'] : unknown

/**
 * What comes on the route of a request: by the type that the route was given (`get<{ Message: … }>`), else by its schema, as far as the type
 * provider knows it; unknown, if there is a schema and nobody knows.
 */
export type MessageOf<R> = 0 extends 1 & R ? Message : R extends FastifyRequest<infer Route, any, any, any, infer Provider, infer Config, any, any>
  ? 0 extends 1 & Route ? Message
    : Route extends { Message: infer T } ? ParsedMessage<T>
      : 0 extends 1 & Config ? Message
        : Config extends { lifeline: { message: infer Schema } } ? ParsedMessage<Validated<Provider, Schema>>
          : Config extends { lifeline: { codec: 'json' } } ? ParsedMessage : Message
  : Message

/** Under this key a request holds its connection. */
export const kConnection = Symbol('fastify-lifeline.connection')

const known = new WeakMap<object, Connection>()

/** From now on it is found by this, too: for as long as the app has that. */
export function remember (key: object, connection: Connection): void {
  known.set(key, connection)
}

/** Takes anything. */
export function connectionOf (request: unknown): Connection | null {
  const found = known.get(request as object)
  if (found !== undefined) return found
  try {
    const connection = (request as { [kConnection]?: unknown } | null | undefined)?.[kConnection]
    return isConnection(connection) ? connection : null
  } catch {
    return null
  }
}
