/** A ttl and a wait from a lock's own history. */

import { inspect } from "node:util";

import { options, seconds, signalOf } from "./convert.js";
import { fromFailure, shown } from "./errors.js";
import { type Body, KNOWN, Lock, bodyOf, taken, under } from "./kinds.js";
import { Lease } from "./lease.js";
import { native } from "./native.js";
import type { AdaptiveTtl as NativeAdaptiveTtl } from "./native.js";
import type { Duration, LockOptions } from "./plain.js";

/** What was chosen, and from what; spans are milliseconds. */
export interface Choice {
  /** The lease's length: 30 s until enough is known, from then on 1 to 30 s. */
  readonly ttl: number;
  /** How long to wait: 1 to 30 s as well. */
  readonly wait: number;
  /** How many of the latest holds it goes by, at most 50. */
  readonly holds: number;
  /** What 95 % of them were not longer than. */
  readonly hold: number;
  /** What 95 % of the latest waits were not longer than. */
  readonly waited: number;
  /** The part of the latest acquires that had to wait, 0 to 1. */
  readonly load: number;
  /** All of it in words. */
  readonly words: string;
}

/** How an adapted lock is taken: its ttl and its wait are chosen. */
export type AdaptedOptions = Omit<LockOptions, "ttl" | "wait">;

const ADAPTED: ReadonlySet<string> = new Set(
  [...KNOWN].filter((option) => option !== "ttl" && option !== "wait"),
);

/**
 * A ttl and a wait that follow how long a lock was held and waited for. Shared by all who take the lock in
 * this thread; each lock, or each group of locks that are used alike, has its own.
 *
 *     const reports = new AdaptiveTtl();
 *     await reports.adapt(client.lock("report")).withLock(async (lease) => { … });
 *     console.log(reports.choose().words);
 */
export class AdaptiveTtl {
  readonly #native: NativeAdaptiveTtl = new native.AdaptiveTtl();

  /**
   * `lock`, a client's, with the ttl and the wait that are chosen whenever it is taken. How long it was
   * waited for is noted, and, when it is released, how long it was held.
   */
  adapt(lock: Lock): AdaptedLock {
    if (!(lock instanceof Lock)) {
      throw new TypeError(`lock is ${shown(lock)}: a lock is needed`);
    }
    return new AdaptedLock(lock, this.#native);
  }

  /** Notes how long the lock was held, where that was not through `adapt`. */
  held(span: Duration): void {
    noted(this.#native.held(seconds("span", span)));
  }

  /** Notes how long it was waited for, where that was not through `adapt`. */
  waited(span: Duration): void {
    noted(this.#native.waited(seconds("span", span)));
  }

  /** What to ask for now. */
  choose(): Choice {
    const { ttl, wait, hold, waited, ...rest } = this.#native.choose();
    return {
      ttl: ttl * 1000,
      wait: wait * 1000,
      hold: hold * 1000,
      waited: waited * 1000,
      ...rest,
    };
  }

  /** @internal */
  [inspect.custom](): string {
    return `<AdaptiveTtl: ${this.choose().words}>`;
  }
}

/** A lock whose ttl and wait follow its history, from `adaptiveTtl.adapt(lock)`. */
export class AdaptedLock {
  /** The lock's name. */
  readonly name: string;
  readonly #lock: Lock;
  readonly #adaptive: NativeAdaptiveTtl;

  /** @internal */
  constructor(lock: Lock, adaptive: NativeAdaptiveTtl) {
    this.name = lock.name;
    this.#lock = lock;
    this.#adaptive = adaptive;
  }

  /** Takes it; rejects with `LockTimeoutError` where the chosen wait ran out. */
  async acquire(given?: AdaptedOptions): Promise<Lease> {
    const asked = options(given, ADAPTED);
    const signal = signalOf(asked.signal);
    signal?.throwIfAborted();
    const attempt = this.#lock.attemptWith(this.#adaptive, asked);
    // An attempt that waits has a lease or an error.
    await taken(attempt, signal, this.name);
    return new Lease(this.name, attempt);
  }

  /** Runs `body` under it and gives it back; see `client.withLock`. */
  withLock<T>(body: Body<T>): Promise<T>;
  withLock<T>(options: AdaptedOptions | undefined, body: Body<T>): Promise<T>;
  async withLock<T>(
    optionsOrBody: AdaptedOptions | Body<T> | undefined,
    bodyOrNothing?: Body<T>,
  ): Promise<T> {
    const [given, body] = bodyOf<AdaptedOptions, Body<T>>(optionsOrBody, bodyOrNothing);
    return under(await this.acquire(given), given, body);
  }

  /** @internal */
  [inspect.custom](): string {
    return `<AdaptedLock ${JSON.stringify(this.name)}>`;
  }
}

function noted(failure: Parameters<typeof fromFailure>[0] | null): void {
  if (failure !== null) {
    throw fromFailure(failure);
  }
}
