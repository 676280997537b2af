/**
 * The tour of the playground, once, in Chromium: what it says is held against what the apps say, and how it looks is looked at for each
 * caption: wide and narrow, light and dark. TOUR_PICTURES=folder keeps a picture of each.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import WebSocket from 'ws'
import { until } from '../support/app.js'
import { lackOf } from '../support/needs.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')
const scenesFile = fileURLToPath(new URL('../../examples/playground/page/scenes.js', import.meta.url))

interface Scene { id: string, title: string, most: number }
interface Row { state: string, bufferedBytes?: number, refused?: number, receipt?: { outcome: string, took: number } | null, end: { at: number, cause?: string, unconfirmed?: string[] } | null }
interface Said { deaths: number, lines: Array<{ level: number, text: string }>, rows: Record<string, Row> }
type App = 'with' | 'without' | 'naive'
type State = Record<App, Said> & { now: number, faults: Record<string, { act: string, at: number }>, score: Record<App, { found: number, cut: number, intoNothing: number, lost: number | null, killed: number, deaths: number }> }

const LOOKS = [[1440, 'light'], [1440, 'dark'], [390, 'light'], [390, 'dark']] as const
const APPS = ['with', 'without', 'naive'] as const

test('the tour takes 45 s at the most, and each scene says what is to be seen of it', async () => {
  const { scenes, MOST }: { scenes: Scene[], MOST: number } = await import(scenesFile)
  assert.ok(MOST <= 45_000, String(MOST))
  assert.equal(new Set(scenes.map(({ id }) => id)).size, scenes.length)
})

test('the tour: every caption is true, and readable', { skip: lackOf('chromium'), timeout: 180_000 }, async (t) => {
  const { scenes }: { scenes: Scene[] } = await import(scenesFile)
  const { NODE_V8_COVERAGE, NODE_OPTIONS, ...env } = process.env
  const playground = spawn(process.execPath, ['examples/playground/playground.js'], { cwd: root, env: { ...env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(async () => {
    playground.kill('SIGTERM')
    await once(playground, 'exit')
  })
  const url = /http:\S+/.exec(String((await once(playground.stdout!, 'data'))[0]))![0]
  let state!: State
  const control = new WebSocket(`${url.replace('http', 'ws')}/control`, { origin: url })
  t.after(() => { control.terminate() })
  control.on('message', (data) => { state = JSON.parse(String(data)) })
  await once(control, 'message')

  const browser = await chromium.launch({ executablePath: execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim(), args: ['--no-sandbox'] })
  t.after(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  const faults: string[] = []
  page.on('pageerror', (error) => { faults.push(String(error)) })
  await page.goto(`${url}/?clients=0`)
  await page.addScriptTag({ path: axe })
  assert.equal(Object.values(await (await fetch(`${url}/code`)).json() as Record<App, string>).every((code) => code.split('\n').length >= 8 && code.split('\n').length <= 14), true)
  await page.getByRole('button', { name: /Start the tour/ }).click()

  const says = async (): Promise<Record<App, string>> => Object.fromEntries(await Promise.all(APPS.map(async (app) => [app, await page.locator(`#${app} .says`).innerText()])))
  const caption = (): Promise<string> => page.locator('#caption').innerText()
  const row = (app: App, name: string): Row | undefined => Object.entries(state[app].rows).find(([id]) => id.startsWith(`${name}-`))?.[1]
  /** What was said and seen at the end of each scene. */
  const seen = new Map<string, { words: Record<App, string>, state: State }>()

  for (const [index, { id, title }] of scenes.entries()) {
    const head = `${index + 1} of ${scenes.length}: ${title}`
    await until(head, async () => await caption() === head)
    for (const [width, colorScheme] of LOOKS) {
      await page.setViewportSize({ width, height: 900 })
      // No colour that is on its way to another.
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      const { overflow, violations } = await page.evaluate(async () => {
        const { document, innerWidth, axe } = globalThis as any
        return { overflow: document.documentElement.scrollWidth - innerWidth, violations: (await axe.run()).violations }
      })
      assert.ok(overflow <= 0, `${id}, ${width} px: ${overflow} px stand out`)
      assert.deepEqual(violations.map(({ id, nodes }: { id: string, nodes: Array<{ html: string }> }) => [id, nodes[0]!.html]), [], `${id}, ${width} px, ${colorScheme}`)
      if (process.env.TOUR_PICTURES !== undefined) await page.screenshot({ path: join(process.env.TOUR_PICTURES, `${index + 1}-${id}-${width}-${colorScheme}.png`) })
    }
    // The last that was said of it.
    while ((await caption()) === head) {
      const words = await says()
      if ((await caption()) === head && words.with !== '…') seen.set(id, { words, state })
    }
  }
  await until('it is over', async () => /^That was the tour/.test(await caption()))
  const at = (id: string): { words: Record<App, string>, state: State } => seen.get(id)!
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
  const rowAt = (id: string, app: App, name: string): Row => Object.entries(at(id).state[app].rows).find(([key]) => key.startsWith(`${name}-`))![1]
  const faultAt = (id: string, name: string): number => Object.entries(at(id).state.faults).find(([key]) => key.startsWith(`${name}-`))![1].at

  await t.test('black hole: found, and how late', () => {
    const { words } = at('black-hole')
    assert.equal(words.with, `found dead after ${seconds(rowAt('black-hole', 'with', 'phone').end!.at - faultAt('black-hole', 'phone'))}`)
    assert.equal(rowAt('black-hole', 'without', 'phone').state, 'open')
    assert.match(words.without, /^still thinks it is alive, \d+\.\d s$/)
  })
  await t.test('ask and leave: safePush says so', () => {
    assert.ok(rowAt('ask-and-leave', 'with', 'tablet').refused! > 0)
    assert.match(at('ask-and-leave').words.with, /^safePush says false/)
  })
  await t.test('receipt: who has it, and what was never confirmed', () => {
    const { outcome, took } = rowAt('receipt', 'with', 'laptop').receipt!
    assert.equal(outcome, 'delivered')
    const lost = rowAt('receipt', 'with', 'phone').end!.unconfirmed!
    assert.ok(lost.length > 0)
    assert.ok(at('receipt').words.with.startsWith(`the laptop has it, after ${took.toFixed(0)} ms. The phone never confirmed ${lost.length} message`))
    assert.ok(at('receipt').words.with.includes(lost[0]!))
  })
  await t.test('stall: nobody is taken for dead by the plugin, and who is by the usual ping is what it says', () => {
    const dead = (app: App): number => ['laptop', 'watch', 'car'].filter((name) => rowAt('stall', app, name).end !== null).length
    assert.equal(dead('with'), 0)
    for (const app of APPS) assert.ok(at('stall').words[app].startsWith(`${dead(app)} of 3 live clients taken for dead`), at('stall').words[app])
    assert.equal(at('stall').state.score.with.killed, 0)
  })
  await t.test('flood: bounded here, growing there', () => {
    const { words } = at('flood')
    // None, if it has ended by then.
    assert.ok((rowAt('flood', 'with', 'desktop').bufferedBytes ?? 0) <= 1024 * 1024)
    assert.match(words.with, /^(keeps \d+ KiB|keeps 1\.0 MiB|ended: it (took|answered) nothing)/)
    for (const app of ['without', 'naive'] as const) assert.match(words[app], /^(holds |the process has died)/)
  })
  await t.test('throw: one connection, or the process', () => {
    const { words, state } = at('throw')
    assert.equal(rowAt('throw', 'with', 'guest').end!.cause, 'handler')
    assert.deepEqual([state.with.deaths, state.without.deaths, state.naive.deaths], [0, 1, 1])
    assert.match(words.without, /^the process dies, and \d+ connections? with it$/)
  })
  await t.test('deploy: who is told when to come back', () => {
    const { words } = at('deploy')
    assert.match(words.with, /^tells \d+ clients to come back, each in its own time: \d/)
    assert.match(words.without, /no word about when to come back$/)
  })
  await t.test('the score is that of the apps; what was seen stays on the page; and the clients are open', async () => {
    const { score } = state
    assert.deepEqual([score.with.deaths, score.without.deaths], [0, 1])
    assert.equal(score.with.found, score.with.cut)
    assert.ok(score.with.intoNothing < score.without.intoNothing)
    assert.equal(await page.locator('#seen li').count(), scenes.length)
    assert.equal(await page.locator('.client').count(), 3)
    await until('all are back', () => ['phone-2', 'laptop-2', 'tablet-2'].every((name) => APPS.every((app) => row(app, name)?.state === 'open')))
    assert.deepEqual(faults, [])
  })
  await t.test('it can be stopped', async () => {
    await page.getByRole('button', { name: /Start the tour/ }).click()
    await until('it has begun', async () => /^1 of/.test(await caption()))
    await page.keyboard.press('Escape')
    assert.match(await caption(), /^That was the tour/)
    assert.equal(await page.getByRole('button', { name: /Start the tour/ }).isVisible(), true)
  })
  await t.test('?tour starts it', async () => {
    await page.goto(`${url}/?tour`)
    await until('it has begun', async () => /^1 of/.test(await caption()))
    await page.keyboard.press('Escape')
  })
})
