/**
 * The page: it opens clients through the gate, sends what is pressed to the playground, and shows
 * what the two apps say of their connections. Everything that is shown of an app is its own word.
 */
/* global location */
const $ = (selector, root = document) => root.querySelector(selector)
const APPS = ['with', 'without']
const FAULTS = { reset: 'reset', swallow: 'black-holed', freeze: 'frozen', throttle: 'throttled' }
/** How long the page waits before it leaves in the middle of an answer, in ms. */
const LEAVES_AFTER = 200
/** How long what was done stands at the foot of the page, in ms. */
const NEWS = 4000

const clients = new Map()
let state = null
let named = 0

const control = new WebSocket(`ws://${location.host}/control`)
control.onmessage = ({ data }) => {
  state = JSON.parse(data)
  show()
}
control.onclose = () => {
  tell('The playground has ended. Start it again, and reload this page.')
  clearTimeout(telling)
}

const ask = (act, name) => { control.send(JSON.stringify({ act, name })) }

let telling

function tell (text) {
  $('#news').textContent = text
  clearTimeout(telling)
  telling = setTimeout(() => { $('#news').textContent = '' }, NEWS)
}

function open (count) {
  for (let i = 0; i < count; i++) {
    // Not known to anybody yet: a page that is reloaded starts anew.
    const name = `client-${++named}`
    const id = `${name}-${Math.random().toString(36).slice(2, 8)}`
    const client = { id, sockets: {}, view: addView(name, id) }
    for (const app of APPS) {
      client.sockets[app] = new WebSocket(`ws://${location.hostname}:${state.gatePort}/${app}/live?name=${id}`)
    }
    clients.set(id, client)
    ask('open', id)
  }
  show()
}

function addView (name, id) {
  const view = $('#client').content.cloneNode(true).firstElementChild
  view.dataset.id = id
  $('.name', view).textContent = name
  for (const button of view.querySelectorAll('button')) button.setAttribute('aria-label', `${button.textContent} ${name}`)
  $('table').append(view)
  return view
}

const acts = {
  open: ({ count }) => { open(Number(count ?? 1)) },
  slow: (_data, client) => {
    say(client, 'slow')
    setTimeout(() => { ask('reset', client.id) }, LEAVES_AFTER)
  },
  throw: (_data, client) => { say(client, 'throw') },
  close: (_data, client) => { for (const app of APPS) client.sockets[app].close(1000) },
  forget: (_data, client) => {
    ask('forget', client.id)
    clients.delete(client.id)
    client.view.remove()
    show()
  }
}

function say (client, text) {
  for (const app of APPS) if (client.sockets[app].readyState === WebSocket.OPEN) client.sockets[app].send(text)
}

document.addEventListener('click', ({ target }) => {
  const button = target.closest('button')
  if (button === null || state === null) return
  const client = clients.get(button.closest('.client')?.dataset.id)
  const { act } = button.dataset
  if (acts[act] !== undefined) acts[act](button.dataset, client)
  else ask(act, client?.id)
  tell(`${button.getAttribute('aria-label') ?? button.textContent}: done`)
})

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`
const bytes = (count) => count < 1024 ? `${count} B` : count < 1024 ** 2 ? `${(count / 1024).toFixed(0)} KiB` : `${(count / 1024 ** 2).toFixed(1)} MiB`

function tag (kind, text) {
  const element = document.createElement('span')
  element.className = `tag ${kind}`
  element.textContent = text
  return element
}

/** Replaces only what has changed: a selection, and a screen reader's place, survive. */
function put (cell, content) {
  const text = typeof content === 'string' ? content : content.textContent
  const kind = typeof content === 'string' ? (text === '–' ? 'none' : '') : content.className
  if (cell.dataset.shown === `${kind} ${text}`) return
  cell.dataset.shown = `${kind} ${text}`
  cell.className = typeof content === 'string' ? kind : ''
  cell.replaceChildren(content)
}

const shades = { open: 'good', closed: 'over' }

function show () {
  $('#empty').hidden = clients.size > 0
  if (state === null) return
  for (const app of APPS) showApp(app, state[app])
  for (const client of clients.values()) {
    for (const app of APPS) showRow(client, app, state[app].rows?.[client.id])
  }
}

function showApp (app, said) {
  const { running, deaths, connections, memory, errors, bound, at } = said
  const silent = state.now - at
  const stalled = running && silent > 1000
  $(`#${app}`).classList.toggle('trouble', !running || stalled)
  const parts = [`${connections ?? 0} connections`, `${bytes(memory ?? 0)} of memory`]
  if (app === 'with') parts.push(`a dead peer is found within ${seconds(bound ?? 0)}`, `${errors ?? 0} errors of handlers, each logged once`)
  if (deaths > 0) parts.push(`the process has died ${deaths} ${deaths === 1 ? 'time' : 'times'}`)
  const text = !running ? 'The process has died: an error in one handler took all connections with it' : stalled ? `Its event loop stalls since ${seconds(silent)}` : parts.join(', ')
  const shown = $(`#${app} dd`)
  if (shown.textContent !== text) shown.textContent = text
}

function showRow ({ id, view, sockets }, app, row) {
  const cells = Object.fromEntries(Array.from(view.querySelectorAll(`.${app} [data-label]`), (cell) => [cell.dataset.label, cell]))
  put(cells['page sees'], ['connecting', 'open', 'closing', 'closed'][sockets[app].readyState])
  if (row === undefined) {
    put(cells.state, tag('bad', 'unknown'))
    for (const label of ['fd', 'round trip', 'last seen', 'buffered', 'pushes true', 'pushes false']) put(cells[label], '–')
    put(cells['the end of it'], state[app].deaths > 0 ? tag('bad', 'lost with its process') : '–')
    return
  }
  put(cells.fd, row.fd === undefined ? '–' : String(row.fd))
  put(cells.state, tag(shades[row.state] ?? 'warn', row.state))
  put(cells['round trip'], row.roundTrip == null ? '–' : `${row.roundTrip.toFixed(1)} ms`)
  put(cells['last seen'], row.lastSeenAt === undefined ? '–' : `${seconds(Math.max(0, state[app].at - row.lastSeenAt))} ago`)
  put(cells.buffered, row.bufferedBytes > 0 ? tag(row.bufferedBytes > 2 ** 21 ? 'bad' : 'warn', bytes(row.bufferedBytes)) : '0 B')
  put(cells['pushes true'], app === 'with' ? String(row.pushed) : `${row.sent} sent`)
  put(cells['pushes false'], app === 'with' ? String(row.refused) : 'never told')
  put(cells['the end of it'], ending(row, state.faults[id], app))
}

function ending ({ end, state: now }, fault, app) {
  const what = fault === undefined ? '' : FAULTS[fault.act]
  if (end !== null) {
    const found = fault === undefined || end.at < fault.at ? '' : `, found ${seconds(end.at - fault.at)} after it was ${what}`
    return tag(app === 'with' ? 'good' : 'warn', `${end.cause ?? 'closed'} (${end.code})${found}`)
  }
  if (fault === undefined) return '–'
  const since = state.now - fault.at
  return tag(now === 'open' && since > 5000 && app === 'without' ? 'bad' : 'warn', `${what} ${seconds(since)} ago, not noticed${app === 'with' ? ' yet' : ''}`)
}
