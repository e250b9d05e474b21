/** The latch: a count that goes down to zero once, and those who wait for that. */

import { inspect } from "node:util";

import { maybeSeconds, options, signalOf, whole } from "./convert.js";
import type { Latch as NativeLatch } from "./native.js";
import type { WaitOptions } from "./plain.js";
import * as post from "./post.js";

const WAIT = new Set(["wait", "signal"]);

/**
 * A latch, from `client.latch(name, count)`: waited for until so many have counted down. It opens once and
 * stays open; some time later its name is free for a new one.
 *
 * Keep the object for several calls: it tells them apart, so that a call whose answer is lost is not
 * counted twice.
 */
export class Latch {
  /** Its name. */
  readonly name: string;
  readonly #native: NativeLatch;

  /** @internal */
  constructor(native: NativeLatch, name: string) {
    this.#native = native;
    this.name = name;
  }

  /**
   * Counts down by `count` (1), not below zero, and yields what is left. Rejects with
   * `InvalidInputError` for zero, a latch that has another count, and a name that another kind uses.
   */
  async countDown(count = 1): Promise<number> {
    const many = whole("count", count, 0, Number.MAX_SAFE_INTEGER);
    return post.finish(this.#native.countDown(many), this.name);
  }

  /** What is left: zero once it is open. */
  async left(): Promise<number> {
    return post.finish(this.#native.left(), this.name);
  }

  /**
   * Waits until it is open. Rejects with `LockTimeoutError` where the `wait` ran out, and with the
   * reason of your `signal` where that was aborted.
   */
  async wait(given?: WaitOptions): Promise<void> {
    const { wait, signal: wanted } = options(given, WAIT);
    const signal = signalOf(wanted);
    signal?.throwIfAborted();
    await post.waited(this.#native.opened(maybeSeconds("wait", wait)), this.name, [signal]);
  }

  /** @internal */
  [inspect.custom](): string {
    return `<Latch ${JSON.stringify(this.name)}>`;
  }
}
