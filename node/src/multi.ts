/** Several locks that are taken together: all or none, held and given back as one. */

import { inspect } from "node:util";

import { maybeSeconds, options, signalOf } from "./convert.js";
import { fromFailure, shown } from "./errors.js";
import type { LockError } from "./errors.js";
import { KNOWN, Lock, TRY_KNOWN, taken } from "./kinds.js";
import { Lease } from "./lease.js";
import { State } from "./native.js";
import type { Asked, Attempt, Client } from "./native.js";
import type { Duration, LockOptions, LostReason, ReleaseState, TryOptions } from "./plain.js";

/** One of several locks, with options of its own where they differ from the others'. */
export interface Wanted extends Omit<LockOptions, "signal" | "wait"> {
  /** Its name, or what `client.lock`, `rwlock(…).read()` or `semaphore(…).permits()` describes. */
  readonly lock: string | Lock;
}

/** What can be taken together with others. */
export type Lockable = string | Lock | Wanted;

/** What is done under several locks. */
export type BodyOfAll<T> = (leases: Leases) => T | PromiseLike<T>;

const OF_ONE = new Set([...KNOWN, "lock"].filter((name) => name !== "signal" && name !== "wait"));

/**
 * The leases of locks that were taken together, from `client.acquireAll()` or in the body of
 * `client.withAll()`: iterable, in the order of their list. `isHeld` is whether all are held, and `signal`
 * and `onLost` tell of the first that is lost.
 *
 * `await using leases = …` gives all of them back at the end of the block.
 */
export class Leases implements AsyncDisposable, Iterable<Lease> {
  /** The single leases, each with a fence of its own. */
  readonly each: readonly Lease[];
  readonly #all: Lease;

  /** @internal */
  constructor(names: readonly string[], attempt: Attempt) {
    const all = new Lease(names.join(", "), attempt);
    this.#all = all;
    this.each = attempt.each().map((one, index) => new Lease(names[index] ?? "", one, all));
  }

  /** How many they are. */
  get length(): number {
    return this.each.length;
  }

  [Symbol.iterator](): Iterator<Lease> {
    return this.each[Symbol.iterator]();
  }

  /** Whether all are held, as far as can be known here and now. */
  get isHeld(): boolean {
    return this.#all.isHeld;
  }

  /** Milliseconds for which `isHeld` stays true without a renewal; 0 when it is over. */
  get remaining(): number {
    return this.#all.remaining;
  }

  /** Why the first of them ended that did, if one ended before its release. */
  get lostReason(): LostReason | undefined {
    return this.#all.lostReason;
  }

  /** Aborted when one of them is lost; see `lease.signal`. */
  get signal(): AbortSignal {
    return this.#all.signal;
  }

  /** Calls `callback(reason)` once if one of them is lost; see `lease.onLost`. */
  onLost(callback: (reason: LostReason) => void): void {
    this.#all.onLost(callback);
  }

  /** Returns while at least `minRemaining` is left of each. Throws `LockLostError` otherwise. */
  check(minRemaining: Duration = 0): void {
    this.#all.check(minRemaining);
  }

  /** Changes the length of each to `ttl` and renews it now, one after the other. */
  async extend(ttl: Duration): Promise<void> {
    await this.#all.extend(ttl);
  }

  /** A sign of life for each of them. */
  touch(): void {
    this.#all.touch();
  }

  /**
   * Gives all of them back, in one request, and says what became of them: "lost" if one was lost, as for
   * one lease otherwise.
   */
  async release(): Promise<ReleaseState> {
    return this.#all.release();
  }

  /** The end of an `await using` block: `release()`, whatever became of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release().catch(() => undefined);
  }

  /** @internal The error that says that one was lost. */
  loss(): LockError {
    return this.#all.loss();
  }

  /** @internal */
  [inspect.custom](): string {
    const state = this.isHeld ? "held" : (this.lostReason ?? "released");
    return `<Leases of ${JSON.stringify(this.#all.name)}, ${state}>`;
  }
}

/** Takes `locks` of `client` together; null where one is taken and nothing is waited for. */
export async function takeAll(
  client: Client,
  locks: Iterable<Lockable>,
  tryOnly: boolean,
  given: LockOptions | TryOptions | undefined,
): Promise<Leases | null> {
  const common: LockOptions = options(given, tryOnly ? TRY_KNOWN : KNOWN);
  const signal = signalOf(common.signal);
  signal?.throwIfAborted();
  const [asked, names] = listed(client, locks, common);
  const attempt = client.attemptAll(asked, maybeSeconds("wait", common.wait), tryOnly);
  return (await taken(attempt, signal, names.join(", "))) ? new Leases(names, attempt) : null;
}

/** Takes each of `locks` that is free now. */
export async function tryEach(
  client: Client,
  locks: Iterable<Lockable>,
  given: TryOptions | undefined,
): Promise<PromiseSettledResult<Lease | null>[]> {
  const common = options(given, TRY_KNOWN);
  const signal = signalOf(common.signal);
  signal?.throwIfAborted();
  const [asked, names] = listed(client, locks, common);
  const attempt = client.attemptEach(asked);
  await taken(attempt, signal, names.join(", "));
  const all = new Lease(names.join(", "), attempt);
  return attempt.each().map((one, index) => {
    const name = names[index] ?? "";
    const state = one.poll();
    const failure = state === State.failed ? one.failure() : null;
    if (failure !== null) {
      return { status: "rejected", reason: fromFailure(failure, name) };
    }
    return { status: "fulfilled", value: state === State.held ? new Lease(name, one, all) : null };
  });
}

function listed(
  client: Client,
  locks: Iterable<Lockable>,
  common: LockOptions,
): [asked: Asked[], names: string[]] {
  if (typeof locks === "string" || typeof locks?.[Symbol.iterator] !== "function") {
    throw new TypeError(`the locks are ${shown(locks)}: a list of them is needed`);
  }
  const asked = Array.from(locks, (lock) => askedOf(client, lock, common));
  return [asked, asked.map((one) => one.name)];
}

function askedOf(client: Client, wanted: Lockable, common: LockOptions): Asked {
  if (typeof wanted === "string") {
    return new Lock(client, wanted).askedWith(client, common);
  }
  if (wanted instanceof Lock) {
    return wanted.askedWith(client, common);
  }
  if (typeof wanted !== "object" || wanted === null || !("lock" in wanted)) {
    throw new TypeError(`one of the locks is ${shown(wanted)}: a name or a lock is needed`);
  }
  const { lock, ...own } = options(wanted, OF_ONE);
  if (typeof lock !== "string" && !(lock instanceof Lock)) {
    throw new TypeError(`one of the locks is ${shown(lock)}: a name or a lock is needed`);
  }
  return askedOf(client, lock, { ...common, ...own });
}
