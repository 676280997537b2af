/**
 * A process of the story, as the story sees it: what it is told, and all that it has reported.
 * Invariant: whatever way story.js ends, no player outlives it.
 */
import { fork } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { finished } from 'node:stream/promises'
import { now } from './stage.js'

const players = new Set()

export class Player extends EventEmitter {
  events = []
  log = ''
  errors = ''
  #child

  constructor (file) {
    super()
    this.setMaxListeners(0)
    const { PORT, ...env } = process.env
    this.#child = fork(new URL(file, import.meta.url), { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    this.#child.stdout.setEncoding('utf8').on('data', (text) => { this.log += text })
    this.#child.stderr.setEncoding('utf8').on('data', (text) => { this.errors += text })
    this.#child.on('message', (event) => { this.#note(event) })
    this.#child.once('exit', async (code, signal) => {
      const at = now()
      // Its last words may still be on their way. (`close` would say when, but never comes after a disconnect.)
      await Promise.all([finished(this.#child.stdout), finished(this.#child.stderr)])
      players.delete(this)
      this.#note({ event: 'exit', at, code, signal })
    })
    players.add(this)
  }

  /** Lines of its log at level error and above. */
  get errorLines () {
    return this.log.split('\n').filter((line) => line.startsWith('{') && JSON.parse(line).level >= 50).length
  }

  get running () { return players.has(this) }

  tell (message) {
    if (this.#child.connected) this.#child.send(message)
  }

  /** The first event with these members, in the past or to come; undefined if it does not come in time. */
  seen (members, limit = 3000) {
    const fits = (event) => Object.entries(members).every(([name, value]) => event[name] === value)
    const past = this.events.find(fits)
    if (past !== undefined || !this.running) return Promise.resolve(past)
    return new Promise((resolve) => {
      const end = (event) => {
        clearTimeout(timer)
        this.off('event', hear)
        resolve(event)
      }
      const hear = (event) => {
        if (fits(event)) end(event)
        else if (event.event === 'exit') end()
      }
      const timer = setTimeout(end, limit)
      this.on('event', hear)
    })
  }

  kill () {
    this.#child.kill('SIGKILL')
  }

  /** Lets it end by itself, and helps if it does not. */
  async stop () {
    if (!this.running) return
    if (this.#child.connected) this.#child.disconnect()
    const timer = setTimeout(() => { this.kill() }, 1000)
    while (this.running) await once(this, 'event')
    clearTimeout(timer)
  }

  #note (event) {
    this.events.push(event)
    this.emit('event', event)
  }
}

process.on('exit', () => { for (const player of players) player.kill() })
for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
  process.once(signal, () => { process.exit(128 + number) })
}
