/**
 * Waiting for the native half: one mailbox for this thread, whose numbers arrive an array at a time.
 *
 * A call that somebody awaits keeps the process alive, as any pending request does. What may be told
 * of a lease does not: a program that has nothing else to do ends, and its locks are given back.
 */

import { Word, native } from "./native.js";
import type { Attempt, Call, Mailbox, Work } from "./native.js";
import { fromFailure } from "./errors.js";
import type { ReleaseState } from "./plain.js";

/** Whoever wants to hear of a loss. Held weakly: a registry must not keep a forgotten lease. */
export interface Listener {
  lost(): void;
}

const awaited = new Map<number, (word: number) => void>();
const listeners = new Map<number, WeakRef<Listener>>();
/** Where the native half puts the numbers that it was given. */
export const mailbox: Mailbox = new native.Mailbox(arrived);
// Does nothing but exist, while a call is awaited: the mailbox itself keeps nothing alive.
const alive = setInterval(() => {}, 2 ** 30).unref();
let lastKey = 0;

/** A number that was given to nobody yet. */
export function newKey(): number {
  return ++lastKey;
}

/** The result of `call`. */
export async function finish<T>(call: Call<T>, lock?: string): Promise<T> {
  // What is there at once is given from here, for the sake of the error's stack.
  const pending = done(call);
  if (pending !== undefined) {
    await pending;
  }
  const value = call.value();
  const failure = value === null ? call.failure() : null;
  if (failure !== null) {
    throw fromFailure(failure, lock);
  }
  return value as T;
}

/** The result of a `call` that only waits, which ends when one of `signals` is aborted. */
export async function waited<T>(
  call: Call<T>,
  lock: string,
  signals: readonly (AbortSignal | undefined)[],
): Promise<T> {
  await settled(call, signals);
  signals.forEach((signal) => signal?.throwIfAborted());
  return finish(call, lock);
}

/** Gives the lease of `attempt` back, which has begun when this returns; what became of it. */
export async function release(attempt: Attempt, lock: string): Promise<ReleaseState> {
  const key = ++lastKey;
  const word = attempt.release(mailbox, key) ?? (await told(key));
  if (word === Word.released) {
    return "released";
  }
  const released = mailbox.released(key);
  if (released !== null && typeof released !== "string") {
    throw fromFailure(released, lock);
  }
  // Without an answer nothing was ever held.
  return released ?? "lost";
}

/**
 * Resolves when `work` is done, or as soon as one of `signals` is aborted, which cancels it: a word of
 * `Word` or another number. Nothing, where it is done.
 */
export function settled(
  work: Attempt | Call<unknown>,
  signals: readonly (AbortSignal | undefined)[],
): Promise<number> | undefined {
  const key = ++lastKey;
  return work.notify(mailbox, key) ? come(key, work, signals) : undefined;
}

/** The same for `work` that was given `key` when it began. */
export function come(
  key: number,
  work: Attempt | Call<unknown>,
  signals: readonly (AbortSignal | undefined)[],
): Promise<number> {
  if (signals.every((signal) => signal === undefined)) {
    return told(key);
  }
  return new Promise((resolve) => {
    const end = (word: number): void => {
      signals.forEach((signal) => signal?.removeEventListener("abort", abort));
      resolve(word);
    };
    const abort = (): void => {
      rest(key);
      work.cancel();
      end(0);
    };
    expect(key, end);
    signals.forEach((signal) => signal?.addEventListener("abort", abort, { once: true }));
  });
}

/** Has `listener` told when the lease of `attempt` is lost; the number to give to `forget`. */
export function listen(attempt: Attempt, listener: Listener): number {
  const key = ++lastKey;
  listeners.set(key, new WeakRef(listener));
  attempt.onLost(mailbox, key);
  return key;
}

/** Has `listener` told when `work` is done; that keeps the process no more alive than a lease does. */
export function hear(work: Work, listener: Listener): void {
  const key = ++lastKey;
  if (work.notify(mailbox, key)) {
    listeners.set(key, new WeakRef(listener));
  } else {
    queueMicrotask(() => listener.lost());
  }
}

/** Tells a listener nothing any more. */
export function forget(key: number): void {
  listeners.delete(key);
}

/** Resolves when `work` is done; nothing, where it is. */
function done(work: Work): Promise<number> | undefined {
  const key = ++lastKey;
  return work.notify(mailbox, key) ? told(key) : undefined;
}

/** Resolves when `key` arrives, with the word beside it. */
function told(key: number): Promise<number> {
  return new Promise((resolve) => expect(key, resolve));
}

function expect(key: number, resolve: (word: number) => void): void {
  awaited.set(key, resolve);
  if (awaited.size === 1) {
    alive.ref();
  }
}

/** No longer expects `key`. */
function rest(key: number): void {
  awaited.delete(key);
  if (awaited.size === 0) {
    alive.unref();
  }
}

function arrived(numbers: number[]): void {
  for (const number of numbers) {
    const word = number % 8;
    const key = (number - word) / 8;
    const resolve = awaited.get(key);
    if (resolve !== undefined) {
      rest(key);
      resolve(word);
    } else if (key === 0) {
      mailbox.forgotten().forEach(warn);
    } else {
      const listener = listeners.get(key)?.deref();
      listeners.delete(key);
      listener?.lost();
    }
  }
}

/** Says that nobody gave a lease back, which has been done now. */
function warn(lock: string): void {
  process.emitWarning(`the lease of lock ${JSON.stringify(lock)} was never released`, {
    type: "LeaseWarning",
    code: "LEASEHOLD_FORGOTTEN",
  });
}
