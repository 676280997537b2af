// The pictures of the playground in README, light and dark: of a real run, in the Chromium that is here. `npm run build` before it.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const root = fileURLToPath(new URL('..', import.meta.url))
/** When it has become clear what the usual ping makes of a stall; the bare app has not noticed the dead phone by then. */
const TELLING = /[1-9] of \d live clients taken for dead/
const LIMIT = 45_000

const playground = spawn(process.execPath, [join(root, 'examples/playground/playground.js')], { env: { ...process.env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
const [line] = await once(playground.stdout, 'data')
const browser = await chromium.launch({ executablePath: execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim(), args: ['--no-sandbox'] })
try {
  const page = await browser.newPage({ viewport: { width: 1180, height: 940 }, reducedMotion: 'reduce' })
  await page.goto(`${/http:\S+/.exec(String(line))[0]}/?tour`)
  await page.locator('#naive .says', { hasText: TELLING }).waitFor({ timeout: LIMIT })
  const { y, height } = await page.locator('#score').boundingBox()
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: join(root, 'docs', `playground-${colorScheme}.png`), clip: { x: 0, y: 0, width: 1180, height: y + height + 16 } })
  }
} finally {
  await browser.close()
  playground.kill('SIGTERM')
}
