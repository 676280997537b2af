/**
 * The scenes of the tour, as data: what is done, until when it is looked at, and what is said of it. A scene knows the apps by what they
 * say of themselves alone. Another one is another entry.
 *
 * - `open`: clients that are there before, by name; those that are still open from before stay
 * - `acts`: what is done, in order: [act, client?]; `wait`: before the next one, in ms
 * - `until (facts)`: the scene is over, `hold` ms later; `most`: or after so long, whatever has happened, in ms
 * - `says (facts)`: the caption, of what each lane has to say
 *
 * What is done to a client is said by its name; without one it is done to all.
 *
 * Facts: `since` the first act in ms, `row(app, client)`, `app(app)`, `cut(client)` since it was cut in ms, `closes(app)` what the page has seen.
 */
export const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`
export const bytes = (count) => count < 1024 ? `${count} B` : count < 1024 ** 2 ? `${(count / 1024).toFixed(0)} KiB` : `${(count / 1024 ** 2).toFixed(1)} MiB`
export const many = (count, one, more = `${one}s`) => `${count} ${count === 1 ? one : more}`

const running = (facts, app, text) => facts.app(app).running ? text : 'the process has died'

/** Of a client whose line is dead. */
function ofDead (facts, app, client) {
  const end = facts.row(app, client)?.end
  if (end != null) return { kind: 'good', text: `found dead after ${seconds(end.at - facts.fault(client).at)}` }
  // Somebody has found it by now.
  return { kind: facts.row('with', client)?.end != null ? 'bad' : 'warn', text: running(facts, app, `still thinks it is alive, ${seconds(facts.cut(client))}`) }
}

export const scenes = [
  {
    id: 'black-hole',
    title: 'A phone in a tunnel: its line dies, and nobody is told',
    open: ['phone', 'laptop'],
    acts: [['swallow', 'phone']],
    until: (facts) => facts.row('with', 'phone')?.end != null,
    hold: 2500,
    most: 7000,
    says: (facts) => ({
      with: ofDead(facts, 'with', 'phone'),
      without: ofDead(facts, 'without', 'phone'),
      naive: ofDead(facts, 'naive', 'phone')
    })
  },
  {
    id: 'ask-and-leave',
    title: 'A client asks, and leaves while the query runs',
    open: ['tablet'],
    acts: [['slow', 'tablet'], { wait: 250 }, ['reset', 'tablet']],
    until: (facts) => facts.since > 1900 && facts.row('with', 'tablet')?.refused > 0,
    hold: 1500,
    most: 5000,
    says: (facts) => {
      const row = facts.row('with', 'tablet')
      const into = (app) => facts.since > 1700 ? { kind: 'bad', text: running(facts, app, 'sends the answer all the same, and is told nothing') } : { kind: '', text: 'the query runs …' }
      return {
        with: row?.refused > 0 ? { kind: 'good', text: 'safePush says false: nobody is there for the answer' } : { kind: '', text: 'the query runs …' },
        without: into('without'),
        naive: into('naive')
      }
    }
  },
  {
    id: 'receipt',
    title: 'Has the message arrived? No code in the page is needed to know',
    acts: [['deliver', 'laptop']],
    until: (facts) => facts.row('with', 'laptop')?.receipt != null,
    hold: 3000,
    most: 5000,
    says: (facts) => {
      const receipt = facts.row('with', 'laptop')?.receipt
      const lost = facts.row('with', 'phone')?.end?.unconfirmed ?? []
      const has = receipt == null ? 'asks …' : receipt.outcome === 'delivered' ? `the laptop has it, after ${receipt.took.toFixed(0)} ms` : receipt.outcome
      return {
        with: { kind: receipt?.outcome === 'delivered' ? 'good' : '', text: lost.length === 0 ? has : `${has}. The phone never confirmed ${many(lost.length, 'message')}: ${lost.slice(0, 3).join(', ')}${lost.length > 3 ? ', …' : ''}` },
        without: { kind: 'warn', text: 'sent: that is all it knows' },
        naive: { kind: 'warn', text: 'sent: that is all it knows' }
      }
    }
  },
  {
    id: 'stall',
    title: 'Two jobs block the event loop, 2.5 s each',
    open: ['watch', 'car'],
    acts: [['stall']],
    // All have answered since, and a heartbeat that was wrong about anybody would have said so.
    until: (facts) => facts.since > 5200 && ['with', 'without', 'naive'].every((app) => facts.app(app).at > facts.began + 5100),
    hold: 2000,
    most: 9000,
    says: (facts) => {
      const live = ['laptop', 'watch', 'car']
      const of = (app) => {
        if (facts.app(app).at < facts.began + 5000) return { kind: '', text: `blocked, ${seconds(Math.min(facts.since, 5000))}` }
        const dead = live.filter((client) => facts.row(app, client)?.end != null).length
        return { kind: dead > 0 ? 'bad' : app === 'without' ? '' : 'good', text: running(facts, app, `${dead} of ${live.length} live clients taken for dead${app === 'without' ? ': it asks nobody' : ''}`) }
      }
      return { with: of('with'), without: of('without'), naive: of('naive') }
    }
  },
  {
    id: 'flood',
    title: 'A page hangs, and 64 KiB go to it every 20 ms',
    open: ['desktop'],
    acts: [['freeze', 'desktop'], ['flood', 'desktop']],
    until: (facts) => facts.row('with', 'desktop')?.refused > 0 && facts.row('without', 'desktop')?.bufferedBytes > 3 * 1024 ** 2,
    hold: 1500,
    most: 6000,
    says: (facts) => {
      const of = (app) => {
        const row = facts.row(app, 'desktop')
        if (row?.end != null && app === 'with') return { kind: 'good', text: `ended: ${row.end.cause === 'stalled' ? 'it took nothing' : 'it answered nothing'} for too long` }
        const waits = row?.bufferedBytes ?? 0
        if (app === 'with') return { kind: row?.refused > 0 ? 'good' : '', text: `keeps ${bytes(Math.max(waits, row?.unconfirmedBytes ?? 0))}${row?.refused > 0 ? `, and says no to ${many(row.refused, 'more push', 'more pushes')}` : ''}` }
        return { kind: waits > 2 * 1024 ** 2 ? 'bad' : '', text: running(facts, app, `holds ${bytes(waits)}${waits > 0 ? ', and takes more' : ''}`) }
      }
      return { with: of('with'), without: of('without'), naive: of('naive') }
    }
  },
  {
    id: 'throw',
    title: 'A handler throws: a query has failed',
    open: ['browser', 'guest'],
    acts: [['throw', 'guest']],
    until: (facts) => facts.row('with', 'guest')?.end != null && facts.app('without').deaths > facts.deathsBefore.without,
    hold: 2200,
    most: 5000,
    says: (facts) => {
      const end = facts.row('with', 'guest')?.end
      const of = (app) => facts.app(app).deaths > facts.deathsBefore[app]
        ? { kind: 'bad', text: `the process dies, and ${many(facts.connectionsBefore[app], 'connection')} with it` }
        : { kind: '', text: 'awaits the query' }
      return {
        with: end == null ? { kind: '', text: 'awaits the query' } : { kind: 'good', text: `one connection ends (${end.code}), one line in the log, ${many(facts.app('with').connections, 'other goes on', 'others go on')}` },
        without: of('without'),
        naive: of('naive')
      }
    }
  },
  {
    id: 'deploy',
    title: 'A deploy: the old process closes, a new one starts',
    open: ['phone 2', 'laptop 2', 'tablet 2'],
    acts: [['deploy']],
    until: (facts) => ['with', 'without', 'naive'].every((app) => facts.closes(app).length >= 3),
    hold: 3000,
    most: 7000,
    says: (facts) => {
      const of = (app) => {
        const closes = facts.closes(app)
        if (closes.length === 0) return { kind: '', text: 'closes …' }
        const waits = closes.flatMap(({ retry }) => retry === null ? [] : [seconds(retry)])
        return waits.length > 0
          ? { kind: 'good', text: `tells ${many(closes.length, 'client')} to come back, each in its own time: ${waits.slice(0, 3).join(', ')}` }
          : { kind: 'warn', text: `${many(closes.length, 'client')} closed with ${closes[0].code}${closes[0].code === 1005 ? ' (no code)' : ''}, and no word about when to come back` }
      }
      return { with: of('with'), without: of('without'), naive: of('naive') }
    }
  }
]

/** How long the tour takes at the most, in ms. */
export const MOST = scenes.reduce((sum, { most }) => sum + most, 0)
