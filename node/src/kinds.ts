/**
 * The kinds of lock, each as a description that may be taken again and by many at once. Nothing is asked
 * of the store before it is taken.
 */

import { inspect } from "node:util";

import { flag, maybeSeconds, options, ownerNumber, signalOf, text, whole } from "./convert.js";
import { fromFailure, invalid, shown } from "./errors.js";
import type { LockError } from "./errors.js";
import { Lease } from "./lease.js";
import { State, Word } from "./native.js";
import type { AdaptiveTtl, Asked, Attempt, Client, Source } from "./native.js";
import type { LockOptions, ReleaseState, TryOptions } from "./plain.js";
import * as post from "./post.js";

const TRY_OPTIONS = ["ttl", "renew", "maxHold", "owner", "note", "signal"];
export const TRY_KNOWN: ReadonlySet<string> = new Set(TRY_OPTIONS);
export const KNOWN: ReadonlySet<string> = new Set([
  ...TRY_OPTIONS,
  "wait",
  "priority",
  "deadlockPriority",
  "order",
]);

const MOST = 2 ** 32 - 1;

/** What is done under a lock. */
export type Body<T> = (lease: Lease) => T | PromiseLike<T>;

/** How a lock is to be held; absent: alone. */
interface How {
  readonly shared?: boolean;
  readonly permits?: number;
  readonly capacity?: number;
}

/** A lock to be taken, or a part of one. */
export class Lock {
  /** The lock's name. */
  readonly name: string;
  readonly #client: Source;
  readonly #how: How;

  /** @internal */
  constructor(client: Source, name: string, how: How = {}) {
    this.#client = client;
    this.name = name;
    this.#how = how;
  }

  /** Takes it; see `client.acquire`. */
  acquire(options?: LockOptions): Promise<Lease> {
    // An attempt that waits has a lease or an error.
    return this.#take(false, options) as Promise<Lease>;
  }

  /** Takes it if that needs no wait; null otherwise. */
  tryAcquire(options?: TryOptions): Promise<Lease | null> {
    return this.#take(true, options);
  }

  /** Runs `body` under it and gives it back; see `client.withLock`. */
  withLock<T>(body: Body<T>): Promise<T>;
  withLock<T>(options: LockOptions | undefined, body: Body<T>): Promise<T>;
  async withLock<T>(
    optionsOrBody: LockOptions | Body<T> | undefined,
    bodyOrNothing?: Body<T>,
  ): Promise<T> {
    const [options, body] = bodyOf<LockOptions, Body<T>>(optionsOrBody, bodyOrNothing);
    return under(await this.acquire(options), options, body);
  }

  /** @internal */
  [inspect.custom](): string {
    return `<Lock ${JSON.stringify(this.name)}>`;
  }

  async #take(tryOnly: boolean, given: LockOptions | undefined): Promise<Lease | null> {
    const { name } = this;
    const asked = options(given, tryOnly ? TRY_KNOWN : KNOWN);
    const signal = signalOf(asked.signal);
    signal?.throwIfAborted();
    const all = this.#asked(asked);
    const key = post.newKey();
    const begun = this.#client.attempt(
      name,
      tryOnly,
      all.shared,
      all.permits,
      all.capacity,
      all.ttl,
      maybeSeconds("wait", asked.wait),
      all.fixedTerm,
      all.maxHold,
      all.owner,
      all.priority,
      all.note,
      all.order,
      all.deadlockPriority,
      post.mailbox,
      key,
    );
    // As `taken`, without a promise of its own.
    const done = Array.isArray(begun);
    const attempt = done ? begun[0] : begun;
    const word = done ? undefined : await post.come(key, attempt, [signal]);
    return isHeld(attempt, word, signal, name) ? new Lease(name, attempt) : null;
  }

  /** @internal What is asked for, where it is one of several locks of `client`. */
  askedWith(client: Client, given: LockOptions): Asked {
    if (client !== this.#client) {
      throw invalid(`lock ${JSON.stringify(this.name)} is of another client`);
    }
    return this.#asked(given);
  }

  /** @internal Starts a try with what `adaptive` chooses. */
  attemptWith(adaptive: AdaptiveTtl, given: LockOptions): Attempt {
    return this.#client.attemptAdaptive(this.#asked(given), adaptive);
  }

  #asked(given: LockOptions): Asked {
    const { shared = false, permits, capacity = 0 } = this.#how;
    return {
      name: text("the lock name", this.name),
      shared,
      permits,
      capacity,
      ttl: maybeSeconds("ttl", given.ttl),
      fixedTerm: !flag("renew", given.renew ?? true),
      maxHold: maybeSeconds("maxHold", given.maxHold),
      owner: ownerNumber(given.owner),
      priority: rank("priority", given.priority ?? 0),
      note: text("note", given.note ?? ""),
      order: given.order === undefined ? undefined : text("order", given.order),
      deadlockPriority:
        given.deadlockPriority === undefined
          ? undefined
          : rank("deadlockPriority", given.deadlockPriority),
    };
  }
}

function rank(what: string, value: number): number {
  return whole(what, value, -(2 ** 31), 2 ** 31 - 1);
}

/** Whether `attempt` came to be held; an error if it failed or `signal` was aborted. */
export async function taken(
  attempt: Attempt,
  signal: AbortSignal | undefined,
  name: string,
): Promise<boolean> {
  return isHeld(attempt, await post.settled(attempt, [signal]), signal, name);
}

/** The same once it is settled, with the `word` that came of it. */
function isHeld(
  attempt: Attempt,
  word: number | undefined,
  signal: AbortSignal | undefined,
  name: string,
): boolean {
  if (signal?.aborted === true) {
    // Granted or not: what the caller will never see is given back.
    attempt.cancel();
    throw signal.reason;
  }
  const state = word === Word.held ? State.held : attempt.poll();
  const failure = state === State.held ? null : attempt.failure();
  if (failure !== null) {
    throw fromFailure(failure, name);
  }
  return state === State.held;
}

/** The options and the body, of which the first may have been left out. */
export function bodyOf<O, B>(optionsOrBody: O | B | undefined, body?: B): [O | undefined, B] {
  const [options, found] =
    typeof optionsOrBody === "function" ? [undefined, optionsOrBody] : [optionsOrBody, body];
  if (typeof found !== "function") {
    throw new TypeError(`the body is ${shown(found)}: a function is needed`);
  }
  return [options as O | undefined, found as B];
}

/** Runs `body` under `lease`, or leases, and gives back what is held. */
export async function under<L extends Held, T>(
  lease: L,
  options: { readonly signal?: AbortSignal | undefined } | undefined,
  body: (lease: L) => T | PromiseLike<T>,
): Promise<T> {
  let result: T;
  try {
    // Aborted after the grant, before the body began.
    options?.signal?.throwIfAborted();
    result = await body(lease);
  } catch (error) {
    await lease.release().catch(() => undefined);
    throw error;
  }
  if ((await lease.release()) === "lost") {
    throw lease.loss();
  }
  return result;
}

interface Held {
  release(): Promise<ReleaseState>;
  loss(): LockError;
}

/**
 * A lock that many may hold to read, or one to write, from `client.rwlock(name)`.
 *
 * Neither readers nor writers starve: a reader that comes while a writer waits queues behind it, and when
 * a writer ends, all readers that waited go together.
 */
export class RwLock {
  /** The lock's name. */
  readonly name: string;
  readonly #client: Source;

  /** @internal */
  constructor(client: Source, name: string) {
    this.#client = client;
    this.name = name;
  }

  /** To be held together with other readers. */
  read(): Lock {
    return new Lock(this.#client, this.name, { shared: true });
  }

  /** To be held alone; the same as `client.lock` of the name. */
  write(): Lock {
    return new Lock(this.#client, this.name);
  }
}

/**
 * So many permits, of which each holder has some for as long as its lease lasts, from
 * `client.semaphore(name, capacity)`.
 *
 * How many there are is part of each request. While anyone holds permits or waits for them, a request
 * with another number is an `InvalidInputError`; once all are free nothing is remembered. `resize` changes
 * the number, also while it is in use.
 */
export class Semaphore {
  /** The semaphore's name. */
  readonly name: string;
  /** How many permits there are. */
  readonly capacity: number;
  readonly #client: Source;

  /** @internal */
  constructor(client: Source, name: string, capacity: number) {
    this.#client = client;
    this.name = name;
    this.capacity = whole("capacity", capacity, 0, MOST);
  }

  /**
   * `count` permits (1), granted and given back together. Granted by arrival: while a request does not
   * fit, none behind it is granted. Taking none, or more than there are, is an `InvalidInputError`.
   */
  permits(count = 1): Lock {
    const permits = whole("permits", count, 0, MOST);
    return new Lock(this.#client, this.name, { permits, capacity: this.capacity });
  }

  /**
   * Changes how many permits there are, from `capacity` to `permits`, also while some are held, and says the
   * number of the change. Those who hold permits keep them, also beyond a smaller number; those who wait go
   * on waiting, and who fits now is granted at once; who waits for more than there are any more is refused.
   *
   * Programs that still say the former number mean the new one from here on. That is remembered until none
   * of them has said it for a day; until then a request with any other number is an `InvalidInputError`,
   * which names the right one.
   *
   * Rejects with `InvalidInputError` where there is another number of permits than `capacity`: of two changes
   * at once one is refused. After a `StoreUnavailableError` it may have taken place; to ask again is safe.
   */
  async resize(permits: number): Promise<number> {
    const many = whole("permits", permits, 0, MOST);
    return post.finish(this.#client.resize(this.name, this.capacity, many), this.name);
  }
}
