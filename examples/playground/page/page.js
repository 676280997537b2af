/**
 * The page: it opens clients through the gate, sends what is pressed to the playground, and shows
 * what the apps say of their connections. Everything that is shown of an app is its own word.
 */
/* global location */
import { bytes, many, seconds } from './scenes.js'
import { Tour } from './tour.js'

const $ = (selector, root = document) => root.querySelector(selector)
const APPS = ['with', 'without', 'naive']
/** The apps that have a row in the table. */
const ROWS = ['with', 'without']
const FAULTS = { reset: 'reset', swallow: 'black-holed', freeze: 'frozen', throttle: 'throttled' }
/** How long the page waits before it leaves in the middle of an answer, in ms. */
const LEAVES_AFTER = 200
/** How long what was done stands at the foot of the page, in ms. */
const NEWS = 4000
/** How long a client that comes back waits after an attempt that failed, in ms. */
const AGAIN = 500

const query = new URLSearchParams(location.search)
const clients = new Map()
const closes = []
let state = null
let named = 0

const control = new WebSocket(`ws://${location.host}/control`)
control.onmessage = ({ data }) => {
  const first = state === null
  state = JSON.parse(data)
  if (first) begin()
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

function begin () {
  if (query.has('tour')) play()
  else open(Number(query.get('clients') ?? 2))
}

function open (count) {
  for (let i = 0; i < count; i++) add(`client-${++named}`)
  show()
}

/** @param comesBack whether it does when it is closed */
function add (name, comesBack = false) {
  // Not known to anybody yet: a page that is reloaded starts anew.
  const id = `${name.replaceAll(' ', '-')}-${Math.random().toString(36).slice(2, 8)}`
  const client = { id, name, comesBack, sockets: {}, view: addView(name, id) }
  clients.set(id, client)
  for (const app of APPS) connect(client, app)
  ask('open', id)
  return client
}

function connect (client, app) {
  const { id } = client
  const socket = client.sockets[app] = new WebSocket(`ws://${location.hostname}:${state.gatePort}/${app}/live?name=${id}`)
  socket.onclose = ({ code, reason }) => {
    const retry = /^retry: (\d+)$/.exec(reason)?.[1]
    if (code !== 1006) closes.push({ app, id, code, retry: retry === undefined ? null : Number(retry), at: Date.now() })
    if (!client.comesBack || !clients.has(id)) return
    setTimeout(() => { if (clients.has(id)) connect(client, app) }, Number(retry ?? AGAIN))
  }
}

function addView (name, id) {
  const view = $('#client').content.cloneNode(true).firstElementChild
  view.dataset.id = id
  $('.name', view).textContent = name
  for (const button of view.querySelectorAll('button')) button.setAttribute('aria-label', `${button.textContent} ${name}`)
  $('#clients').append(view)
  return view
}

const acts = {
  open: ({ count }) => { open(Number(count ?? 1)) },
  tour: () => { play() },
  stop: () => { tour.stop() },
  leave: (_data, client) => {
    say(client, 'slow')
    setTimeout(() => { ask('reset', client.id) }, LEAVES_AFTER)
  },
  slow: (_data, client) => { say(client, 'slow') },
  throw: (_data, client) => { say(client, 'throw') },
  close: (_data, client) => { for (const app of APPS) client.sockets[app].close(1000) },
  forget: (_data, client) => {
    ask('forget', client.id)
    clients.delete(client.id)
    client.view.remove()
    show()
  }
}

function act (name, client, data = {}) {
  if (acts[name] !== undefined) acts[name](data, client)
  else ask(name, client?.id)
}

function say (client, text) {
  for (const app of APPS) if (client.sockets[app].readyState === WebSocket.OPEN) client.sockets[app].send(text)
}

document.addEventListener('click', ({ target }) => {
  const button = target.closest('button')
  if (button === null || state === null) return
  const client = clients.get(button.closest('.client')?.dataset.id)
  act(button.dataset.act, client, button.dataset)
  if (!button.closest('#tour')) tell(`${button.getAttribute('aria-label') ?? button.textContent}: done`)
})
document.addEventListener('keydown', ({ key }) => { if (key === 'Escape') tour.stop() })

// The tour.

const byName = (name) => Array.from(clients.values()).findLast((client) => client.name === name)

const tour = new Tour({
  get state () { return state },
  closes,
  client: byName,
  isOpen: (name) => APPS.every((app) => byName(name).sockets[app].readyState === WebSocket.OPEN),
  open: (name, { acts }) => { add(name, acts.some((each) => each[0] === 'deploy')) },
  act: (name, client) => { act(name, client === undefined ? undefined : byName(client)) },
  clear: () => {
    for (const client of [...clients.values()]) act('forget', client)
    ask('score')
    closes.length = 0
    $('#seen ol').replaceChildren()
  }
}, {
  scene: ({ title }, index, count) => {
    $('#caption').textContent = `${index + 1} of ${count}: ${title}`
    $('#progress').value = index / count
    for (const app of APPS) showWords($(`#${app} .says`), { kind: '', text: '…' })
  },
  lane: (app, words) => { showWords($(`#${app} .says`), words) },
  seen: ({ title }, words) => {
    const item = document.createElement('li')
    const head = document.createElement('strong')
    head.textContent = title
    const list = document.createElement('dl')
    for (const app of APPS) {
      const [who, what] = [document.createElement('dt'), document.createElement('dd')]
      who.textContent = $(`#${app} h2`).textContent
      showWords(what, words[app])
      list.append(who, what)
    }
    item.append(head, list)
    $('#seen ol').append(item)
    $('#seen').hidden = false
  },
  over: (kept) => {
    // Those of the earlier scenes are dead, most of them.
    for (const client of [...clients.values()]) if (!kept.includes(client.name)) act('forget', client)
    for (const [selector, hidden] of [['[data-act=tour]', false], ['[data-act=stop]', true], ['#progress', true]]) $(selector).hidden = hidden
    $('#caption').textContent = 'That was the tour. What you have seen is below; the clients are yours now.'
  }
})

function play () {
  for (const [selector, hidden] of [['[data-act=tour]', true], ['[data-act=stop]', false], ['#progress', false]]) $(selector).hidden = hidden
  document.documentElement.dataset.tour = 'on'
  tour.start()
}

function showWords (element, { kind, text }) {
  element.hidden = false
  if (element.textContent !== text) element.textContent = text
  for (const each of ['good', 'bad', 'warn']) element.classList.toggle(each, kind === each)
}

fetch('code').then((response) => response.json()).then((code) => {
  for (const app of APPS) $(`#code-${app} code`).textContent = code[app]
})

// What the apps say.

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
  if (state === null) return
  for (const app of APPS) showApp(app, state[app])
  showScore()
  for (const client of clients.values()) {
    for (const app of ROWS) showRow(client, app, state[app].rows?.[client.id])
  }
}

function showApp (app, said) {
  const { running, deploying, connections, bound, at, lines = [], rows = {} } = said
  const silent = state.now - at
  const stalled = running && silent > 1000
  const lane = $(`#${app}`)
  lane.classList.toggle('trouble', !deploying && (!running || stalled))
  const waits = Object.values(rows).reduce((sum, { bufferedBytes = 0 }) => sum + bufferedBytes, 0)
  const parts = [many(connections ?? 0, 'connection'), `${bytes(waits)} waiting for slow clients`]
  if (app === 'with') parts.push(`finds a dead client within ${seconds(bound ?? 0)}`)
  const text = deploying ? 'A new version takes over' : !running ? 'The process is gone, and all its connections' : stalled ? `Its event loop has stalled for ${seconds(silent)}` : parts.join(', ')
  const shown = $('.now', lane)
  if (shown.textContent !== text) shown.textContent = text
  const log = $('.log', lane)
  const key = JSON.stringify(lines)
  if (log.dataset.shown === key) return
  log.dataset.shown = key
  log.replaceChildren(...lines.map(({ level, text }) => {
    const item = document.createElement('li')
    item.textContent = text
    if (level >= 50) item.className = 'bad'
    return item
  }))
}

function showScore () {
  for (const row of document.querySelectorAll('#score [data-score]')) {
    const what = row.dataset.score
    row.querySelectorAll('td').forEach((cell, index) => {
      const score = state.score[APPS[index]]
      const text = what === 'found'
        ? `${score.found} of ${score.cut}${score.after === null ? '' : score.after < 50 ? ', at once' : `, in ${seconds(score.after)}`}${score.unnoticed === null ? '' : `; one thought alive for ${seconds(score.unnoticed)}`}`
        : score[what] === null ? 'cannot know' : String(score[what])
      put(cell, (what === 'killed' || what === 'deaths') && score[what] > 0 ? tag('bad', text) : text)
    })
  }
}

function showRow ({ id, view, sockets }, app, row) {
  const cells = Object.fromEntries(Array.from(view.querySelectorAll(`.${app} [data-label]`), (cell) => [cell.dataset.label, cell]))
  put(cells['page sees'], ['connecting', 'open', 'closing', 'closed'][sockets[app].readyState])
  if (row === undefined) {
    put(cells.state, tag('bad', 'unknown'))
    for (const label of ['fd', 'round trip', 'last seen', 'buffered', 'sent', 'refused']) put(cells[label], '–')
    put(cells['how it ended'], state[app].deaths > 0 ? tag('bad', 'lost with its process') : '–')
    return
  }
  put(cells.fd, row.fd === undefined ? '–' : String(row.fd))
  put(cells.state, tag(shades[row.state] ?? 'warn', row.state))
  put(cells['round trip'], row.roundTrip == null ? '–' : `${row.roundTrip.toFixed(1)} ms`)
  put(cells['last seen'], row.lastSeenAt === undefined ? '–' : `${seconds(Math.max(0, state[app].at - row.lastSeenAt))} ago`)
  put(cells.buffered, row.bufferedBytes > 0 ? tag(row.bufferedBytes > 2 ** 21 ? 'bad' : 'warn', bytes(row.bufferedBytes)) : '0 B')
  put(cells.sent, String(row.sent))
  put(cells.refused, app === 'with' ? String(row.refused) : 'never told')
  put(cells['how it ended'], ending(row, state.faults[id]))
}

function ending ({ end, receipt }, fault) {
  const what = fault === undefined ? '' : FAULTS[fault.act]
  if (end !== null) {
    const found = fault === undefined || end.at < fault.at ? '' : `, found ${seconds(end.at - fault.at)} after it was ${what}`
    const lost = end.unconfirmed?.length > 0 ? `, ${many(end.unconfirmed.length, 'message')} unconfirmed` : ''
    return tag('good', `${end.cause ?? 'closed'} (${end.code})${found}${lost}`)
  }
  if (fault === undefined) return receipt == null ? '–' : tag(receipt.outcome === 'delivered' ? 'good' : 'warn', `${receipt.outcome}, ${receipt.took.toFixed(0)} ms`)
  const since = state.now - fault.at
  const silent = fault.act === 'swallow' || fault.act === 'reset'
  return tag(silent && since > 5000 ? 'bad' : 'warn', `${what} ${seconds(since)} ago${silent ? ', not noticed' : ''}`)
}
