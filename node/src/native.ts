/**
 * Finds and loads the native half. Not a public API.
 *
 * The package carries its binary: nothing is downloaded when it is installed. Where there is none for
 * this platform, the import fails with the platform, the file and what to do; Node's own words would be
 * "Cannot find module".
 */

import { existsSync } from "node:fs";
import { join } from "node:path";

import type { Deadlocks, Kind, LostReason, ReleaseState, ReturnState } from "./plain.js";

/** An error as data. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly reason?: LostReason;
  readonly cycle: readonly string[];
  readonly causes: readonly string[];
}

/** One lock; spans and points in time are seconds. */
export interface Lock {
  readonly name: string;
  readonly holder?: {
    readonly fence: number;
    readonly told: number;
    readonly stored: number;
    readonly who: Who;
  };
  readonly queue: readonly Who[];
  readonly waiting: number;
}

/** Who holds or waits. */
export interface Who {
  readonly host: string;
  readonly pid: number;
  readonly language: string;
  readonly since: number;
  readonly note: string;
}

/** What an attempt came to; the numbers are the native half's. */
export const State = { pending: 0, held: 1, busy: 2, failed: 3 } as const;

/** Something that tells a mailbox when it is done; false where it is, and tells nothing. */
export interface Work {
  notify(mailbox: Mailbox, key: number): boolean;
}

/** What a number in a mailbox says beside its key, which is an eighth of it; else: look. */
export const Word = { held: 1, released: 2 } as const;

/** Kept by whoever made it: its end would be the end of all news. */
export interface Mailbox {
  released(key: number): ReleaseState | Failure | null;
  forgotten(): string[];
}

export interface Call<T> extends Work {
  cancel(): void;
  failure(): Failure | null;
  value(): T | null;
}

/** What is asked of one of several locks. */
export interface Asked {
  readonly name: string;
  readonly shared: boolean;
  readonly permits: number | undefined;
  readonly capacity: number;
  readonly ttl: number | undefined;
  readonly fixedTerm: boolean;
  readonly maxHold: number | undefined;
  readonly owner: bigint | undefined;
  readonly priority: number;
  readonly note: string;
  readonly order: string | undefined;
  readonly deadlockPriority: number | undefined;
}

export interface Attempt extends Work {
  each(): Attempt[];
  share(): Attempt;
  poll(): number;
  failure(): Failure | null;
  cancel(): void;
  fence(): number;
  kind(): Kind | null;
  epoch(): number | null;
  owner(): bigint | null;
  isHeld(): boolean;
  remaining(): number;
  lostReason(): LostReason | null;
  loss(): Failure | null;
  check(minRemaining: number): Failure | null;
  extend(ttl: number): Call<true>;
  proclaim(value: Uint8Array): Call<true>;
  leave(wait: number | undefined): Call<true>;
  askedBack(): Call<boolean>;
  takeAsked(): AskedBack | null;
  downgrade(): Call<true>;
  upgrade(): Call<true>;
  touch(): void;
  release(mailbox: Mailbox, key: number): number | null;
  onLost(mailbox: Mailbox, key: number): void;
}

export interface Latch {
  countDown(count: number): Call<number>;
  left(): Call<number>;
  opened(wait: number | undefined): Call<true>;
}

export interface Observer {
  changed(): Call<true>;
  take(): { readonly leader?: Leader } | null;
}

/** Who leads. */
export interface Leader {
  readonly fence: number;
  readonly value: Buffer;
  readonly who: Who;
}

/** A request to give a lease back. */
export interface AskedBack {
  readonly by: Who;
  readonly why: string;
  readonly grace: number;
}

/** What a request to give a lock back came to. */
export interface Returned {
  readonly state: ReturnState;
  readonly fence?: number;
  readonly holder?: Who;
  readonly others: readonly number[];
}

/** One store of a manager. */
export interface Health {
  readonly store: string;
  readonly url: string;
  readonly roundTrip?: number;
  readonly error?: Failure;
  readonly held: number;
  readonly waiting: number;
}

/** How this process uses one name. */
export interface Usage {
  readonly name: string;
  readonly held: number;
  readonly waiting: number;
  readonly idle: number;
  readonly lastUsed?: number;
}

/** All that a lock needs: a client, or what a manager describes. */
export interface Source {
  /** One that will put `key` into `mailbox`; in a list, if it is done and will not. */
  attempt(
    name: string,
    tryOnly: boolean,
    shared: boolean,
    permits: number | undefined,
    capacity: number,
    ttl: number | undefined,
    wait: number | undefined,
    fixedTerm: boolean,
    maxHold: number | undefined,
    owner: bigint | undefined,
    priority: number,
    note: string,
    order: string | undefined,
    deadlockPriority: number | undefined,
    mailbox: Mailbox,
    key: number,
  ): Attempt | [Attempt];
  attemptAdaptive(asked: Asked, adaptive: AdaptiveTtl): Attempt;
  resize(name: string, capacity: number, permits: number): Call<number>;
}

export interface Managed extends Source {
  capacity(): number;
}

export interface Manager {
  describe(name: string, kind: string): Managed | Failure;
  inspect(name: string): Call<Lock>;
  list(
    prefix: string,
    after: string | undefined,
    limit: number,
  ): Call<{ readonly store: string; readonly lock: Lock }[]>;
  evict(name: string, fence: number | undefined, why: string): Call<number>;
  askBack(name: string, why: string, grace: number, fence: number | undefined): Call<Returned>;
  revoke(name: string, why: string, grace: number, fence: number | undefined): Call<Returned>;
  health(): Call<Health[]>;
  usage(name: string): Usage | null;
  usages(): Usage[];
  shutdown(grace: number): Call<boolean>;
}

export interface Client extends Source {
  url(): string;
  attemptAll(asked: readonly Asked[], wait: number | undefined, tryOnly: boolean): Attempt;
  attemptEach(asked: readonly Asked[]): Attempt;
  campaign(asked: Asked, wait: number | undefined, tryOnly: boolean, value: Uint8Array): Attempt;
  observe(name: string): Observer;
  latch(name: string, count: number, keep: number | undefined): Latch;
  enter(asked: Asked, wait: number | undefined, parties: number): Attempt;
  deadlocks(): Deadlocks | Failure;
  owner(): bigint | Failure;
  ping(): Call<true>;
  inspect(name: string): Call<Lock>;
  list(prefix: string, after: string | undefined, limit: number): Call<Lock[]>;
  evict(name: string, fence: number | undefined, why: string): Call<number>;
  askBack(name: string, why: string, grace: number, fence: number | undefined): Call<Returned>;
  shutdown(grace: number): Call<boolean>;
}

/** What a lock is to be asked with, from its history; spans are seconds. */
export interface AdaptiveTtl {
  held(span: number): Failure | null;
  waited(span: number): Failure | null;
  choose(): {
    readonly ttl: number;
    readonly wait: number;
    readonly holds: number;
    readonly hold: number;
    readonly waited: number;
    readonly load: number;
    readonly words: string;
  };
}

/** The largest fence seen of each of many resources. */
export interface Gate {
  admit(resource: string, fence: number): Failure | null;
  forget(resource: string): void;
}

interface Native {
  readonly AdaptiveTtl: new () => AdaptiveTtl;
  readonly Gate: new () => Gate;
  fences(
    dialect: string,
    name: string,
    style: string,
  ): { readonly create: string; readonly admit: string[]; readonly forget: string } | Failure;
  fenceColumn(dialect: string, name: string, marker: string): string[] | Failure;
  header(name: string, fence: number): string | Failure;
  readHeader(value: string): { lock: string; fence: number } | Failure;
  guardTexts(): {
    readonly header: string;
    readonly staleStatus: number;
    readonly script: string;
    readonly stale: string;
  };
  readonly Client: {
    connect(
      url: string | undefined,
      deadlockDepth: number | undefined,
      audit: string | undefined,
    ): Client | Failure;
  };
  readonly Manager: {
    open(
      form: string,
      text: string,
      deadlockDepth: number | undefined,
      audit: string | undefined,
    ): Manager | Failure;
  };
  readonly Mailbox: new (arrived: (numbers: number[]) => void) => Mailbox;
  errorCodes(): string[];
  lostReasons(): LostReason[];
  releaseAll(graceMs: number): boolean;
}

/** Where binaries lie, in the package and beside its sources. */
const FOLDER = join(__dirname, "..", "binaries");

/** The names under which a binary for this platform may lie. */
export function candidates(platform: string, arch: string): string[] {
  const base = `leasehold-${platform}-${arch}`;
  return platform === "linux" ? [`${base}-gnu.node`, `${base}-musl.node`] : [`${base}.node`];
}

/** Loads the first of `files` in `folder` that is there and loads. */
export function load(folder: string, files: readonly string[]): unknown {
  let cause: unknown;
  for (const file of files) {
    const path = join(folder, file);
    if (existsSync(path)) {
      try {
        return require(path);
      } catch (error) {
        cause ??= error;
      }
    }
  }
  const what =
    cause === undefined
      ? `has no binary for ${process.platform} ${process.arch}`
      : `has a binary for ${process.platform} ${process.arch} that does not load here`;
  const message =
    `leasehold ${what}: looked for ${files.join(" and ")} in ${folder}. ` +
    "Install a package that was packed on this platform, or build it from source: " +
    "`make build-node` in the repository (needs Rust).";
  throw new Error(message, cause === undefined ? undefined : { cause });
}

export const native = load(FOLDER, candidates(process.platform, process.arch)) as Native;
