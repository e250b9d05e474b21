/** The double barrier: none goes in before all have come, none out before all have left. */

import { inspect } from "node:util";

import { maybeSeconds, options, signalOf } from "./convert.js";
import { Lock, bodyOf, taken, under } from "./kinds.js";
import { Lease } from "./lease.js";
import type { Attempt, Client } from "./native.js";
import type { Duration, WaitOptions } from "./plain.js";
import * as post from "./post.js";

/** How a place inside is asked for. What is absent has its default. */
export interface EnterOptions extends WaitOptions {
  /** How long a member counts as there without a sign of life: 10 ms to 365 days; 30 s. */
  readonly ttl?: Duration | undefined;
  /** Free text for people who look at the members, at most 256 bytes. */
  readonly note?: string | undefined;
}

/** What is done inside. */
export type BodyInside<T> = (inside: Inside) => T | PromiseLike<T>;

const ENTER = new Set(["ttl", "note", "wait", "signal"]);
const LEAVE = new Set(["wait", "signal"]);

/** A double barrier, from `client.barrier(name, parties)`, to be used again and again. */
export class Barrier {
  /** Its name. */
  readonly name: string;
  /** For how many it is. */
  readonly parties: number;
  readonly #client: Client;

  /** @internal */
  constructor(client: Client, name: string, parties: number) {
    this.#client = client;
    this.name = name;
    this.parties = parties;
  }

  /**
   * Comes, and waits until all have; leave yourself, or use `within`. Rejects with `LockTimeoutError` where
   * the `wait` ran out, the reason of your `signal` where that was aborted, and `InvalidInputError` for
   * another number of parties than the others' and a name that another kind uses. It has gone away again
   * then.
   */
  async enter(given?: EnterOptions): Promise<Inside> {
    const { name } = this;
    const { wait, signal: wanted, ...lock } = options(given, ENTER);
    const signal = signalOf(wanted);
    signal?.throwIfAborted();
    const asked = new Lock(this.#client, name).askedWith(this.#client, lock);
    const attempt = this.#client.enter(asked, maybeSeconds("wait", wait), this.parties);
    await taken(attempt, signal, name);
    return new Inside(name, attempt);
  }

  /**
   * Runs `body` between the two barriers: waits until all have come, at most `wait`, and afterwards until
   * all have left, again at most `wait`. Where `body` fails, it leaves without waiting for the others, and
   * that error is never masked. `inside.signal` tells the body of a loss.
   */
  within<T>(body: BodyInside<T>): Promise<T>;
  within<T>(options: EnterOptions | undefined, body: BodyInside<T>): Promise<T>;
  async within<T>(
    optionsOrBody: EnterOptions | BodyInside<T> | undefined,
    bodyOrNothing?: BodyInside<T>,
  ): Promise<T> {
    const [options, body] = bodyOf<EnterOptions, BodyInside<T>>(optionsOrBody, bodyOrNothing);
    return under(await this.enter(options), options, async (inside) => {
      const result = await body(inside);
      await inside.leave({ wait: options?.wait, signal: options?.signal });
      return result;
    });
  }

  /** @internal */
  [inspect.custom](): string {
    return `<Barrier ${JSON.stringify(this.name)} of ${this.parties}>`;
  }
}

/**
 * A place between the two barriers, which lasts as long as its lease, from `barrier.enter()` or in the body
 * of `barrier.within()`. `release` gives it up without waiting for the others, as the end of an `await
 * using` block does; `leave` waits until all have left.
 */
export class Inside extends Lease {
  readonly #attempt: Attempt;

  /** @internal */
  constructor(name: string, attempt: Attempt) {
    super(name, attempt);
    this.#attempt = attempt;
  }

  /**
   * Leaves, and waits until all have. Whoever died counts as having left once its lease is over. Also
   * where this rejects this member has left; it may be called again, to wait once more.
   *
   * Rejects with `LockTimeoutError` where others are still inside after `wait`, the reason of your
   * `signal` where that was aborted, and `LockLostError` where the place was lost before: the others went
   * on without this member.
   */
  async leave(given?: WaitOptions): Promise<void> {
    const { wait, signal: wanted } = options(given, LEAVE);
    const signal = signalOf(wanted);
    const span = maybeSeconds("wait", wait);
    try {
      signal?.throwIfAborted();
      await post.waited(this.#attempt.leave(span), this.name, [signal]);
    } finally {
      if (!this.isHeld || signal?.aborted === true) {
        // Nobody is to wait for this member, nor to be told of a loss.
        void this.release().catch(() => undefined);
      }
    }
  }
}
