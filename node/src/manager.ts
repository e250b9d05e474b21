/** Locks by name, of the stores and kinds that one configuration says. */

import { inspect } from "node:util";

import { ask } from "./asked.js";
import { clientOptions } from "./client.js";
import { options, seconds, text, whole } from "./convert.js";
import { type LockError, fromFailure, shown } from "./errors.js";
import "./exit.js";
import { Lock, RwLock, Semaphore } from "./kinds.js";
import { native } from "./native.js";
import type { Failure, Managed, Manager as NativeManager, Usage as NativeUsage } from "./native.js";
import { lockInfo } from "./plain.js";
import type {
  AskBackOptions,
  ClientOptions,
  Duration,
  HolderInfo,
  LockInfo,
  Order,
  Returned,
} from "./plain.js";
import * as post from "./post.js";

const PAGE = new Set(["after", "limit"]);
const EVICTION = new Set(["fence", "why"]);

/** What is said of some locks. Spans are text such as `"30s"`, or numbers of seconds, as in TOML. */
export interface Settings {
  /** The store, by its name in the configuration. */
  readonly store?: string;
  /** `"exclusive"` where it is absent. */
  readonly kind?: "exclusive" | "rwlock" | "semaphore";
  /** How many permits there are, of a semaphore. */
  readonly capacity?: number;
  readonly ttl?: number | string;
  /** A span, `"forever"` or `"none"`. */
  readonly wait?: number | string;
  readonly renew?: boolean;
  readonly max_hold?: number | string;
  readonly priority?: number;
  readonly deadlock_priority?: number;
  readonly max_queue?: number;
  readonly order?: Order;
  readonly note?: string;
}

/** Which names go where, with the keys of the TOML file; see docs/manager.md. */
export interface Config {
  /** The stores, by the names that the settings use. */
  readonly stores: Readonly<Record<string, { readonly url: string }>>;
  /** What counts where nothing else is said. */
  readonly defaults?: Settings;
  /** Settings of single names. */
  readonly name?: Readonly<Record<string, Settings>>;
  /** Settings of all names that begin so; the longest counts. */
  readonly prefix?: Readonly<Record<string, Settings>>;
  /** What this program may do to the tenures of others. */
  readonly permissions?: { readonly evict?: boolean };
}

/** A lock in one of the manager's stores. */
export interface Placed {
  /** The store's name in the configuration. */
  readonly store: string;
  readonly lock: LockInfo;
}

/** One store of a manager at one moment. */
export interface Health {
  /** Its name in the configuration. */
  readonly store: string;
  /** Its URL, without secrets. */
  readonly url: string;
  /** How many milliseconds it took to answer; absent where it did not. */
  readonly roundTrip?: number;
  /** Why it did not. */
  readonly error?: LockError;
  /** Leases in it that this process holds through the manager. */
  readonly held: number;
  /** Attempts of this process that ask or wait for locks in it. */
  readonly waiting: number;
}

/** How this process uses one name at this moment. */
export interface Usage {
  readonly name: string;
  /** Leases that are held. */
  readonly held: number;
  /** Calls that ask or wait for it. */
  readonly waiting: number;
  /** Locks that are described, and leases that are over and not collected yet. */
  readonly idle: number;
  /** When it was last asked for, granted, given back or lost; absent where it is only described so far. */
  readonly lastUsed?: Date;
}

/**
 * Locks by name. What a name is, in which store it lives and how it is taken, one configuration says for all
 * parts of a program. Safe to share; a store is opened with the first lock in it. Each worker thread makes its
 * own.
 *
 *     const manager = new Manager({
 *       stores: { main: { url: "redis://localhost" }, local: { url: "sqlite:///a.db" } },
 *       defaults: { store: "main", ttl: "30s" },
 *       prefix: { "report:": { store: "local", wait: "5s" } },
 *       name: { workers: { kind: "semaphore", capacity: 10 } },
 *       permissions: { evict: true },
 *     });
 *     await manager.lock("report:2031").withLock(async (lease) => {});
 *
 * What is said when a lock is taken goes before the configuration. Throws `InvalidInputError`, with the place,
 * for what is no configuration.
 */
export class Manager implements AsyncDisposable {
  readonly #native: NativeManager;

  constructor(config: Config, options?: ClientOptions) {
    if (config instanceof Opened) {
      this.#native = config.native;
      return;
    }
    if (typeof config !== "object" || config === null) {
      throw new TypeError(`the configuration is ${shown(config)}: an object is needed`);
    }
    this.#native = open("json", JSON.stringify(config), options);
  }

  /** A manager of what a TOML text says. */
  static fromToml(config: string, options?: ClientOptions): Manager {
    return made(open("toml", text("the configuration", config), options));
  }

  /** A manager of what a TOML file says. Throws `StoreFailedError` for one that can't be read. */
  static fromFile(path: string, options?: ClientOptions): Manager {
    return made(open("file", text("the path", path), options));
  }

  /**
   * Describes a lock, with the settings of its name. Throws `InvalidInputError` for a name that the
   * configuration sends nowhere or says to be of another kind.
   */
  lock(name: string): Lock {
    return new Lock(this.#describe(name, "exclusive"), name);
  }

  /** Describes a lock that many may hold to read, or one to write; see `lock`. */
  rwlock(name: string): RwLock {
    return new RwLock(this.#describe(name, "rwlock"), name);
  }

  /** Describes a semaphore of the capacity that the configuration says; see `lock`. */
  semaphore(name: string): Semaphore {
    const managed = this.#describe(name, "semaphore");
    return new Semaphore(managed, name, managed.capacity());
  }

  /** Whether anybody holds the lock in any way, now. Take the lock rather than act on this. */
  async isLocked(name: string): Promise<boolean> {
    return (await this.holder(name)) !== null;
  }

  /** Who holds the lock: host, process, language, since when, with which note. Of several one. */
  async holder(name: string): Promise<HolderInfo | null> {
    return (await this.inspect(name)).holder ?? null;
  }

  /** The lock, as people see it: who holds it and who waits, now. */
  async inspect(name: string): Promise<LockInfo> {
    return lockInfo(await post.finish(this.#native.inspect(text("the lock name", name)), name));
  }

  /**
   * Locks that are held or waited for and whose names start with `prefix`, in order of name, of each store
   * that the configuration may send such a name to: at most `limit` (100), only those after `after`. What a
   * store has besides, under a name that belongs elsewhere, is left out.
   */
  async list(
    prefix = "",
    page?: { readonly after?: string | undefined; readonly limit?: number | undefined },
  ): Promise<Placed[]> {
    const { after, limit = 100 } = options(page, PAGE);
    const call = this.#native.list(
      text("prefix", prefix),
      after === undefined ? after : text("after", after),
      whole("limit", limit, 0, 2 ** 32 - 1),
    );
    const found = await post.finish(call);
    return found.map(({ store, lock }) => ({ store, lock: lockInfo(lock) }));
  }

  /** Asks whoever holds the lock to give it back; see `client.askBack`. */
  askBack(name: string, options: AskBackOptions): Promise<Returned> {
    return ask(name, options, (...asked) => this.#native.askBack(...asked));
  }

  /**
   * Ends the tenures of a lock from outside, as `client.evict` does. Rejects with `UnsupportedError` where the
   * configuration does not permit it (`permissions.evict`).
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
   * Takes a lock away: asks for it back first, and ends those tenures that are not given back within the
   * grace, one for each fence. Where the configuration doesn't permit the rest, rejects with
   * `UnsupportedError` and asks nobody. Once its signal is aborted it ends nothing any more.
   */
  revoke(name: string, options: AskBackOptions): Promise<Returned> {
    return ask(name, options, (...asked) => this.#native.revoke(...asked));
  }

  /**
   * How each store is, in order of name, asked all at once: within the 5 s that a request may take, whatever
   * they do. What fails is in the answer.
   */
  async health(): Promise<Health[]> {
    const found = await post.finish(this.#native.health());
    return found.map(({ store, url, roundTrip, error, held, waiting }) => ({
      store,
      url,
      held,
      waiting,
      ...(roundTrip === undefined ? {} : { roundTrip: roundTrip * 1000 }),
      ...(error === undefined ? {} : { error: fromFailure(error) }),
    }));
  }

  /** How this process uses `name` through this manager; null where it doesn't now. */
  usage(name: string): Usage | null {
    const found = this.#native.usage(text("the lock name", name));
    return found === null ? null : usageOf(found);
  }

  /** How this process uses each name that it uses, in order of name. */
  usages(): Usage[] {
    return this.#native.usages().map(usageOf);
  }

  /**
   * Ends the clients of all stores: holders are told, waiters refused, leases given back. Waits for that at
   * most `grace`; says whether it was enough.
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
    return `<Manager of ${this.usages().length} names in use>`;
  }

  #describe(name: string, kind: string): Managed {
    const managed = this.#native.describe(text("the lock name", name), kind);
    if ("code" in managed) {
      throw fromFailure(managed, name);
    }
    return managed;
  }
}

/** What a manager is made of that was opened already. */
class Opened {
  readonly stores = {};
  readonly native: NativeManager;

  constructor(native: NativeManager) {
    this.native = native;
  }
}

function made(native: NativeManager): Manager {
  return new Manager(new Opened(native));
}

function open(form: string, config: string, given: ClientOptions | undefined): NativeManager {
  const found: NativeManager | Failure = native.Manager.open(form, config, ...clientOptions(given));
  if ("code" in found) {
    throw fromFailure(found);
  }
  return found;
}

function usageOf({ lastUsed, ...rest }: NativeUsage): Usage {
  return lastUsed === undefined ? rest : { ...rest, lastUsed: new Date(lastUsed * 1000) };
}
