/** Asking for a lock back, and hearing that one is asked. */

import { inspect } from "node:util";

import { options, seconds, signalOf, text, whole } from "./convert.js";
import type { Attempt, Call, Returned as NativeReturned } from "./native.js";
import {
  type AskBackOptions,
  type AskedBack,
  type Returned,
  returnedOf,
  waiterInfo,
} from "./plain.js";
import * as post from "./post.js";

const KNOWN = new Set(["why", "grace", "fence", "signal"]);

/** Asks for `name` back by what `begin` starts. */
export async function ask(
  name: string,
  given: AskBackOptions,
  begin: (
    name: string,
    why: string,
    grace: number,
    fence: number | undefined,
  ) => Call<NativeReturned>,
): Promise<Returned> {
  const { why, grace, fence, signal } = options(given, KNOWN);
  const call = begin(
    text("the lock name", name),
    text("why", why),
    seconds("grace", grace),
    fence === undefined ? fence : whole("fence", fence, 0, Number.MAX_SAFE_INTEGER),
  );
  return returnedOf(await post.waited(call, name, [signalOf(signal)]));
}

/**
 * The requests to give a lease back, from `lease.askedBack()`: each once, also those from before it was
 * iterated over, as long as they stand; it ends with the lease. To follow one is the holder's choice: nothing
 * happens by itself. Of several who listen for one lease, each request goes to one.
 *
 * While it is awaited it keeps the process alive, and the store is looked at with every renewal; in between
 * the store tells of a request at once. What comes while nobody waits is not lost: the next step yields it.
 */
export class Requests implements AsyncIterableIterator<AskedBack, undefined>, AsyncDisposable {
  readonly #attempt: Attempt;
  readonly #name: string;
  readonly #signal: AbortSignal | undefined;
  readonly #end = new AbortController();

  /** @internal */
  constructor(attempt: Attempt, name: string, signal: AbortSignal | undefined) {
    this.#attempt = attempt;
    this.#name = name;
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next request. Rejects with `UnsupportedError` by a store that has no place for requests. */
  async next(): Promise<IteratorResult<AskedBack, undefined>> {
    const end = this.#end.signal;
    while (!end.aborted) {
      this.#signal?.throwIfAborted();
      const asked = post.waited(this.#attempt.askedBack(), this.#name, [this.#signal, end]);
      const goesOn = await asked.catch((error: unknown) => {
        if (!end.aborted) {
          throw error;
        }
        return false;
      });
      if (!goesOn) {
        break;
      }
      // None where another who listens was first.
      const value = end.aborted ? null : taken(this.#attempt);
      if (value !== null) {
        return { done: false, value };
      }
    }
    return { done: true, value: undefined };
  }

  /** Ends it, and whatever waits for its next request. */
  async return(): Promise<IteratorResult<AskedBack, undefined>> {
    this.#end.abort();
    return { done: true, value: undefined };
  }

  /** The end of an `await using` block: `return()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** @internal */
  [inspect.custom](): string {
    return `<Requests for ${JSON.stringify(this.#name)}>`;
  }
}

/** Calls back with each request until the lease is over. Its lease keeps it, and it not its lease. */
export class Ear implements post.Listener {
  readonly #attempt: Attempt;
  readonly #callback: (asked: AskedBack) => void;
  /** Dropped, it ends. */
  #call: Call<boolean>;

  constructor(attempt: Attempt, callback: (asked: AskedBack) => void) {
    this.#attempt = attempt;
    this.#callback = callback;
    this.#call = this.#listen();
  }

  /** There is news. */
  lost(): void {
    if (this.#call.value() !== true) {
      return;
    }
    const asked = taken(this.#attempt);
    this.#call = this.#listen();
    if (asked !== null) {
      // By itself: what it throws must not keep others from their news.
      queueMicrotask(() => this.#callback(asked));
    }
  }

  #listen(): Call<boolean> {
    const call = this.#attempt.askedBack();
    post.hear(call, this);
    return call;
  }
}

function taken(attempt: Attempt): AskedBack | null {
  const asked = attempt.takeAsked();
  if (asked === null) {
    return null;
  }
  const { by, why, grace } = asked;
  return { by: waiterInfo(by), why, grace: grace * 1000 };
}
