/**
 * The network between the page and the apps, as it is on a bad day: a TCP relay whose connections
 * can be broken one by one.
 * Invariant: a connection is known by the name that its first line asks for, on the side of its app.
 */
import { createServer, connect } from 'node:net'

/** What a throttled connection lets through, in bytes a second. */
const SLOW = 64 * 1024

/** How often it does, in ms. */
const STEP = 100

class Relay {
  #client
  #server
  #mode = 'pass'
  #timer = null

  constructor (client, server, first) {
    this.#client = client
    this.#server = server
    server.write(first)
    client.on('data', (chunk) => { if (this.#mode !== 'swallow') server.write(chunk) })
    server.on('data', (chunk) => { if (this.#mode !== 'swallow') client.write(chunk) })
    for (const [one, other] of [[client, server], [server, client]]) {
      one.on('error', () => {})
      one.on('end', () => { if (this.#mode !== 'swallow') other.end() })
      one.on('close', () => {
        clearInterval(this.#timer)
        if (this.#mode !== 'swallow') other.destroySoon()
      })
    }
  }

  /** A RST goes to both sides. */
  reset () {
    this.#client.resetAndDestroy()
    this.#server.resetAndDestroy()
  }

  /** Bytes are swallowed in both directions, and nobody is told. What is lost does not come back: it stays so. */
  swallow () {
    if (this.#enter('swallow')) this.#server.resume()
  }

  /** What the app sends is not read any more: as by a page that hangs. */
  freeze () {
    if (this.#enter('freeze')) this.#server.pause()
  }

  /** What the app sends trickles. */
  throttle () {
    if (!this.#enter('throttle')) return
    this.#server.pause()
    // What is read goes on by the listener, as ever.
    this.#timer = setInterval(() => { this.#server.read(Math.min(SLOW * STEP / 1000, this.#server.readableLength)) }, STEP)
  }

  /** A frozen or throttled one is as it was. */
  heal () {
    if (this.#enter('pass')) this.#server.resume()
  }

  #enter (mode) {
    if (this.#mode === 'swallow') return false
    clearInterval(this.#timer)
    this.#mode = mode
    return true
  }

  /** It vanishes from the page's side only when the page is done with it. */
  end () {
    clearInterval(this.#timer)
    this.#client.destroy()
    this.#server.destroy()
  }
}

export class Gate {
  #server
  #relays = new Map()

  /** @param portOf gives the port of an app by its name: the first part of the path */
  constructor (portOf) {
    this.#server = createServer((client) => {
      client.on('error', () => {})
      client.once('data', (first) => {
        const [, app, name] = /^GET \/(\w+)\/live\?name=([\w-]+) /.exec(first.toString('latin1')) ?? []
        const port = portOf(app)
        if (port === undefined) {
          client.destroy()
          return
        }
        const server = connect(port, '127.0.0.1')
        // To the app it is a request for /live.
        const request = Buffer.from(first.toString('latin1').replace(`/${app}/live`, '/live'), 'latin1')
        const key = `${app} ${name}`
        const relay = new Relay(client, server, request)
        this.#relays.set(key, relay)
        server.on('close', () => { if (this.#relays.get(key) === relay) this.#relays.delete(key) })
      })
    })
  }

  async listen () {
    await new Promise((resolve) => { this.#server.listen(0, '127.0.0.1', resolve) })
    return this.#server.address().port
  }

  /** @param act reset, swallow, freeze, throttle, heal or end */
  act (app, name, act) {
    this.#relays.get(`${app} ${name}`)?.[act]()
  }

  close () {
    this.#server.close()
    for (const relay of this.#relays.values()) relay.end()
  }
}
