/**
 * The playground as a person uses it: in Chromium, every button pressed, and what the page shows held
 * against what the servers say.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import type { Browser, BrowserServer, Locator, Page } from 'playwright-core'
import WebSocket from 'ws'
import { until } from '../support/app.js'
import { lackOf } from '../support/needs.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

interface Row { fd?: number, state: string, bufferedBytes?: number, refused?: number, sent: number, end: { cause?: string, code: number } | null }
interface Said { running: boolean, starts: number, deaths: number, at: number, connections: number, rows: Record<string, Row> }
interface State { now: number, with: Said, without: Said }
type App = 'with' | 'without'

describe('the playground', { skip: lackOf('chromium') }, () => {
  let playground: ReturnType<typeof spawn>
  let chrome: BrowserServer
  let browser: Browser
  let url: string
  let page: Page
  let state: State
  const faults: string[] = []

  before(async () => {
    // The examples load dist: its coverage is not that of the sources under test.
    const { NODE_V8_COVERAGE, NODE_OPTIONS, ...env } = process.env
    playground = spawn(process.execPath, ['examples/playground/playground.js'], { cwd: root, env: { ...env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = await once(playground.stdout!, 'data')
    url = /http:\S+/.exec(String(line))![0]
    const control = new WebSocket(`${url.replace('http', 'ws')}/control`, { origin: url })
    control.on('message', (data) => { state = JSON.parse(String(data)) })
    await once(control, 'message')
    await launch()
  })
  after(async () => {
    if (chrome !== undefined) kill()
    playground.kill('SIGTERM')
    const [code] = await once(playground, 'exit')
    assert.equal(code, 143)
  })

  async function launch (): Promise<void> {
    chrome = await chromium.launchServer({ executablePath: execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim(), args: ['--no-sandbox'] })
    browser = await chromium.connect(chrome.wsEndpoint())
  }

  /** The browser, and all processes of its own. Whoever does not answer is not asked to leave. */
  const kill = (): void => { process.kill(-chrome.process().pid!, 'SIGKILL') }

  interface Look { width: number, colorScheme?: 'light' | 'dark' }

  async function goTo ({ width, colorScheme = 'light' }: Look): Promise<true> {
    if (page?.isClosed() === false) await page.close()
    page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme })
    page.on('pageerror', (error) => { faults.push(String(error)) })
    // Nothing is loaded from anywhere else.
    page.on('request', (request) => { if (!request.url().startsWith(url) && !request.url().startsWith('data:')) faults.push(request.url()) })
    await page.goto(`${url}/?clients=0`)
    await page.waitForFunction(() => !/starting/.test((globalThis as any).document.body.innerText))
    return true
  }

  /** A browser that answers nothing at all (closing a page has no timeout) says nothing about the page: another is started, once. */
  async function visit (look: Look = { width: 1440 }): Promise<void> {
    const patience = new AbortController()
    const visited = await Promise.race([goTo(look), sleep(30_000, false, patience)])
    patience.abort()
    if (visited) return
    kill()
    await launch()
    await goTo(look)
  }

  const press = async (name: string, where: Page | Locator = page): Promise<void> => {
    await where.getByRole('button', { name, exact: where === page }).click()
  }

  /** Opens a client; gives its part of the page, and its name for the servers. */
  async function open (): Promise<{ client: Locator, id: string }> {
    const before = await page.locator('.client').count()
    await press('Open a client')
    const id = (await page.locator('.client').nth(before).getAttribute('data-id'))!
    const client = page.locator(`[data-id="${id}"]`)
    await until('both apps have it', () => state.with.rows[id]?.state === 'open' && state.without.rows[id]?.state === 'open')
    return { client, id }
  }

  const cell = async (client: Locator, app: App, label: string): Promise<string> =>
    await client.locator(`.${app} [data-label="${label}"]`).innerText()

  /** The page is told four times a second: it shows what the servers say, soon. */
  async function shows (client: Locator, id: string): Promise<void> {
    await until('the page says what the servers say', async () => {
      const said = { with: state.with.rows[id], without: state.without.rows[id] }
      const shown = await Promise.all([
        cell(client, 'with', 'fd'), cell(client, 'with', 'state'), cell(client, 'with', 'sent'), cell(client, 'with', 'refused'),
        cell(client, 'without', 'state'), cell(client, 'without', 'sent')
      ])
      const expected = [said.with?.fd, said.with?.state, said.with?.sent, said.with?.refused, said.without?.state, said.without?.sent]
      const end = await cell(client, 'with', 'how it ended')
      return shown.join() === expected.join() && (said.with?.end == null || end.startsWith(`${said.with.end.cause} (${said.with.end.code})`))
    })
  }

  const ends = (id: string, cause: string): Promise<void> =>
    until(`the end is ${cause}`, () => state.with.rows[id]?.end?.cause === cause)

  test('a client is known to both apps, and the table says what they say', async () => {
    await visit()
    const { client, id } = await open()
    await shows(client, id)
    assert.equal(await cell(client, 'with', 'page sees'), 'open')
    await until('there is a round trip', async () => / ms$/.test(await cell(client, 'with', 'round trip')))
    assert.match(await cell(client, 'with', 'last seen'), /^\d+\.\d s ago$/)
    assert.equal(await cell(client, 'with', 'buffered'), '0 B')
    const { sent } = state.with.rows[id]!
    await press('Push', client)
    await until('it is counted', () => state.with.rows[id]!.sent > sent)
    await shows(client, id)
    await press('Remove', client)
    await until('it is gone', () => state.with.rows[id] === undefined && state.without.rows[id] === undefined)
    assert.equal(await client.count(), 0)
  })

  test('Reset, Close, Ask and leave: both notice; the plugin says why, and what was not pushed', async () => {
    await visit()
    for (const [button, cause] of [['Reset', 'reset'], ['Close', 'client'], ['Ask and leave', 'reset']] as const) {
      const { client, id } = await open()
      await press(button, client)
      await ends(id, cause)
      await until('a push was refused', () => state.with.rows[id]!.refused! > 0)
      await shows(client, id)
      assert.notEqual(state.without.rows[id]!.end, null)
      assert.equal(await cell(client, 'with', 'page sees'), 'closed')
      await press('Remove', client)
    }
  })

  test('Black hole: the plugin notices, the bare app does not', async () => {
    await visit()
    const { client, id } = await open()
    await press('Black hole', client)
    await ends(id, 'heartbeat')
    await shows(client, id)
    assert.match(await cell(client, 'with', 'how it ended'), /^heartbeat \(1006\), found \d\.\d s after it was black-holed(, \d+ messages? unconfirmed)?$/)
    assert.equal(state.without.rows[id]!.state, 'open')
    assert.match(await cell(client, 'without', 'how it ended'), /^black-holed \d+\.\d s ago, not noticed$/)
    await press('Remove', client)
  })

  test('Freeze and Flood: what waits is bounded with the plugin, and grows without it; others get everything', async () => {
    await visit()
    const frozen = await open()
    const other = await open()
    await press('Freeze', frozen.client)
    await press('Flood')
    await until('it is full', () => state.with.rows[frozen.id]!.refused! > 0)
    assert.ok(state.with.rows[frozen.id]!.bufferedBytes! <= 1024 * 1024)
    await until('the bare app holds more', () => state.without.rows[frozen.id]!.bufferedBytes! > 2 * 1024 * 1024)
    await until('it is noticed', () => state.with.rows[frozen.id]!.end !== null, 30_000)
    assert.equal(state.with.rows[other.id]!.refused, 0)
    assert.equal(state.with.rows[other.id]!.state, 'open')
    await shows(frozen.client, frozen.id)
    for (const { client } of [frozen, other]) await press('Remove', client)
  })

  test('Throttle, Broadcast, Stall: who is slow, or waits for a stalled loop, lives', async () => {
    await visit()
    await press('Open ten')
    await until('all are there', () => state.with.connections === 10 && state.without.connections === 10)
    await press('Throttle', page.locator('.client').first())
    const before = state.with.rows[(await page.locator('.client').nth(1).getAttribute('data-id'))!]!
    await press('Broadcast')
    await press('Stall the loop for 5 s')
    await until('the page says so', async () => /stalled/.test(await page.locator('#with').innerText()))
    await until('it is over', () => state.now - state.with.at < 1000 && state.now - state.without.at < 1000)
    // A heartbeat that was wrong about anybody would say so by now.
    const since = state.now
    await until('the bound has passed', () => state.now > since + 4000)
    assert.equal(state.with.connections, 10)
    assert.deepEqual(Object.values(state.with.rows).map(({ end }) => end), Array(10).fill(null))
    assert.equal(before.end, null)
    for (let left = 10; left > 0; left--) await press('Remove', page.locator('.client').first())
  })

  test('a throttled client lives through a flood; a frozen one that heals has what it may have', async () => {
    await visit()
    const [slow, frozen] = [await open(), await open()]
    await press('Throttle', slow.client)
    await press('Freeze', frozen.client)
    await press('Heal', frozen.client)
    await press('Flood')
    await until('the flood is at its end for the other', () => state.with.rows[frozen.id]!.sent > 250)
    const since = state.now
    await until('the bound has passed', () => state.now > since + 4000)
    for (const { id } of [slow, frozen]) assert.equal(state.with.rows[id]!.end, null)
    assert.ok(state.with.rows[slow.id]!.refused! > 0)
    for (const { client } of [slow, frozen]) await press('Remove', client)
  })

  test('Deploy: clients of the plugin are told when to come back', async () => {
    await visit()
    const { client } = await open()
    const starts = [state.with.starts, state.without.starts]
    await press('Deploy')
    await until('it has been closed', async () => await cell(client, 'with', 'page sees') === 'closed')
    await until('both are new processes', () => state.with.starts > starts[0]! && state.without.starts > starts[1]!)
    assert.deepEqual([state.with.deaths, state.without.deaths], [0, 0])
    await press('Remove', client)
  })

  test('Throw: the plugin ends one connection, the bare app its process', async () => {
    await visit()
    const [thrower, other] = [await open(), await open()]
    await press('Throw', thrower.client)
    await ends(thrower.id, 'handler')
    await until('the bare app has died', () => state.without.deaths > 0)
    assert.equal(state.with.rows[other.id]!.state, 'open')
    assert.equal(state.with.deaths, 0)
    await until('the page says so', async () => /process is gone/.test(await page.locator('#without').innerText()))
    await until('it is back', () => state.without.running)
    assert.equal(await cell(other.client, 'without', 'page sees'), 'closed')
    for (const { client } of [thrower, other]) await press('Remove', client)
  })

  for (const width of [1440, 390]) {
    for (const colorScheme of ['light', 'dark'] as const) {
      test(`${width} px, ${colorScheme}: nothing is cut off, and axe finds nothing serious`, async () => {
        await visit({ width, colorScheme })
        const { client } = await open()
        await open()
        await press('Reset', client)
        await until('it shows', async () => /reset/.test(await cell(client, 'with', 'how it ended')))
        const overflow = await page.evaluate(() => (globalThis as any).document.documentElement.scrollWidth - (globalThis as any).innerWidth)
        assert.ok(overflow <= 0, `${overflow} px stand out`)
        await page.addScriptTag({ path: axe })
        const { violations } = await page.evaluate(() => (globalThis as any).axe.run())
        const serious = violations.filter(({ impact }: { impact: string }) => impact === 'serious' || impact === 'critical')
        assert.deepEqual(serious.map(({ id, nodes }: { id: string, nodes: Array<{ html: string }> }) => [id, nodes[0]!.html]), [])
        for (let left = 2; left > 0; left--) await press('Remove', page.locator('.client').first())
      })
    }
  }

  test('by keyboard alone a client is opened and closed', async () => {
    await visit()
    const focused = (): Promise<string> => page.evaluate(() => (globalThis as any).document.activeElement.textContent)
    for (let i = 0; i < 20 && await focused() !== 'Open a client'; i++) await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    const client = page.locator('.client').first()
    await client.getByRole('button', { name: 'Close client-1' }).focus()
    assert.notEqual(await page.evaluate(() => (globalThis as any).getComputedStyle((globalThis as any).document.activeElement).outlineStyle), 'none')
    await page.keyboard.press('Enter')
    await until('it is closed', async () => /^client \(1000\)/.test(await cell(client, 'with', 'how it ended')))
  })

  test('nothing went wrong on the page, and nothing was loaded from elsewhere', () => {
    assert.deepEqual(faults, [])
  })
})
