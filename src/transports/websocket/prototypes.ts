/**
 * What can be found out of a WebSocket class by its prototype.
 */
import { EventEmitter } from 'node:events'
import type WebSocket from 'ws'

/** The prototype of the class that ws itself has made. */
export function rootOf (prototype: WebSocket): WebSocket {
  const parent = Object.getPrototypeOf(prototype)
  return parent === EventEmitter.prototype ? prototype : rootOf(parent)
}

/** A getter or setter, wherever in the chain it is. @throws TypeError if it is nowhere */
export function findAccessor (object: object, name: string): PropertyDescriptor {
  for (let holder: object | null = object; holder !== null; holder = Object.getPrototypeOf(holder)) {
    const accessor = Object.getOwnPropertyDescriptor(holder, name)
    if (accessor !== undefined) return accessor
  }
  throw new TypeError(`the WebSocket class of the server has no ${name}`)
}
