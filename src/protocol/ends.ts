/**
 * What the end of a wire means to a session, by its close code, on either side.
 */
import { closeCode, nextOf } from './close-codes.js'

/** Another wire of the same session has taken the place of this one. */
export const REPLACED = 3001

/** A message, or what a client has done, was wrong: the same would happen again. */
const wrong: ReadonlySet<number> = new Set([
  closeCode.protocolError, closeCode.unsupportedData, closeCode.invalidPayload, closeCode.policyViolation, closeCode.tooBig, closeCode.mandatoryExtension
])

/** At the server: whether the session ends with its wire. If not, its client may come back. @param code of the client's close frame; 1005: it had none, 1006: there was no close frame */
export const endsSession = (code: number): boolean => code === closeCode.normal || code >= 3500 || wrong.has(code)

/** At the client: whether the session may still be there, and its token good. */
export const keepsToken = (code: number): boolean =>
  code === REPLACED || (code < 3000 && code !== closeCode.internalError && code !== closeCode.tooBig && nextOf(code) === 'back')
