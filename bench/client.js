/**
 * The load client: raw sockets that shake hands, count the frames that come, and answer what must be
 * answered. The same for every server, in a process of its own; driven over IPC.
 * Invariant: it parses no more than headers, so that it is never what is measured.
 */
import { connect } from 'node:net'

const KEY = Buffer.alloc(16, 7).toString('base64')
// What Chromium sends, more or less: an idle connection's memory depends on it.
const HEADERS = [
  'Pragma: no-cache', 'Cache-Control: no-cache', 'Origin: http://127.0.0.1:8080',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36',
  'Accept-Encoding: gzip, deflate, br, zstd', 'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  `Cookie: session=${'s'.repeat(120)}; theme=dark; consent=${'c'.repeat(60)}`
]

const sockets = []
let count = 0
let target = Infinity
let echoes = 0
let message = null
let seenAt = 0

/** A masked frame; the mask is 0, which is one like any other. */
function frame (code, payload) {
  const bytes = Buffer.alloc(6 + payload.length)
  bytes[0] = 0x80 | code
  bytes[1] = 0x80 | payload.length
  bytes.write(payload.toString('latin1'), 6, 'latin1')
  return bytes
}

function took () {
  count++
  if (count === target) {
    target = Infinity
    process.send({ event: 'taken', at: Date.now() })
  }
}

/** Walks over the frames in what comes; `hello` speaks engine.io where the server does. */
function walk (socket, hello) {
  let rest = null
  socket.on('data', (chunk) => {
    const bytes = rest === null ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (at + 2 <= bytes.length) {
      let size = bytes[at + 1] & 0x7f
      let header = 2
      if (size === 126) {
        if (at + 4 > bytes.length) break
        size = bytes.readUInt16BE(at + 2)
        header = 4
      } else if (size === 127) {
        if (at + 10 > bytes.length) break
        size = bytes.readUInt32BE(at + 6)
        header = 10
      }
      if (at + header + size > bytes.length) break
      const code = bytes[at] & 0x0f
      const from = at + header
      at = from + size
      if (code === 9) socket.write(frame(10, bytes.subarray(from, at)))
      else if (hello !== null && hello(bytes.subarray(from, at))) continue
      else if (code < 8) {
        took()
        if (echoes > 0) {
          echoes--
          socket.write(message)
        }
      }
    }
    rest = at === bytes.length ? null : bytes.subarray(at)
  })
}

function open (port, path, engine, index) {
  return new Promise((resolve, reject) => {
    // More than 28,000 connections need more than one address to come from.
    const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${1 + Math.floor(index / 20_000)}` })
    socket.setNoDelay(true)
    socket.on('error', reject)
    socket.once('data', (answer) => {
      if (!answer.toString('latin1').startsWith('HTTP/1.1 101')) return reject(new Error(answer.toString('latin1').split('\r\n')[0]))
      if (!engine) {
        const end = answer.indexOf('\r\n\r\n') + 4
        walk(socket, null)
        if (end < answer.length) socket.unshift(answer.subarray(end))
        return resolve(socket)
      }
      let joined = false
      walk(socket, (payload) => {
        const kind = payload[0] === 0x34 ? `4${String.fromCharCode(payload[1])}` : String.fromCharCode(payload[0])
        if (kind === '0') socket.write(frame(1, Buffer.from('40')))
        else if (kind === '2') socket.write(frame(1, Buffer.from('3')))
        else if (kind === '40') {
          joined = true
          resolve(socket)
        } else return !joined
        return true
      })
      const end = answer.indexOf('\r\n\r\n') + 4
      if (end < answer.length) socket.unshift(answer.subarray(end))
    })
    socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n${HEADERS.join('\r\n')}\r\n\r\n`)
  })
}

const commands = {
  async open ({ port, path, engine, connections }) {
    for (let left = connections; left > 0; left -= 50) {
      sockets.push(...await Promise.all(Array.from({ length: Math.min(50, left) }, (_, i) => open(port, path, engine, sockets.length + i))))
    }
  },
  async close () {
    for (const socket of sockets.splice(0)) socket.destroy()
  },
  /** Tells when so many more messages have come. */
  async expect ({ messages }) {
    count = 0
    target = messages
  },
  /** Every socket says something, and again when it gets something, so many times in all. */
  async echo ({ messages, text }) {
    count = 0
    target = messages
    message = frame(1, Buffer.from(text))
    echoes = messages - sockets.length
    for (const socket of sockets) socket.write(message)
  },
  /** When the next message comes, as a time. */
  async watch () {
    seenAt = 0
    sockets[0].once('data', () => { seenAt = Date.now() })
  },
  async seen () {
    return seenAt
  }
}

process.on('message', ({ id, name, args }) => {
  commands[name](args).then((value) => { process.send({ id, value }) }, (error) => { process.send({ id, error: error.message }) })
})
process.on('disconnect', () => { process.exit() })
