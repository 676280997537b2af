/**
 * Chapter 6 of the Autobahn test suite: what is UTF-8, and what is not. (ws looks at a message when it is
 * complete: where the suite would have it fail sooner, in 6.4, it also allows that.)
 */
import type { Case } from './autobahn.js'
import { frame, opcode } from './frames.js'

const { continuation, text } = opcode
const INVALID = 1007

/** κόσμε */
const greek = 'cebae1bdb9cf83cebcceb5'
const beyond = 'f4908080'
const edited = '656469746564'
const hex = (digits: string): Buffer => Buffer.from(digits, 'hex')

/** Each byte a frame. */
function bytewise (payload: Buffer): Buffer[] {
  return Array.from(payload, (byte, i) => frame(i === 0 ? text : continuation, Buffer.from([byte]), { fin: i === payload.length - 1 }))
}

const greeting = 'Hello-µ@ßöäüàá-UTF-8!!'
const wrong = hex(greek + beyond + edited)
const wrongFrame = frame(text, wrong)
/** Where the payload begins. */
const header = wrongFrame.length - wrong.length

const fragments: Case[] = [
  { number: '6.1.1', says: 'an empty text is echoed', sends: [frame(text)], gets: [['text', '']] },
  { number: '6.1.2', says: 'a text of three empty fragments is echoed', sends: [frame(text, '', { fin: false }), frame(continuation, '', { fin: false }), frame(continuation)], gets: [['text', '']] },
  { number: '6.1.3', says: 'a text of three fragments, of which the middle one alone is not empty, is echoed', sends: [frame(text, '', { fin: false }), frame(continuation, 'middle frame payload', { fin: false }), frame(continuation)], gets: [['text', 'middle frame payload']] },
  { number: '6.2.1', says: 'a text of several bytes a character is echoed', sends: [frame(text, greeting)], gets: [['text', greeting]] },
  { number: '6.2.2', says: 'a text in fragments that end between characters is echoed', sends: [frame(text, greeting.slice(0, 11), { fin: false }), frame(continuation, greeting.slice(11))], gets: [['text', greeting]] },
  { number: '6.2.3', says: 'a text in fragments that end within characters is echoed', sends: bytewise(Buffer.from(greeting)), gets: [['text', greeting]] },
  { number: '6.2.4', says: 'a Greek text in fragments that end within characters is echoed', sends: bytewise(hex(greek)), gets: [['text', hex(greek)]] },
  { number: '6.3.1', says: 'a text with a surrogate in it fails the connection', sends: [frame(text, hex(`${greek}eda080${edited}`))], gets: [], code: INVALID },
  { number: '6.3.2', says: 'a text with a surrogate in it fails the connection, also in fragments of one byte', sends: bytewise(hex(`${greek}eda080${edited}`)), gets: [], code: INVALID },
  { number: '6.4.1', says: 'a text beyond U+10FFFF in its second fragment fails the connection', sends: [frame(text, wrong.subarray(0, 11), { fin: false }), frame(continuation, wrong.subarray(11, 15), { fin: false }), frame(continuation, wrong.subarray(15))], chops: 'frames', gets: [], code: INVALID },
  { number: '6.4.2', says: 'a text that the one byte of its second fragment makes wrong fails the connection', sends: [frame(text, wrong.subarray(0, 12), { fin: false }), frame(continuation, wrong.subarray(12, 13), { fin: false }), frame(continuation, wrong.subarray(13))], chops: 'frames', gets: [], code: INVALID },
  { number: '6.4.3', says: 'a text beyond U+10FFFF in its second chop fails the connection', sends: [wrongFrame.subarray(0, header + 11), wrongFrame.subarray(header + 11, header + 15), wrongFrame.subarray(header + 15)], chops: 'frames', gets: [], code: INVALID },
  { number: '6.4.4', says: 'a text that the one byte of its second chop makes wrong fails the connection', sends: [wrongFrame.subarray(0, header + 12), wrongFrame.subarray(header + 12, header + 13), wrongFrame.subarray(header + 13)], chops: 'frames', gets: [], code: INVALID }
]

type Sequence = [valid: boolean, digits: string]
const good = (...list: string[]): Sequence[] => list.map((digits) => [true, digits])
const bad = (...list: string[]): Sequence[] => list.map((digits) => [false, digits])

const span = (from: number, to: number, after = ''): string => {
  let digits = ''
  for (let byte = from; byte < to; byte++) digits += byte.toString(16) + after
  return digits
}

const incomplete = ['c0', 'e080', 'f08080', 'f8808080', 'fc80808080', 'df', 'efbf', 'f7bfbf', 'fbbfbfbf', 'fdbfbfbfbf']

const nonCharacters = ['efbfbe', 'efbfbf']
for (const first of ['f0', 'f1', 'f2', 'f3', 'f4']) {
  for (const second of ['8f', '9f', 'af', 'bf']) {
    // U+FFFE and U+FFFF have shorter forms; the others would be beyond U+10FFFF.
    if (first === 'f4' ? second !== '8f' : first === 'f0' && second === '8f') continue
    nonCharacters.push(`${first}${second}bfbe`, `${first}${second}bfbf`)
  }
}

/** From Markus Kuhn's UTF-8 decoder stress test, as the suite has it; 6.5 is the first. */
const chapters: Sequence[][] = [
  good('68656c6c6f24776f726c64', '68656c6c6fc2a2776f726c64', '68656c6c6fe282ac776f726c64', '68656c6c6ff0a4ada2776f726c64', greek),
  // All its prefixes: whole after 2, 5, 7, 9 and 11 bytes.
  Array.from({ length: 11 }, (_, i): Sequence => [[2, 5, 7, 9, 11].includes(i + 1), greek.slice(0, 2 * (i + 1))]),
  good('00', 'c280', 'e0a080', 'f0908080'),
  bad('f888808080', 'fc8480808080'),
  good('7f', 'dfbf', 'efbfbf', 'f48fbfbf'),
  bad('f7bfbfbf', 'fbbfbfbfbf', 'fdbfbfbfbfbf'),
  [...good('ed9fbf', 'ee8080', 'efbfbd', 'f48fbfbf'), ...bad('f4908080')],
  bad('80', 'bf', '80bf', '80bf80', '80bf80bf', '80bf80bf80', '80bf80bf80bf', span(0x80, 0xbf)),
  bad(span(0xc0, 0xdf, '20'), span(0xe0, 0xef, '20'), span(0xf0, 0xf7, '20'), span(0xf8, 0xfb, '20'), span(0xfc, 0xfd, '20')),
  bad(...incomplete),
  bad(incomplete.join('')),
  bad('fe', 'ff', 'fefeffff'),
  bad('c0af', 'e080af', 'f08080af', 'f8808080af', 'fc80808080af'),
  bad('c1bf', 'e09fbf', 'f08fbfbf', 'f887bfbfbf', 'fc83bfbfbfbf'),
  bad('c080', 'e08080', 'f0808080', 'f880808080', 'fc8080808080'),
  bad('eda080', 'edadbf', 'edae80', 'edafbf', 'edb080', 'edbe80', 'edbfbf'),
  bad('eda080edb080', 'eda080edbfbf', 'edadbfedb080', 'edadbfedbfbf', 'edae80edb080', 'edae80edbfbf', 'edafbfedb080', 'edafbfedbfbf'),
  good(...nonCharacters),
  good('efbfb9', 'efbfba', 'efbfbb', 'efbfbc', 'efbfbd', 'efbfbe', 'efbfbf')
]

const short = (digits: string): string => digits.length > 24 ? `${digits.slice(0, 24)}…` : digits

export const utf8Cases: Case[] = [...fragments, ...chapters.flatMap((chapter, c) => chapter.map(([valid, digits], i): Case => ({
  number: `6.${c + 5}.${i + 1}`,
  says: valid ? `${short(digits)} is UTF-8, and echoed` : `${short(digits)} is no UTF-8, and fails the connection`,
  sends: [frame(text, hex(digits))],
  gets: valid ? [['text', hex(digits)]] : [],
  ...(!valid && { code: INVALID })
})))]
