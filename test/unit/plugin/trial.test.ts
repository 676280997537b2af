import assert from 'node:assert/strict'
import { test } from 'node:test'
import WebSocket, { WebSocketServer } from 'ws'
import { tryOut } from '../../../src/plugin/trial.js'
import { madeFrom, without } from '../../support/runtimes.js'

type Upgrade = Parameters<WebSocketServer['handleUpgrade']>

/** A server that handles upgrades like this. */
const handling = (handleUpgrade: (this: WebSocketServer, ...upgrade: Upgrade) => void): typeof WebSocketServer => {
  class Server extends WebSocketServer {}
  Object.assign(Server.prototype, { handleUpgrade })
  return Server as unknown as typeof WebSocketServer
}

const server = (Server: typeof WebSocketServer): WebSocketServer => new Server({ noServer: true })

const saying = (name: string, value: unknown): unknown => Object.defineProperty(class extends WebSocket {}.prototype, name, { get: () => value, configurable: true }).constructor

test('npm\'s ws passes, and so does a class of the app\'s that leaves it as it is', async () => {
  await tryOut(server(WebSocketServer))
  await tryOut(server(WebSocketServer))
  await tryOut(server(madeFrom(class extends WebSocket {})))
})

const faults: Array<[string, typeof WebSocketServer, RegExp]> = [
  ['no upgrade can be handled', handling(() => { throw new Error('a socket of the runtime is needed') }), /a socket of the runtime is needed/],
  ['no socket is made', handling(() => {}), /no socket is made/],
  ['another class is used', handling(function (...upgrade) {
    Object.assign(this.options, { WebSocket })
    Reflect.apply(WebSocketServer.prototype.handleUpgrade, this, upgrade)
  }), /not made from options\.WebSocket/],
  ['there is no class', madeFrom(undefined), /undefined/],
  ['the class is no emitter', madeFrom(class {}), /./],
  ['a method is a member of each socket', madeFrom(class extends WebSocket { override emit = (): boolean => true } as unknown), /"emit" as a member of their own/],
  ['nobody knows whether it is paused', madeFrom(saying('isPaused', undefined)), /"isPaused" does not say/],
  ['nobody knows what waits', madeFrom(saying('bufferedAmount', undefined)), /"bufferedAmount"/],
  ['pings go nowhere', madeFrom(class extends WebSocket { override ping (): void {} }), /a ping is not written/],
  ...['pong', 'ping', 'message'].map((event): [string, typeof WebSocketServer, RegExp] => [`no ${event} is told`, madeFrom(without(event)), new RegExp(`do not emit "${event}"$`)])
]

for (const [what, Server, message] of faults) {
  test(`where ${what}, the error says so, and names the runtime; each time`, { timeout: 10_000 }, async () => {
    const given = { constructor: Server } as unknown as WebSocketServer
    for (let i = 0; i < 2; i++) {
      await assert.rejects(tryOut(given), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'FST_ERR_LIFELINE_RUNTIME')
        assert.match(error.message, new RegExp(`\\(Node\\.js ${process.versions.node.replaceAll('.', '\\.')}\\)`))
        assert.match(error.message, message)
        return true
      })
    }
  })
}

for (const [name, version] of [['Bun', 'bun'], ['Deno', 'deno']] as const) {
  test(`${name} is called by its name`, async (t) => {
    Object.defineProperty(process, 'versions', { ...Object.getOwnPropertyDescriptor(process, 'versions'), value: { ...process.versions, [version]: '9.9' } })
    const { versions } = process
    t.after(() => { Object.defineProperty(process, 'versions', { value: (({ [version]: _, ...rest }) => rest)(versions as Record<string, string>), enumerable: true, writable: false, configurable: true }) })
    await assert.rejects(tryOut({ constructor: madeFrom(undefined) } as unknown as WebSocketServer), new RegExp(`\\(${name} 9\\.9\\)`))
  })
}
