/**
 * Clients in a process of their own: unmodified `ws` sockets that do what the story tells them,
 * and tell it what they got.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import WebSocket from 'ws'
import { report } from './stage.js'

const clients = new Map()

const acts = {
  connect (who, { url }) {
    const client = { socket: new WebSocket(url), raw: null }
    clients.set(keyOf(who), client)
    client.socket
      .on('upgrade', (response) => { client.raw = response.socket })
      .on('message', (data) => { report('message', { ...who, data: String(data) }) })
      .on('close', (code) => { report('left', { ...who, code }) })
      .on('error', () => {}) // what went wrong shows in the table: nobody joined
  },

  close (who, { socket }) {
    report('act', who)
    socket.close(1000)
  },

  reset (who, { raw }) {
    report('act', who)
    raw.resetAndDestroy()
  },

  async leave (who, { socket }) {
    socket.send('slow')
    await sleep(100)
    report('act', who)
    socket.terminate()
  },

  throw (who, { socket }) {
    report('act', who)
    socket.send('throw')
  }
}

const keyOf = ({ server, name }) => `${server}: ${name}`

process.on('message', ({ act, url, ...who }) => {
  acts[act](who, act === 'connect' ? { url } : clients.get(keyOf(who)))
})
process.on('disconnect', () => process.exit())
