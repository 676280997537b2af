/** The same, which keeps every message until it is confirmed. */
import { serve as serveWithout } from './lifeline.js'

export const serve = (options) => serveWithout(options, { receipts: true })
