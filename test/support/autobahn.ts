/**
 * The cases of the Autobahn test suite (github.com/crossbario/autobahn-testsuite) for an echo server, by
 * their numbers there: what a client sends, and what it has to get. Without 12 and 13, which are about
 * compression. Those of 9 and 10 are smaller here: 1 MiB at most.
 */
import { closeFrame, frame, opcode } from './frames.js'
import type { Wrongs } from './frames.js'

export interface Case {
  number: string
  /** A sentence about the server. */
  says: string
  /** Bytes, and numbers: go on when so many messages and pongs have come. */
  sends: Array<Buffer | number>
  /** A turn of the loop after each of `sends`, or after each so many bytes; by default after none. */
  chops?: 'frames' | number
  gets: Array<[kind: 'text' | 'binary' | 'pong', data: string | Buffer]>
  /**
   * The code of the server's close frame, where the client does not close with 1000 when it has got all:
   * because the client's close frame is among what it sends, or because it has done wrong.
   */
  code?: number
  /** What is sent is sent, and echoed, so many times, one after the other. */
  times?: number
}

const { continuation, text, binary, close, ping, pong } = opcode
const PROTOCOL = 1002
const PAYLOAD = 1007
const KIB = 1024
const MIB = KIB * KIB

const part = (code: number, payload: string | Buffer = ''): Buffer => frame(code, payload, { fin: false })

/** A message in fragments of so many bytes. */
function fragments (code: number, payload: Buffer, size: number): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < payload.length; at += size) {
    frames.push(frame(at === 0 ? code : continuation, payload.subarray(at, at + size), { fin: at + size >= payload.length }))
  }
  return frames
}

const repeat = (unit: string | Buffer, length: number): Buffer => Buffer.alloc(length, unit)

const number = (chapter: string, index: number): string => `${chapter}.${index + 1}`

const sizes = [0, 125, 126, 127, 128, 65_535, 65_536, 65_536]

const echoes = ([['1.1', text, 'text', '*'], ['1.2', binary, 'binary', '\xfe']] as const).flatMap(([chapter, code, kind, unit]) => sizes.map((size, i): Case => {
  const payload = repeat(Buffer.from(unit, 'latin1'), size)
  return {
    number: number(chapter, i),
    says: `a ${kind} message of ${size} bytes${i === 7 ? ', which comes in chops of 997,' : ''} is echoed`,
    sends: [frame(code, payload)],
    gets: [[kind, payload]],
    ...(i === 7 && { chops: 997 })
  }
}))

const tenPings = Array.from({ length: 10 }, (_, i) => `payload-${i}`)
const noText = Buffer.from('00fffefdfcfb00ff', 'hex')

const pings: Case[] = [
  { number: '2.1', says: 'a ping without payload is answered', sends: [frame(ping)], gets: [['pong', '']] },
  { number: '2.2', says: 'a ping with text is answered with it', sends: [frame(ping, 'Hello, world!')], gets: [['pong', 'Hello, world!']] },
  { number: '2.3', says: 'a ping with bytes that are no UTF-8 is answered with them', sends: [frame(ping, noText)], gets: [['pong', noText]] },
  { number: '2.4', says: 'a ping of 125 bytes is answered with them', sends: [frame(ping, repeat(Buffer.from([0xfe]), 125))], gets: [['pong', repeat(Buffer.from([0xfe]), 125)]] },
  { number: '2.5', says: 'a ping of 126 bytes fails the connection', sends: [frame(ping, repeat(Buffer.from([0xfe]), 126))], gets: [], code: PROTOCOL },
  { number: '2.6', says: 'a ping of 125 bytes that comes byte by byte is answered with them', sends: [frame(ping, repeat(Buffer.from([0xfe]), 125))], chops: 1, gets: [['pong', repeat(Buffer.from([0xfe]), 125)]] },
  { number: '2.7', says: 'a pong that nobody asked for is not answered', sends: [frame(pong)], gets: [] },
  { number: '2.8', says: 'a pong with payload that nobody asked for is not answered', sends: [frame(pong, 'unsolicited pong payload')], gets: [] },
  { number: '2.9', says: 'after a pong that nobody asked for a ping is answered', sends: [frame(pong, 'unsolicited pong payload'), frame(ping, 'ping payload')], gets: [['pong', 'ping payload']] },
  { number: '2.10', says: 'ten pings are answered in their order', sends: tenPings.map((one) => frame(ping, one)), gets: tenPings.map((one) => ['pong', one]) },
  { number: '2.11', says: 'ten pings that come byte by byte are answered in their order', sends: tenPings.map((one) => frame(ping, one)), chops: 1, gets: tenPings.map((one) => ['pong', one]) }
]

const HELLO = 'Hello, world!'

/** Something that fails the connection; from 2 on after a message that is echoed, and before a ping that is not answered. */
const wrong = (number: string, what: string, bytes: Buffer, { after = false, chops }: { after?: boolean, chops?: 'frames' | number } = {}): Case => ({
  number,
  says: `${what} fails the connection${after ? ', the message before it is echoed and the ping after it not answered' : ''}`,
  sends: after ? [frame(text, HELLO), bytes, frame(ping)] : [bytes],
  gets: after ? [['text', HELLO]] : [],
  code: PROTOCOL,
  ...(chops !== undefined && { chops })
})

const reserved = (code: number, rsv: number, payload: string | Buffer = ''): Buffer => frame(code, payload, { rsv } satisfies Wrongs)

const reservedBits: Case[] = [
  wrong('3.1', 'a text with RSV 1', reserved(text, 1, HELLO)),
  wrong('3.2', 'a text with RSV 2', reserved(text, 2, HELLO), { after: true }),
  wrong('3.3', 'a text with RSV 3, frame by frame,', reserved(text, 3, HELLO), { after: true, chops: 'frames' }),
  wrong('3.4', 'a text with RSV 4, byte by byte,', reserved(text, 4, HELLO), { after: true, chops: 1 }),
  wrong('3.5', 'a binary message with RSV 5', reserved(binary, 5, noText)),
  wrong('3.6', 'a ping with RSV 6', reserved(ping, 6, HELLO)),
  wrong('3.7', 'a close frame with RSV 7', reserved(close, 7))
]

const reservedOpcodes: Case[] = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((code, i) => {
  const payload = i % 5 === 1 || i % 5 > 2 ? 'reserved opcode payload' : ''
  return wrong(number(i < 5 ? '4.1' : '4.2', i % 5), `a frame with opcode ${code}${payload === '' ? '' : ' and payload'}`, frame(code, payload), { after: i % 5 > 1 })
})

const two: Buffer[] = [part(text, 'fragment1'), frame(continuation, 'fragment2')]
const joined: Case['gets'] = [['text', 'fragment1fragment2']]
const pinged: Buffer[] = [part(text, 'fragment1'), frame(ping, 'ping payload'), frame(continuation, 'fragment2')]
const five = Array.from({ length: 5 }, (_, i) => `fragment${i + 1}`)

/** A wrong continuation, in the three ways in which bytes may come. */
const strays = (first: number, fin: boolean): Case[] => ([undefined, 'frames', 1] as const).map((chops, i) => ({
  number: `5.${first + i}`,
  says: `a continuation (FIN ${Number(fin)}) of nothing fails the connection${chops === undefined ? '' : chops === 1 ? ', byte by byte' : ', frame by frame'}`,
  sends: [frame(continuation, 'non-continuation payload', { fin }), frame(text, HELLO)],
  gets: [],
  code: PROTOCOL,
  ...(chops !== undefined && { chops })
}))

const fragmentation: Case[] = [
  { number: '5.1', says: 'a ping in two fragments fails the connection', sends: [part(ping, 'fragment1'), frame(continuation, 'fragment2')], gets: [], code: PROTOCOL },
  { number: '5.2', says: 'a pong in two fragments fails the connection', sends: [part(pong, 'fragment1'), frame(continuation, 'fragment2')], gets: [], code: PROTOCOL },
  { number: '5.3', says: 'a text in two fragments is echoed', sends: two, gets: joined },
  { number: '5.4', says: 'a text in two fragments is echoed, frame by frame', sends: two, gets: joined, chops: 'frames' },
  { number: '5.5', says: 'a text in two fragments is echoed, byte by byte', sends: two, gets: joined, chops: 1 },
  { number: '5.6', says: 'a ping between two fragments is answered, and the text echoed', sends: pinged, gets: [['pong', 'ping payload'], ...joined] },
  { number: '5.7', says: 'a ping between two fragments is answered, and the text echoed, frame by frame', sends: pinged, gets: [['pong', 'ping payload'], ...joined], chops: 'frames' },
  { number: '5.8', says: 'a ping between two fragments is answered, and the text echoed, byte by byte', sends: pinged, gets: [['pong', 'ping payload'], ...joined], chops: 1 },
  ...strays(9, true),
  ...strays(12, false),
  { number: '5.15', says: 'a text in two fragments is echoed, and a continuation of nothing after it fails the connection', sends: [...two, part(continuation, 'fragment3'), frame(text, 'fragment4')], gets: joined, code: PROTOCOL },
  ...[false, true].map((fin, i): Case => ({
    number: `5.${16 + i}`,
    says: `a continuation (FIN ${Number(fin)}) of nothing before each of two texts in fragments fails the connection`,
    sends: [1, 2].flatMap(() => [frame(continuation, 'fragment1', { fin }), part(text, 'fragment2'), frame(continuation, 'fragment3')]),
    gets: [],
    code: PROTOCOL
  })),
  { number: '5.18', says: 'a second fragment that begins a message fails the connection', sends: [part(text, 'fragment1'), frame(text, 'fragment2')], gets: [], code: PROTOCOL },
  ...([undefined, 'frames'] as const).map((chops, i): Case => ({
    number: `5.${19 + i}`,
    says: `pings among five fragments are answered at once, and the text echoed${chops === undefined ? '' : ', frame by frame'}`,
    sends: [
      part(text, five[0]), part(continuation, five[1]), frame(ping, 'pongme 1!'), 1,
      part(continuation, five[2]), part(continuation, five[3]), frame(ping, 'pongme 2!'), frame(continuation, five[4])
    ],
    gets: [['pong', 'pongme 1!'], ['pong', 'pongme 2!'], ['text', five.join('')]],
    ...(chops !== undefined && { chops })
  }))
]

// 7.7 and 7.9
const goodCodes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
const badCodes = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]
const notUtf8 = Buffer.from('cebae1bdb9cf83cebcceb5eda080656469746564', 'hex')
const data = repeat('BAsd7&jh23', 256 * KIB)

const closing: Case[] = [
  { number: '7.1.1', says: 'a message is echoed, and a close frame after it answered', sends: [frame(text, 'Hello World!')], gets: [['text', 'Hello World!']] },
  { number: '7.1.2', says: 'a second close frame is ignored', sends: [closeFrame(1000), closeFrame()], gets: [], code: 1000 },
  { number: '7.1.3', says: 'a ping after a close frame is not answered', sends: [closeFrame(1000), frame(ping)], gets: [], code: 1000 },
  { number: '7.1.4', says: 'a text after a close frame is not echoed', sends: [closeFrame(1000), frame(text, 'Hello World!')], gets: [], code: 1000 },
  { number: '7.1.5', says: 'a close frame between two fragments is answered', sends: [part(text, 'fragment1'), closeFrame(1000), frame(continuation, 'fragment2')], gets: [], code: 1000 },
  { number: '7.1.6', says: 'what came before a close frame in the same chop is echoed before the answer', sends: [frame(text, data), frame(text, 'Hello World!'), closeFrame(1000), frame(ping)], gets: [['text', data], ['text', 'Hello World!']], code: 1000 },
  { number: '7.3.1', says: 'a close frame without a code is answered without one', sends: [closeFrame()], gets: [], code: 1005 },
  { number: '7.3.2', says: 'a close frame with half a code fails the connection', sends: [frame(close, 'a')], gets: [], code: PROTOCOL },
  { number: '7.3.3', says: 'a close frame with a code is answered with it', sends: [closeFrame(1000)], gets: [], code: 1000 },
  { number: '7.3.4', says: 'a close frame with a code and a reason is answered with the code', sends: [closeFrame(1000, 'Hello World!')], gets: [], code: 1000 },
  { number: '7.3.5', says: 'a close frame with a reason of 123 bytes is answered', sends: [closeFrame(1000, '*'.repeat(123))], gets: [], code: 1000 },
  { number: '7.3.6', says: 'a close frame with a reason of 124 bytes fails the connection', sends: [closeFrame(1000, '*'.repeat(124))], gets: [], code: PROTOCOL },
  { number: '7.5.1', says: 'a close frame whose reason is no UTF-8 fails the connection', sends: [closeFrame(1000, notUtf8)], gets: [], code: PAYLOAD },
  ...goodCodes.map((code, i): Case => ({ number: number('7.7', i), says: `close code ${code} is answered with it`, sends: [closeFrame(code)], gets: [], code })),
  ...badCodes.map((code, i): Case => ({ number: number('7.9', i), says: `close code ${code} fails the connection`, sends: [closeFrame(code)], gets: [], code: PROTOCOL })),
  // Autobahn expects nothing certain of these two.
  ...[5000, 65_535].map((code, i): Case => ({ number: number('7.13', i), says: `close code ${code} fails the connection`, sends: [closeFrame(code)], gets: [], code: PROTOCOL }))
]

const kinds = [[text, 'text', repeat('BAsd7&jh23', MIB)], [binary, 'binary', repeat(Buffer.from('00fe23faf0', 'hex'), MIB)]] as const

const limits: Case[] = kinds.flatMap(([code, kind, whole], k): Case[] => [
  ...[64 * KIB, 256 * KIB, MIB].map((size, i): Case => {
    const payload = whole.subarray(0, size)
    return { number: number(`9.${k + 1}`, i), says: `a ${kind} message of ${size / KIB} KiB is echoed`, sends: [frame(code, payload)], gets: [[kind, payload]] }
  }),
  ...[64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB].map((size, i): Case => ({
    number: number(`9.${k + 3}`, i), says: `a ${kind} message of 1 MiB in fragments of ${size} bytes is echoed`, sends: fragments(code, whole, size), gets: [[kind, whole]]
  })),
  ...[64, 128, 256, 512, KIB, 2 * KIB].map((chops, i): Case => {
    // A turn of the loop each: not as many as in 1 MiB.
    const payload = whole.subarray(0, chops * 1024)
    return { number: number(`9.${k + 5}`, i), says: `a ${kind} message of ${chops} KiB that comes in chops of ${chops} bytes is echoed`, sends: [frame(code, payload)], gets: [[kind, payload]], chops }
  }),
  ...[0, 16, 64, 256, KIB, 4 * KIB].map((size, i): Case => {
    const payload = whole.subarray(0, size)
    return { number: number(`9.${k + 7}`, i), says: `a hundred ${kind} messages of ${size} bytes are echoed one after the other`, sends: [frame(code, payload)], gets: [[kind, payload]], times: 100 }
  })
])

const stars = repeat('*', 65_536)

export const cases: Case[] = [
  ...echoes, ...pings, ...reservedBits, ...reservedOpcodes, ...fragmentation, ...closing, ...limits,
  { number: '10.1.1', says: 'a text of 65,536 bytes in fragments of 1,300 is echoed', sends: fragments(text, stars, 1300), gets: [['text', stars]] }
]
