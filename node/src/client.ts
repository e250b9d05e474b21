/** Access to one store. */

import { debuglog, inspect } from "node:util";

import { ask } from "./asked.js";
import { Barrier } from "./barrier.js";
import { maybeSeconds, options, seconds, text, whole } from "./convert.js";
import { Election } from "./election.js";
import { fromFailure } from "./errors.js";
import "./exit.js";
import { type Body, Lock, RwLock, Semaphore, bodyOf, under } from "./kinds.js";
import { Latch } from "./latch.js";
import type { Lease } from "./lease.js";
import { type BodyOfAll, type Leases, type Lockable, takeAll, tryEach } from "./multi.js";
import { native } from "./native.js";
import type { Client as NativeClient } from "./native.js";
import { Owner, lockInfo } from "./plain.js";
import type {
  AskBackOptions,
  ClientOptions,
  Deadlocks,
  Duration,
  LockInfo,
  LockOptions,
  Returned,
  TryOptions,
} from "./plain.js";
import * as post from "./post.js";

const PAGE = new Set(["after", "limit"]);
const KEPT = new Set(["keep"]);
const EVICTION = new Set(["fence", "why"]);
const OF_CLIENT = new Set(["deadlockDepth", "audit"]);

const tell = debuglog("leasehold");

/**
 * A client of the store at `url`: `memory://` (private to the client), `memory://name` (shared in the
 * process), `sqlite:///path`, `redis://[user:password@]host[:port][/database]` (`rediss` for TLS).
 *
 * Without a URL: `LEASEHOLD_URL` if it is set and not empty, else the file
 * `~/.local/state/leasehold/locks.db` of the effective user: the locks of this user on this host.
 *
 * Nothing is opened before the first request; `ping()` proves the store. Throws `InvalidInputError` for
 * what is no URL of a store and `UnsupportedError` for a store that this version lacks.
 */
export function connect(url?: string, given?: ClientOptions): Client {
  const [depth, audit] = clientOptions(given);
  const at = url === undefined ? url : text("the store URL", url);
  const found = native.Client.connect(at, depth, audit);
  if ("code" in found) {
    throw fromFailure(found);
  }
  if (url === undefined && !process.env["LEASEHOLD_URL"]) {
    tell("default store %s: locks of this user on this host", found.url());
  }
  return new Client(found);
}

/** @internal The depth and the audit file of `given`. */
export function clientOptions(
  given: ClientOptions | undefined,
): [depth: number | undefined, audit: string | undefined] {
  const { deadlockDepth, audit } = options(given, OF_CLIENT);
  return [
    deadlockDepth === undefined ? undefined : whole("deadlockDepth", deadlockDepth, 0, 2 ** 32 - 1),
    audit === undefined ? undefined : text("audit", audit),
  ];
}

/** Access to one store; see `connect`. Cheap, and safe to share. Each worker thread makes its own. */
export class Client implements AsyncDisposable {
  readonly #native: NativeClient;

  /** @internal */
  constructor(client: NativeClient) {
    this.#native = client;
  }

  /** Where the locks live, without secrets. */
  get url(): string {
    return this.#native.url();
  }

  /**
   * Takes a lock; release the lease yourself, best with `await using` or try/finally. `name` is any
   * Unicode text of 1 to 1,024 bytes of UTF-8, taken as it is.
   *
   * Rejects with `LockTimeoutError` where the wait ran out, the reason of your `signal` where that was
   * aborted, `InvalidInputError` for a wrong name or option, and as the store fails; nothing is left
   * behind then. A promise that is dropped (by `Promise.race`, say) still takes the lock, and its lease
   * is given back when it is collected: pass a `signal` and abort it instead.
   */
  acquire(name: string, options?: LockOptions): Promise<Lease> {
    return this.lock(name).acquire(options);
  }

  /** Takes a lock if it is free; null where another holds it. */
  tryAcquire(name: string, options?: TryOptions): Promise<Lease | null> {
    return this.lock(name).tryAcquire(options);
  }

  /**
   * Runs `body` under a lock and gives it back, waiting for that at most one second. If the lease was
   * lost meanwhile and the body succeeded, rejects with `LockLostError`; an error of the body's own is
   * never masked. `lease.signal` tells the body of the loss: pass it on to what it calls.
   */
  withLock<T>(name: string, body: Body<T>): Promise<T>;
  withLock<T>(name: string, options: LockOptions | undefined, body: Body<T>): Promise<T>;
  withLock<T>(
    name: string,
    optionsOrBody: LockOptions | Body<T> | undefined,
    body?: Body<T>,
  ): Promise<T> {
    return this.lock(name).withLock(optionsOrBody as LockOptions, body as Body<T>);
  }

  /**
   * Takes several locks, all or none. Those that are free are taken in one atomic step where the store
   * can, and those that are not are waited for in the order of their names: so no two of these wait for
   * each other, however their lists overlap. The options are for each of them, but `wait` for all
   * together; at most 1,000 locks, each name once. Rejects as `acquire`; nothing is held then.
   */
  acquireAll(locks: Iterable<Lockable>, options?: LockOptions): Promise<Leases> {
    // An attempt that waits has leases or an error.
    return takeAll(this.#native, locks, false, options) as Promise<Leases>;
  }

  /** Takes several locks if all of them are free; null where one is held by another. */
  tryAcquireAll(locks: Iterable<Lockable>, options?: TryOptions): Promise<Leases | null> {
    return takeAll(this.#native, locks, true, options);
  }

  /**
   * Takes each of several locks that is free now, in one request, and says of each what came of it, in
   * the order of their list, as `Promise.allSettled` does: its lease, null where another holds it, or
   * the error. Waits for none.
   */
  tryEach(
    locks: Iterable<Lockable>,
    options?: TryOptions,
  ): Promise<PromiseSettledResult<Lease | null>[]> {
    return tryEach(this.#native, locks, options);
  }

  /** Runs `body` under several locks and gives them back; see `withLock` and `acquireAll`. */
  withAll<T>(locks: Iterable<Lockable>, body: BodyOfAll<T>): Promise<T>;
  withAll<T>(
    locks: Iterable<Lockable>,
    options: LockOptions | undefined,
    body: BodyOfAll<T>,
  ): Promise<T>;
  async withAll<T>(
    locks: Iterable<Lockable>,
    optionsOrBody: LockOptions | BodyOfAll<T> | undefined,
    bodyOrNothing?: BodyOfAll<T>,
  ): Promise<T> {
    const [options, body] = bodyOf<LockOptions, BodyOfAll<T>>(optionsOrBody, bodyOrNothing);
    return under(await this.acquireAll(locks, options), options, body);
  }

  /** Describes a lock; `client.acquire(name)` is `client.lock(name).acquire()`. */
  lock(name: string): Lock {
    return new Lock(this.#native, name);
  }

  /** Describes a lock that many may hold to read, or one to write. */
  rwlock(name: string): RwLock {
    return new RwLock(this.#native, name);
  }

  /** Describes a semaphore of `capacity` permits. */
  semaphore(name: string, capacity: number): Semaphore {
    return new Semaphore(this.#native, name, capacity);
  }

  /** Describes an election: one leader at a time, and all may know who it is. */
  election(name: string): Election {
    return new Election(this.#native, name);
  }

  /**
   * A latch that opens once it was counted down by `count`. Once open it is kept for `keep`, at least a
   * minute (an hour); one that never opens is kept.
   */
  latch(name: string, count: number, given?: { readonly keep?: Duration | undefined }): Latch {
    const { keep } = options(given, KEPT);
    const many = whole("count", count, 0, Number.MAX_SAFE_INTEGER);
    const latch = this.#native.latch(
      text("the latch name", name),
      many,
      maybeSeconds("keep", keep),
    );
    return new Latch(latch, name);
  }

  /** Describes a double barrier for so many `parties`. */
  barrier(name: string, parties: number): Barrier {
    return new Barrier(this.#native, name, whole("parties", parties, 0, 2 ** 32 - 1));
  }

  /** What the searches for deadlocks came to so far, of the waits of this client in this process. */
  deadlocks(): Deadlocks {
    const found = this.#native.deadlocks();
    if ("code" in found) {
      throw fromFailure(found);
    }
    return found;
  }

  /** A fresh identity for the locks of one unit of work. Asks nothing of the store. */
  owner(): Owner {
    const number = this.#native.owner();
    if (typeof number !== "bigint") {
      throw fromFailure(number);
    }
    return new Owner(number);
  }

  /** Proves that the store answers. */
  async ping(): Promise<void> {
    await post.finish(this.#native.ping());
  }

  /** One lock, as people see it: who holds it and who waits, now. */
  async inspect(name: string): Promise<LockInfo> {
    return lockInfo(await post.finish(this.#native.inspect(text("the lock name", name)), name));
  }

  /** Whether anybody holds the lock, now. Take the lock rather than act on this. */
  async isLocked(name: string): Promise<boolean> {
    return (await this.inspect(name)).holder !== undefined;
  }

  /**
   * Ends the tenures of a lock from outside, or only that which has this `fence`. Yields the fence of
   * the first that was ended, or null where nobody held it so. A holder is told (`revoked`) at its next
   * renewal; until then only the fence keeps it from harm; `askBack` asks it first. `why` is for the log.
   */
  async evict(
    name: string,
    given: { readonly why: string; readonly fence?: number | undefined },
  ): Promise<number | null> {
    const { why, fence } = options(given, EVICTION);
    const call = this.#native.evict(
      text("the lock name", name),
      fence === undefined ? fence : whole("fence", fence, 0, Number.MAX_SAFE_INTEGER),
      text("why", why),
    );
    return (await post.finish(call, name)) || null;
  }

  /**
   * Asks whoever holds a lock to give it back, and waits at most `grace` until it is given back. The holder is
   * told `why` where it listens (`lease.askedBack()`, `lease.onAskedBack`) and may hold on; then `evict` is
   * what is left. Of many holders the first 100 are asked.
   *
   * Whoever wants the lock should wait for it meanwhile: the release hands it over.
   */
  askBack(name: string, options: AskBackOptions): Promise<Returned> {
    return ask(name, options, (...asked) => this.#native.askBack(...asked));
  }

  /**
   * Locks that are held or waited for and whose names start with `prefix`, in order of name: at most
   * `limit` (100), only those after `after` (the last of the previous page).
   */
  async list(
    prefix = "",
    page?: { readonly after?: string | undefined; readonly limit?: number | undefined },
  ): Promise<LockInfo[]> {
    const { after, limit = 100 } = options(page, PAGE);
    const call = this.#native.list(
      text("prefix", prefix),
      after === undefined ? after : text("after", after),
      whole("limit", limit, 0, 2 ** 32 - 1),
    );
    return (await post.finish(call)).map(lockInfo);
  }

  /**
   * Ends this client: its holders are told, its waiters refused, its leases given back. Waits for that
   * at most `grace`; says whether it was enough.
   */
  async shutdown(grace: Duration = 1000): Promise<boolean> {
    return post.finish(this.#native.shutdown(seconds("grace", grace)));
  }

  /** The end of an `await using` block: `shutdown()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /** @internal */
  [inspect.custom](): string {
    return `<Client of ${this.url}>`;
  }
}
