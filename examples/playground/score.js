/**
 * What has become of the clients of each app, counted from what the apps say of themselves. It stays when an app does not.
 */
const CUT = new Set(['reset', 'swallow'])

export class Score {
  #apps

  constructor (names) {
    this.#apps = Object.fromEntries(names.map((name) => [name, { deaths: 0, clients: new Map() }]))
    this.clear()
  }

  /** From now on, and of what comes from now on. */
  clear () {
    for (const app of Object.values(this.#apps)) {
      app.clients.clear()
      app.since = undefined
    }
  }

  /** @param said the last that the app has said @param faults what was done to which client, and when */
  note (name, { deaths = 0, rows = {} }, faults) {
    const app = this.#apps[name]
    app.since ??= deaths
    app.deaths = deaths - app.since
    // Who is not among the rows any more has no clock: its process has died, or it was taken off the page.
    for (const client of app.clients.values()) client.unnoticed = null
    for (const [id, { sent, end }] of Object.entries(rows)) {
      const client = app.clients.get(id) ?? {}
      app.clients.set(id, client)
      const fault = faults.get(id)
      const cut = fault !== undefined && CUT.has(fault.act)
      if (cut) client.before ??= sent
      // What was sent to a line that was cut by then, until it was known to be.
      if (cut && client.over !== true) client.intoNothing = sent - client.before
      client.over = end !== null
      if (cut && end !== null && end.at >= fault.at) client.found = end.at - fault.at
      client.unnoticed = cut && end === null ? Date.now() - fault.at : null
      if (cut && end?.unconfirmed !== undefined) client.lost = end.unconfirmed.length
      // A slow one lives as well; one that is frozen answers nothing.
      if ((fault === undefined || fault.act === 'throttle') && (end?.by === 'ping' || end?.cause === 'heartbeat')) client.killed = true
    }
  }

  /** As the page shows it. */
  get shown () {
    return Object.fromEntries(Object.entries(this.#apps).map(([name, { deaths, clients }]) => {
      const all = [...clients.values()]
      const found = all.filter((client) => client.found !== undefined).map((client) => client.found)
      const sum = (what) => all.reduce((sum, client) => sum + (client[what] ?? 0), 0)
      return [name, {
        found: found.length,
        after: found.length === 0 ? null : Math.max(...found),
        // Of the one that has been thought alive for the longest.
        unnoticed: all.reduce((most, { unnoticed }) => unnoticed > (most ?? 0) ? unnoticed : most, null),
        cut: all.filter((client) => client.before !== undefined).length,
        intoNothing: sum('intoNothing'),
        lost: name === 'with' ? sum('lost') : null,
        killed: all.filter((client) => client.killed).length,
        deaths
      }]
    }))
  }
}
