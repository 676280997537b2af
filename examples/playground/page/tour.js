/**
 * The tour: plays the scenes one after the other, and says what the apps say. Knows nothing of what a scene is about.
 * Invariant: nothing is said that was not seen in this run; a scene ends after `most`, whatever has been seen.
 */
import { scenes } from './scenes.js'

const APPS = ['with', 'without', 'naive']
/** How often a caption is drawn anew, in ms. */
const STEP = 100
/** How long a client that is opened may take until page and apps know it, in ms. */
const OPENING = 3000

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms) })

export class Tour {
  #page
  #view
  #running = 0

  /** @param page what can be done: open, act, client, isOpen, state, closes @param view what shows it: scene, lane, seen, over */
  constructor (page, view) {
    this.#page = page
    this.#view = view
  }

  get running () { return this.#running > 0 }

  async start () {
    const run = this.#running = Math.random()
    const stopped = () => this.#running !== run
    this.#page.clear()
    for (const [index, scene] of scenes.entries()) {
      await this.#play(scene, index, stopped)
      if (stopped()) return
    }
    this.stop()
  }

  stop () {
    if (!this.running) return
    this.#running = 0
    this.#view.over(scenes.at(-1).open)
  }

  async #play (scene, index, stopped) {
    const { open = [], acts, until, hold, most, says } = scene
    const began = Date.now()
    const left = () => began + most - Date.now()
    this.#view.scene(scene, index, scenes.length)
    for (const name of open) this.#page.open(name, scene)
    const known = (name) => this.#page.isOpen(name) && APPS.every((app) => this.#row(app, name)?.state === 'open')
    while (!stopped() && !open.every(known) && Date.now() - began < OPENING) await sleep(STEP)
    if (stopped()) return
    const facts = this.#facts()
    for (const act of acts) {
      if (Array.isArray(act)) this.#page.act(...act)
      else await sleep(act.wait)
    }
    let doneAt = null
    let words
    while (!stopped() && left() > 0 && !(doneAt !== null && Date.now() - doneAt >= hold)) {
      await sleep(STEP)
      if (doneAt === null && until(facts)) doneAt = Date.now()
      words = says(facts)
      for (const app of APPS) this.#view.lane(app, words[app])
    }
    if (words !== undefined) this.#view.seen(scene, words)
  }

  #row (app, name) {
    const client = this.#page.client(name)
    return client === undefined ? undefined : this.#page.state[app].rows?.[client.id]
  }

  /** What a scene may know, from now on. */
  #facts () {
    const page = this.#page
    const of = (what) => Object.fromEntries(APPS.map((app) => [app, page.state[app][what]]))
    const began = Date.now()
    const fault = (name) => page.state.faults[page.client(name).id]
    return {
      began,
      deathsBefore: of('deaths'),
      connectionsBefore: of('connections'),
      get since () { return Date.now() - began },
      app: (app) => page.state[app],
      row: (app, name) => this.#row(app, name),
      fault,
      cut: (name) => fault(name) === undefined ? 0 : page.state.now - fault(name).at,
      closes: (app) => page.closes.filter((close) => close.app === app && close.at >= began)
    }
  }
}
