/** One tenure of one lock, and the truth about it. */

import { inspect } from "node:util";

import { Ear, Requests } from "./asked.js";
import { options, seconds, signalOf } from "./convert.js";
import { LockLostError, fromFailure } from "./errors.js";
import type { LockError } from "./errors.js";
import type { Attempt } from "./native.js";
import {
  type AskedBack,
  type Duration,
  type Kind,
  type LostReason,
  Owner,
  type ReleaseState,
} from "./plain.js";
import * as post from "./post.js";

const ONLY_SIGNAL = new Set(["signal"]);

/** The lease of each signal, kept as long as the signal: it must not outlive its lease unnoticed. */
const leases = new WeakMap<AbortSignal, Lease>();

/** Those that a lease was taken together with, kept as long as it: they own what it holds. */
const wholes = new WeakMap<Lease, object>();

/**
 * One tenure of one lock, from `client.acquire()` or in the body of `client.withLock()`; of an election it
 * is the `Leadership`, of a barrier the place `Inside`.
 *
 * It is a belief with a deadline: `isHeld` compares it with the clock on each look, so it is right at
 * once even after the whole process was paused. What is done under the lock should carry the `fence` to
 * where it takes effect.
 *
 * `await using lease = …` gives it back at the end of the block. A lease that is forgotten is given back
 * when it is collected, with a warning.
 */
export class Lease implements AsyncDisposable {
  /** The lock's name. */
  readonly name: string;
  readonly #attempt: Attempt;
  /** Made with the controller: most leases have neither. */
  #listener: post.Listener | undefined;
  #controller: AbortController | undefined;
  #key: number | undefined;
  #over = false;
  /** Made with the first: most leases have none. */
  #ears: Ear[] | undefined;
  #fence: number | undefined;

  /** @internal */
  constructor(name: string, attempt: Attempt, together?: object) {
    this.name = name;
    this.#attempt = attempt;
    if (together !== undefined) {
      wholes.set(this, together);
    }
  }

  /**
   * The fencing token: larger than that of every tenure of this lock before, and at most 2^53 - 1. It
   * stays this tenure's own for ever. Of a reader it is the `epoch`, of permits a number of their own:
   * neither is to be written with.
   */
  get fence(): number {
    return (this.#fence ??= this.#attempt.fence());
  }

  /** How the lock is held. */
  get kind(): Kind {
    return this.#attempt.kind() ?? "exclusive";
  }

  /**
   * What a reader knows of the writers: it came after each whose fence is not larger than this, and
   * before all others. Absent for who does not just read.
   */
  get epoch(): number | undefined {
    return this.#attempt.epoch() ?? undefined;
  }

  /** The identity it was taken with. */
  get owner(): Owner | undefined {
    const number = this.#attempt.owner();
    return number === null ? undefined : new Owner(number);
  }

  /** Whether the lock is this tenure's, as far as can be known here and now. Once false, always. */
  get isHeld(): boolean {
    return this.#attempt.isHeld();
  }

  /** Milliseconds for which `isHeld` stays true without a renewal; 0 when it is over. */
  get remaining(): number {
    return this.#attempt.remaining() * 1000;
  }

  /** Why it ended, if it ended before its release. */
  get lostReason(): LostReason | undefined {
    return this.#attempt.lostReason() ?? undefined;
  }

  /**
   * Aborted when the lease is lost, with the `LockLostError` as its reason; never, if it is released.
   * It does not keep the process alive, and whoever keeps it keeps the lease.
   */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      leases.set(this.#controller.signal, this);
      if (!this.#over) {
        this.#listener = { lost: () => this.#lost() };
        this.#key = post.listen(this.#attempt, this.#listener);
      }
    }
    // The news may wait for a turn of the loop, this look need not.
    this.#lost();
    return this.#controller.signal;
  }

  /**
   * Calls `callback(reason)` once if the lease is lost; soon, but never before this returns, if it is
   * lost already; never, if it is released. It does not keep the process alive.
   */
  onLost(callback: (reason: LostReason) => void): void {
    if (typeof callback !== "function") {
      throw new TypeError(`the callback is ${inspect(callback)}: a function is needed`);
    }
    const signal = this.signal;
    const tell = (): void => callback(this.lostReason ?? "expired");
    if (signal.aborted) {
      queueMicrotask(tell);
    } else {
      signal.addEventListener("abort", tell, { once: true });
    }
  }

  /**
   * The requests to give it back (`client.askBack`), for `for await`: it ends with the lease, or with the
   * reason of `signal` when that is aborted. To follow one is the holder's choice.
   */
  askedBack(given?: { readonly signal?: AbortSignal | undefined }): Requests {
    const signal = signalOf(options(given, ONLY_SIGNAL).signal);
    // Not its own, which whoever listens would keep from being forgotten.
    return new Requests(this.#attempt.share(), this.name, signal);
  }

  /**
   * Calls `callback(request)` with each request to give it back, until it is over. It costs a look at the store
   * with each renewal, and does not keep the process alive.
   */
  onAskedBack(callback: (asked: AskedBack) => void): void {
    if (typeof callback !== "function") {
      throw new TypeError(`the callback is ${inspect(callback)}: a function is needed`);
    }
    if (!this.#over) {
      (this.#ears ??= []).push(new Ear(this.#attempt, callback));
    }
  }

  /**
   * Returns while at least `minRemaining` is left: what takes a second should not start with half of
   * one. Throws `LockLostError` otherwise.
   */
  check(minRemaining: Duration = 0): void {
    const failure = this.#attempt.check(seconds("minRemaining", minRemaining));
    if (failure !== null) {
      throw fromFailure(failure, this.name);
    }
  }

  /**
   * Changes the lease's length to `ttl` and renews it now; also for a fixed term. Rejects with
   * `LockLostError` where it is over, `InvalidInputError` for a ttl out of bounds, and as the store
   * fails, in which case the lease keeps the time it had.
   */
  async extend(ttl: Duration): Promise<void> {
    await post.finish(this.#attempt.extend(seconds("ttl", ttl)), this.name);
  }

  /**
   * Has a writer read on, with no other writer in between: it keeps its fence, which is the epoch of
   * those who now read with it. Rejects with `InvalidInputError` for permits and `LockLostError` where
   * the lease is over; where the store fails it is a reader's lease that may keep other readers out
   * until it is released or this is called again.
   */
  async downgrade(): Promise<void> {
    await post.finish(this.#attempt.downgrade(), this.name);
  }

  /**
   * Has the only reader write, with a fence of its own. Rejects with `DeadlockError` where others read
   * too: two that waited for each other to leave would wait for ever, so none may. It reads on then, as
   * it does when the store fails.
   */
  async upgrade(): Promise<void> {
    await post.finish(this.#attempt.upgrade(), this.name);
    this.#fence = this.#attempt.fence();
  }

  /** A sign of life: `maxHold` counts anew from now. */
  touch(): void {
    this.#attempt.touch();
  }

  /**
   * Gives the lock back and says what became of it. May be called again, and never touches another's
   * tenure. Waits for the store at most one second and not beyond the lease's end, then goes on in the
   * background.
   */
  release(): Promise<ReleaseState> {
    const released = post.release(this.#attempt, this.name);
    this.#end();
    return released;
  }

  /**
   * The end of an `await using` block: `release()`, whatever became of it. A loss is not thrown here,
   * where it would mask the block's own error: look at `signal`, or call `check()` at the end.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release().catch(() => undefined);
  }

  /** @internal The error that says that it was lost. */
  loss(): LockError {
    const failure = this.#attempt.loss();
    return failure === null
      ? new LockLostError(`the lease of lock ${JSON.stringify(this.name)} was lost`, {
          lock: this.name,
        })
      : fromFailure(failure, this.name);
  }

  /** @internal */
  [inspect.custom](): string {
    const state = this.isHeld ? "held" : (this.lostReason ?? "released");
    return `<${this.constructor.name} of ${JSON.stringify(this.name)}, fence ${this.fence}, ${state}>`;
  }

  #lost(): void {
    const controller = this.#controller;
    if (controller !== undefined && !controller.signal.aborted && !this.#over) {
      if (this.#attempt.lostReason() !== null) {
        controller.abort(this.loss());
      }
    }
  }

  #end(): void {
    if (!this.#over) {
      this.#over = true;
      this.#ears = undefined;
      if (this.#key !== undefined) {
        post.forget(this.#key);
      }
    }
  }
}
