// `peer.js LIBRARY URL`: holds one lock at a time with a published library, as told on its input.
// The protocol is in ../README.md.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

// All of them through CommonJS: the ES module of redlock 5 can't be imported by name.
const require = createRequire(import.meta.url)
const { Redis } = require('ioredis')
const { Mutex } = require('redis-semaphore')

// For how long a try that failed is followed by a pause, in redlock's own default.
const RETRY = { delay: 200, jitter: 100 }

function refuse(ttl, renewed) {
  if (!ttl) throw new Error('every lock of the library expires')
  if (renewed) throw new Error('the library renews only around a function')
}

// A wait as the number of tries that redlock counts in.
const retries = wait => Math.ceil(wait / RETRY.delay)

class Redlock5 {
  static package = 'redlock'
  #redlock
  #lock

  constructor(client) {
    const { default: Redlock } = require('redlock')
    this.#redlock = new Redlock([client])
  }

  async acquire(name, ttl, wait, renewed) {
    refuse(ttl, renewed)
    const settings = { retryCount: retries(wait), retryDelay: RETRY.delay, retryJitter: RETRY.jitter }
    try {
      this.#lock = await this.#redlock.acquire([name], ttl, settings)
    } catch (error) {
      await refusal(error)
      return false
    }
    return true
  }

  async release() {
    return await said(this.#redlock.release(this.#lock, { retryCount: 0 }))
  }

  async extend(ttl) {
    try {
      this.#lock = await this.#redlock.extend(this.#lock, ttl, { retryCount: 0 })
    } catch (error) {
      await refusal(error)
      return false
    }
    return true
  }
}

class Redlock4 {
  static package = 'redlock-4'
  #client
  #lock

  constructor(client) {
    this.#client = client
  }

  async acquire(name, ttl, wait, renewed) {
    refuse(ttl, renewed)
    const Redlock = require('redlock-4')
    const tries = { retryCount: retries(wait), retryDelay: RETRY.delay, retryJitter: RETRY.jitter }
    const redlock = new Redlock([this.#client], tries)
    let failure
    redlock.on('clientError', error => (failure = error))
    try {
      this.#lock = await redlock.lock(name, ttl)
    } catch (error) {
      if (error.name !== 'LockError' || failure) throw failure ?? error
      return false
    }
    return true
  }

  async release() {
    return await said(this.#lock.unlock())
  }

  async extend(ttl) {
    return await said(this.#lock.extend(ttl))
  }
}

class RedisSemaphore {
  static package = 'redis-semaphore'
  #client
  #mutex

  constructor(client) {
    this.#client = client
  }

  async acquire(name, ttl, wait, renewed) {
    if (!ttl) throw new Error('every lock of the library expires')
    this.#mutex = new Mutex(this.#client, name, {
      lockTimeout: ttl,
      // A limit of tries ends a wait of none; `acquireTimeout` 0 would not try at all.
      acquireTimeout: wait || 60_000,
      acquireAttemptsLimit: wait ? Number.POSITIVE_INFINITY : 1,
      ...(renewed ? {} : { refreshInterval: 0 }),
      // Not an unhandled rejection, the default: a lost lock is an answer here.
      onLockLost: () => {},
    })
    return await this.#mutex.tryAcquire()
  }

  // It says nothing about whether the lock was still its own.
  async release() {
    const known = this.#mutex.isAcquired
    await this.#mutex.release()
    return known ? undefined : false
  }

  async extend() {
    throw new Error('the library extends only by its own renewal')
  }
}

// Whether the library's promise, which rejects for a lock that isn't ours, was kept.
async function said(promise) {
  try {
    await promise
  } catch (error) {
    await refusal(error)
    return false
  }
  return true
}

// Throws what is no refusal by the server's word but a failure to ask it. Redlock 5 wraps both alike
// and keeps the reasons in the votes of the attempts.
async function refusal(error) {
  if (!['ExecutionError', 'LockError'].includes(error.name)) throw error
  if (!Array.isArray(error.attempts)) return
  for (const attempt of error.attempts) {
    for (const reason of (await attempt).votesAgainst.values()) {
      if (reason.name !== 'ResourceLockedError') throw reason
    }
  }
}

async function obey(peer, [command, ...rest]) {
  if (command === 'acquire') {
    const [name, ttl, wait, renewed] = rest
    return (await peer.acquire(name, +ttl, +wait, renewed === 'renewed')) ? 'held' : 'busy'
  }
  if (command === 'release') {
    const ours = await peer.release()
    return ours === undefined ? 'told' : ours ? 'released' : 'not-held'
  }
  if (command === 'extend') {
    return (await peer.extend(+rest[0])) ? 'extended' : 'not-held'
  }
  throw new Error(`unknown: ${command}`)
}

const libraries = {
  'node-redlock': Redlock5,
  'node-redlock-4': Redlock4,
  'redis-semaphore': RedisSemaphore,
}
const [library, url] = process.argv.slice(2)
const Library = libraries[library]
const client = new Redis(url)
await client.ping()
const peer = new Library(client)
const { dependencies } = require('./package.json')
console.log(`ready ${dependencies[Library.package].replace(/.*@/, '')}`)
for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    answer = await obey(peer, line.split(' '))
  } catch (error) {
    answer = `error ${error.name}: ${error.message}`.replaceAll('\n', ' ')
  }
  console.log(answer)
}
process.exit(0)
