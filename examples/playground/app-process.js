/**
 * One of the apps, in a process of its own: started again when it dies, or is replaced by a new version of itself.
 */
import { fork } from 'node:child_process'
import { createInterface } from 'node:readline'

/** How long it stays dead, in ms: long enough to be seen. */
const PAUSE = 1500

/** How many lines of its log are kept. */
const LINES = 4

export class AppProcess {
  port
  deaths = 0
  /** How often it has begun to listen: a new process each time. */
  starts = 0
  /** The last lines of its log: level and text. */
  lines = []
  #file
  #child
  #stopped = false
  /** A new version is about to take its place. */
  deploying = false
  #last = 0
  #waiting = new Map()

  constructor (file) {
    this.#file = new URL(file, import.meta.url)
  }

  /** Resolves when it listens. */
  start () {
    return new Promise((resolve) => {
      const child = this.#child = fork(this.#file, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
      // What Node.js says of an error that nobody caught.
      createInterface(child.stderr).on('line', (text) => { if (/^\w*Error:/.test(text)) this.#keep({ level: 60, text: `the process ends: ${text}` }) })
      child.on('message', ({ id, answer, port, line }) => {
        if (line !== undefined) this.#keep(line)
        if (port !== undefined) {
          this.port = port
          this.starts++
          this.deploying = false
          resolve()
        }
        this.#waiting.get(id)?.(answer)
        this.#waiting.delete(id)
      })
      child.on('error', () => {})
      child.once('exit', () => {
        this.port = undefined
        for (const answer of this.#waiting.values()) answer(undefined)
        this.#waiting.clear()
        resolve()
        if (this.#stopped) return
        if (!this.deploying) this.deaths++
        setTimeout(() => { if (!this.#stopped) this.start() }, this.deploying ? 0 : PAUSE)
      })
    })
  }

  #keep (line) {
    this.lines = [...this.lines, line].slice(-LINES)
  }

  /** A new version: the old one is told to close, and the new one starts when it has. */
  deploy () {
    if (!this.running) return
    this.deploying = true
    this.#child.kill('SIGTERM')
  }

  get running () { return this.port !== undefined }

  tell (act, details = {}) {
    if (this.#child.connected) this.#child.send({ act, ...details })
  }

  /** Its answer; undefined if it does not come in time. */
  ask (act, limit) {
    if (!this.#child.connected) return Promise.resolve(undefined)
    const id = ++this.#last
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        resolve(undefined)
      }, limit)
      this.#waiting.set(id, (answer) => {
        clearTimeout(timer)
        resolve(answer)
      })
      this.#child.send({ id, act })
    })
  }

  stop () {
    this.#stopped = true
    this.#child.kill('SIGKILL')
  }
}
