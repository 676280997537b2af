/**
 * One of the two apps, in a process of its own: started again when it dies.
 */
import { fork } from 'node:child_process'

/** How long it stays dead, in ms: long enough to be seen. */
const PAUSE = 1500

export class AppProcess {
  port
  deaths = 0
  #file
  #child
  #stopped = false
  #last = 0
  #waiting = new Map()

  constructor (file) {
    this.#file = new URL(file, import.meta.url)
  }

  /** Resolves when it listens. */
  start () {
    return new Promise((resolve) => {
      const child = this.#child = fork(this.#file, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
      child.on('message', ({ id, answer, port }) => {
        if (port !== undefined) {
          this.port = port
          resolve()
        }
        this.#waiting.get(id)?.(answer)
        this.#waiting.delete(id)
      })
      child.on('error', () => {})
      child.once('exit', () => {
        this.port = undefined
        resolve()
        if (this.#stopped) return
        this.deaths++
        setTimeout(() => { if (!this.#stopped) this.start() }, PAUSE)
      })
    })
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
