/**
 * A server whose sockets a test can reach from their connections, over TCP or TLS.
 */
import { readFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import type { FastifyServerOptions } from 'fastify'
import type WebSocket from 'ws'
import type { Connection, LifelineOptions, LifelineRouteOptions } from '../../src/index.js'
import { start } from './app.js'
import type { App } from './app.js'

const sockets = new WeakMap<Connection, WebSocket>()

/** What the route handler was given for it. */
export const socketOf = (connection: Connection): WebSocket => sockets.get(connection)!

const read = (name: string): Buffer => readFileSync(new URL(name, import.meta.url))

export interface WireSetup {
  /** What the handler does before it returns. */
  greet?: ((socket: WebSocket, connection: Connection) => void) | undefined
  /** Of a Unix domain socket to listen on. */
  path?: string | undefined
  /** Which routes there are, and what they set. */
  routes?: Record<string, LifelineRouteOptions>
}

export async function startWire (t: Pick<TestContext, 'after'>, options: LifelineOptions, secure: boolean, { greet, path, routes = { '/': {} } }: WireSetup = {}): Promise<App> {
  const made = await start(t as TestContext, {
    options,
    ...(path !== undefined && { path }),
    ...(secure && { fastify: { https: { key: read('localhost.key.pem'), cert: read('localhost.cert.pem') } } as FastifyServerOptions }),
    routes: (app) => {
      for (const [url, lifeline] of Object.entries(routes)) {
        app.get(url, { websocket: true, config: { lifeline } }, (socket, request) => {
          const connection = app.lifeline.of(request)
          sockets.set(connection, socket)
          greet?.(socket, connection)
        })
      }
    }
  })
  return { ...made, url: `${secure ? 'wss' : 'ws'}://127.0.0.1:${made.port}` }
}
