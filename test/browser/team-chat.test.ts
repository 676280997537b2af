/**
 * The page of examples/team-chat in Chromium: a room, a job that outlives a reload, a deploy, and an admin who ends it.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { chromium } from 'playwright-core'
import type { Browser, Page } from 'playwright-core'
import type { FastifyInstance } from 'fastify'
import { lackOf } from '../support/needs.js'

describe('the page of team-chat', { skip: lackOf('chromium'), timeout: 90_000 }, () => {
  let browser: Browser
  before(async () => {
    browser = await chromium.launch({ executablePath: execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim(), args: ['--no-sandbox'] })
  })
  after(async () => { await browser?.close() })

  async function serve (t: TestContext, port = 0): Promise<{ app: FastifyInstance, url: string, port: number }> {
    const { build } = await import(String(new URL('../../examples/team-chat/app.js', import.meta.url)))
    const options = { secret: 'the same before and after a deploy', stepTime: 50, live: { shutdown: { reconnect: { after: 300, within: 200 } } } }
    const app: FastifyInstance = await build(options)
    t.after(() => app.close())
    await app.listen({ port, host: '127.0.0.1' })
    const address = app.server.address() as AddressInfo
    return { app, url: `http://127.0.0.1:${address.port}`, port: address.port }
  }

  async function signIn (t: TestContext, url: string, user: string): Promise<Page> {
    const context = await browser.newContext()
    t.after(() => context.close())
    const page = await context.newPage()
    page.on('pageerror', (error) => { assert.fail(error) })
    await page.goto(url)
    await page.locator('#login [name=user]').fill(user)
    await page.locator('#login [name=password]').fill(user)
    await page.getByRole('button', { name: 'Enter' }).click()
    await shows(page, 'In red/kitchen')
    return page
  }

  const shows = (page: Page, text: string): Promise<void> => page.getByText(text).first().waitFor()

  test('what one says the other reads; a reload keeps room and job; a deploy brings all back; an admin keeps one away', async (t) => {
    const first = await serve(t)
    const ada = await signIn(t, first.url, 'ada')
    const bob = await signIn(t, first.url, 'bob')
    await ada.locator('#say [name=text]').fill('<b>tea?</b>')
    await ada.getByRole('button', { name: 'Say' }).click()
    await shows(bob, 'ada: <b>tea?</b>')

    await bob.getByRole('button', { name: 'Start a job' }).click()
    await bob.waitForFunction('progress.value >= 2')
    await bob.reload()
    await bob.waitForFunction('progress.value === 10')

    await first.app.close()
    await Promise.all([shows(bob, 'A new version is on its way'), shows(bob, 'Away, back in 0.')])
    const second = await serve(t, first.port)
    await Promise.all([shows(ada, 'In red/kitchen'), shows(bob, 'In red/kitchen')])
    await ada.getByRole('button', { name: 'Notify' }).click()
    await shows(bob, 'ada: lunch')

    const { status } = (await ada.evaluate('fetch("/admin/users/bob", { method: "DELETE" }).then(({ status }) => ({ status }))')) as { status: number }
    assert.equal(status, 200)
    await shows(bob, 'Signed out: signed out')
    assert.equal(second.app.lifeline.size, 1)
  })
})
