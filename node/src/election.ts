/** Leader election: a lock whose holder says something to all. */

import { inspect } from "node:util";

import { bytes, maybeSeconds, options, signalOf, text } from "./convert.js";
import { KNOWN, Lock, TRY_KNOWN, bodyOf, taken, under } from "./kinds.js";
import { Lease } from "./lease.js";
import type { Attempt, Client, Observer as NativeObserver } from "./native.js";
import {
  type LockOptions,
  type ReleaseState,
  type TryOptions,
  type WaiterInfo,
  waiterInfo,
} from "./plain.js";
import * as post from "./post.js";

/** What a leader may say: at most 60 KiB, of text in UTF-8. */
export type Value = string | Uint8Array;

/** How the lead is asked for by who waits for it. */
export interface CampaignOptions extends LockOptions {
  /** What all are told while this candidate leads; empty. */
  readonly value?: Value | undefined;
}

/** How the lead is asked for. */
export interface TryCampaignOptions extends TryOptions {
  /** What all are told while this candidate leads; empty. */
  readonly value?: Value | undefined;
}

/** Who leads. */
export interface Leader {
  /** The fence of its lease: larger than that of every leader before. */
  readonly fence: number;
  /** What it said last; `String(value)` where it is text. */
  readonly value: Buffer;
  /** Who it is, and since when it has campaigned. */
  readonly who: WaiterInfo;
}

/** What is done by who leads. */
export type BodyOfLeader<T> = (leadership: Leadership) => T | PromiseLike<T>;

const CAMPAIGN = new Set([...KNOWN, "value"]);
const TRY_CAMPAIGN = new Set([...TRY_KNOWN, "value"]);
const ONLY_SIGNAL = new Set(["signal"]);

/**
 * An election, from `client.election(name)`: one leader at a time, for as long as its lease lasts, and all
 * may know who it is.
 */
export class Election {
  /** Its name, which is also that of the lock that the leader holds. */
  readonly name: string;
  readonly #client: Client;

  /** @internal */
  constructor(client: Client, name: string) {
    this.#client = client;
    this.name = name;
  }

  /**
   * Waits until nobody else leads, takes the lead and has all be told `value`; resign yourself, best with
   * `await using`, or use `lead`. Rejects as `client.acquire`, and with `InvalidInputError` for a name
   * that another kind uses; nothing is left behind then.
   */
  campaign(options?: CampaignOptions): Promise<Leadership> {
    // An attempt that waits has a lease or an error.
    return this.#take(false, options) as Promise<Leadership>;
  }

  /** Takes the lead if nobody has it; null where another leads. */
  tryCampaign(options?: TryCampaignOptions): Promise<Leadership | null> {
    return this.#take(true, options);
  }

  /**
   * Runs `body` while it leads, and resigns; as `client.withLock`. `leadership.signal` tells the body of
   * the loss.
   */
  lead<T>(body: BodyOfLeader<T>): Promise<T>;
  lead<T>(options: CampaignOptions | undefined, body: BodyOfLeader<T>): Promise<T>;
  async lead<T>(
    optionsOrBody: CampaignOptions | BodyOfLeader<T> | undefined,
    bodyOrNothing?: BodyOfLeader<T>,
  ): Promise<T> {
    const [options, body] = bodyOf<CampaignOptions, BodyOfLeader<T>>(optionsOrBody, bodyOrNothing);
    return under(await this.campaign(options), options, body);
  }

  /** Who leads now, or null. */
  async leader(given?: { readonly signal?: AbortSignal | undefined }): Promise<Leader | null> {
    const { value } = await this.observe(given).next();
    return value ?? null;
  }

  /**
   * Who leads now, and then each change of that or of what the leader says: null while nobody leads. Of
   * several changes in a row only the last may be seen; the fences of those shown only grow.
   *
   * A leader that resigned or was followed by another is told of at once; one that died or was evicted,
   * when its lease was to end, or when the next leads. It ends when the loop is left, or with the reason
   * of `signal` when that is aborted; where the store fails for longer than 15 s, with that error. While
   * it is awaited it keeps the process alive.
   */
  observe(given?: { readonly signal?: AbortSignal | undefined }): Observer {
    const signal = signalOf(options(given, ONLY_SIGNAL).signal);
    const name = text("the lock name", this.name);
    return new Observer(this.#client.observe(name), name, signal);
  }

  /** @internal */
  [inspect.custom](): string {
    return `<Election ${JSON.stringify(this.name)}>`;
  }

  async #take(tryOnly: boolean, given: CampaignOptions | undefined): Promise<Leadership | null> {
    const { name } = this;
    const { value = "", ...lock } = options(given, tryOnly ? TRY_CAMPAIGN : CAMPAIGN);
    const signal = signalOf(lock.signal);
    signal?.throwIfAborted();
    const asked = new Lock(this.#client, name).askedWith(this.#client, lock);
    const wait = maybeSeconds("wait", lock.wait);
    const attempt = this.#client.campaign(asked, wait, tryOnly, bytes("value", value));
    return (await taken(attempt, signal, name)) ? new Leadership(name, attempt) : null;
  }
}

/**
 * The lead, for as long as its lease lasts: a `Lease` with a word to all, from `election.campaign()` or in
 * the body of `election.lead()`. Whoever acts as the leader should carry its `fence` to where that takes
 * effect.
 *
 * `await using leadership = …` resigns at the end of the block.
 */
export class Leadership extends Lease {
  readonly #attempt: Attempt;

  /** @internal */
  constructor(name: string, attempt: Attempt) {
    super(name, attempt);
    this.#attempt = attempt;
  }

  /** Whether it leads, as far as can be known here and now: `isHeld`. */
  get isLeader(): boolean {
    return this.isHeld;
  }

  /**
   * Has all be told `value` from now on. Rejects with `LockLostError` where it leads no more, and as the
   * store fails; it leads on then, and which of its values is told is not known.
   */
  async proclaim(value: Value): Promise<void> {
    await post.finish(this.#attempt.proclaim(bytes("value", value)), this.name);
  }

  /** Ends the lead, and tells those who observe: `release` by its name here. */
  resign(): Promise<ReleaseState> {
    return this.release();
  }
}

/** Tells who leads, whenever that changes; from `election.observe()`, for `for await`. */
export class Observer implements AsyncIterableIterator<Leader | null>, AsyncDisposable {
  readonly #native: NativeObserver;
  readonly #name: string;
  readonly #signal: AbortSignal | undefined;
  readonly #end = new AbortController();

  /** @internal */
  constructor(native: NativeObserver, name: string, signal: AbortSignal | undefined) {
    this.#native = native;
    this.#name = name;
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * At the first call who leads now, at each later one as soon as that or what the leader says has
   * changed. After an error of the store's it may be called again, and has lost nothing.
   */
  async next(): Promise<IteratorResult<Leader | null, undefined>> {
    while (!this.#end.signal.aborted) {
      this.#signal?.throwIfAborted();
      const changed = post.waited(this.#native.changed(), this.#name, [
        this.#signal,
        this.#end.signal,
      ]);
      await changed.catch((error: unknown) => {
        if (!this.#end.signal.aborted) {
          throw error;
        }
      });
      // None where another call of this was first, or its end.
      const change = this.#end.signal.aborted ? null : this.#native.take();
      if (change !== null) {
        const { leader } = change;
        const value = leader === undefined ? null : { ...leader, who: waiterInfo(leader.who) };
        return { done: false, value };
      }
    }
    return { done: true, value: undefined };
  }

  /** Ends it, and whatever waits for its next change. */
  async return(): Promise<IteratorResult<Leader | null, undefined>> {
    this.#end.abort();
    return { done: true, value: undefined };
  }

  /** The end of an `await using` block: `return()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
