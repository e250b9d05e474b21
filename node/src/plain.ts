/** Plain data that the calls take and give. */

import { invalid, shown } from "./errors.js";
import type { Lock, Returned as NativeReturned, Who } from "./native.js";

/** Milliseconds, or a string such as `"500ms"`, `"30s"`, `"5m"`, `"1h"`, `"1d"`. */
export type Duration = number | string;

/** How a lock is held: by one holder, together with other readers, or as some of the permits. */
export type Kind = "exclusive" | "shared" | "permits";

/** Why a lease ended before its release. */
export type LostReason =
  /** It was not renewed in time: the process was paused or starved, or it was a fixed term. */
  | "expired"
  /** It was ended from outside. */
  | "revoked"
  /** Another holds the lock with a newer fence. */
  | "superseded"
  /** The store did not answer until the deadline. */
  | "store_unreachable"
  /** The store's session that carried it ended. */
  | "session_expired"
  /** It reached its `maxHold`. */
  | "max_hold"
  /** It belongs to the parent of this forked process. */
  | "forked"
  /** The client was shut down, or the process is exiting. */
  | "shutdown";

/** Every reason, for a check against the core's list. */
export const LOST_REASONS: readonly LostReason[] = [
  "expired",
  "revoked",
  "superseded",
  "store_unreachable",
  "session_expired",
  "max_hold",
  "forked",
  "shutdown",
];

/**
 * What a release found: the lock was given back; the store has not answered yet and the release goes
 * on in the background; there was nothing to give back any more; it was given back before.
 */
export type ReleaseState = "released" | "background" | "lost" | "repeated";

/** Who waits for a lock, or holds it. */
export interface WaiterInfo {
  readonly host: string;
  readonly pid: number;
  readonly language: string;
  /** When the attempt began. */
  readonly since: Date;
  readonly note: string;
}

/** @internal */
export function waiterInfo({ host, pid, language, since, note }: Who): WaiterInfo {
  return { host, pid, language, since: new Date(since * 1000), note };
}

/** Who holds a lock. */
export interface HolderInfo {
  readonly fence: number;
  /** Milliseconds left of the lease as the holder was told. */
  readonly told: number;
  /** Milliseconds left of it in the store, which keeps it a little longer. */
  readonly stored: number;
  readonly who: WaiterInfo;
}

/** One lock, as people see it. */
export interface LockInfo {
  readonly name: string;
  /** Who holds it, if anybody does. */
  readonly holder?: HolderInfo;
  /** Who waits, first in line first; at most 100. */
  readonly queue: readonly WaiterInfo[];
  /** How many wait in all. */
  readonly waiting: number;
}

/** A request to give a lease back. */
export interface AskedBack {
  /** Who asks. */
  readonly by: WaiterInfo;
  readonly why: string;
  /** The milliseconds that the holder had when it was told. Whoever asks may end the lease then. */
  readonly grace: number;
}

/**
 * What a request to give a lock back came to: no one held it, or not with that fence; the tenure was over
 * in time; the grace is over, and it is still held; the holder held on, and its tenure was ended, by
 * `manager.revoke` only.
 */
export type ReturnState = "not_held" | "given_back" | "still_held" | "evicted";

/** What a request to give a lock back came to. */
export interface Returned {
  readonly state: ReturnState;
  /**
   * The fence of the tenure; of several that of the first, and where they are still held of the first that is
   * left. Absent where nobody held it.
   */
  readonly fence?: number;
  /** Who holds or held it. */
  readonly holder?: WaiterInfo;
  /** The fences of those that were asked besides and hold it too. */
  readonly others: readonly number[];
}

/** How a lock is asked for back. */
export interface AskBackOptions {
  /** The reason, which the holder is told: at most 256 bytes. */
  readonly why: string;
  /** How long the holder has to give it back: 10 ms to 365 days. */
  readonly grace: Duration;
  /** Ask only who holds it with this fence. */
  readonly fence?: number | undefined;
  /** Gives up the wait when it is aborted; the request then stands until its grace is over. */
  readonly signal?: AbortSignal | undefined;
}

/** How a client is made, or those of a manager. */
export interface ClientOptions {
  /**
   * How many owners the search for deadlocks follows from one that waits to the next, 1 to 10,000 (64). A
   * longer circle is not found by this client's waits. Clients that wait for each other should have the same.
   */
  readonly deadlockDepth?: number | undefined;
  /**
   * The path of a file to which a line of JSON is appended for each eviction and each request to give a lock
   * back, before and after. What can't be written is not done.
   */
  readonly audit?: string | undefined;
}

/** @internal */
export function returnedOf({ holder, ...rest }: NativeReturned): Returned {
  return holder === undefined ? rest : { ...rest, holder: waiterInfo(holder) };
}

/** @internal */
export function lockInfo(plain: Lock): LockInfo {
  const { name, holder, queue, waiting } = plain;
  const common = { name, queue: queue.map(waiterInfo), waiting };
  if (holder === undefined) {
    return common;
  }
  const { fence, told, stored, who } = holder;
  return {
    ...common,
    holder: { fence, told: told * 1000, stored: stored * 1000, who: waiterInfo(who) },
  };
}

/**
 * An explicit identity, for the locks of one unit of work: re-entry and deadlock detection go by it,
 * never by the asynchronous context. From `client.owner()`; the number may be passed on to another
 * process.
 */
export class Owner {
  readonly number: bigint;

  constructor(number: bigint) {
    if (typeof number !== "bigint") {
      throw new TypeError(`an owner's number is a bigint, not ${shown(number)}`);
    }
    if (number < 0n || number >= 1n << 128n) {
      throw invalid(`an owner's number has 128 bits: ${number} has not`);
    }
    this.number = number;
  }
}

/** How a lock is asked for. What is absent has its default. */
export interface TryOptions {
  /** How long the lease lasts without a renewal: 10 ms to 365 days; 30 s. */
  readonly ttl?: Duration | undefined;
  /** False for a fixed term, which ends after its ttl whatever happens. */
  readonly renew?: boolean | undefined;
  /** The longest tenure, however often renewed; `lease.touch()` counts anew. */
  readonly maxHold?: Duration | undefined;
  /** An identity for re-entry and deadlock detection, from `client.owner()`. */
  readonly owner?: Owner | undefined;
  /** Free text for people who look at the lock, at most 256 bytes. */
  readonly note?: string | undefined;
  /**
   * Gives up the attempt when it is aborted, with the signal's reason as the error. It ends with the
   * grant: afterwards it is the caller's to release.
   */
  readonly signal?: AbortSignal | undefined;
}

/** How long something is waited for. */
export interface WaitOptions {
  /** How long to wait: for ever where it is absent. */
  readonly wait?: Duration | undefined;
  /** Gives up the wait when it is aborted, with the signal's reason as the error. */
  readonly signal?: AbortSignal | undefined;
}

/** What the searches for deadlocks came to; see `client.deadlocks`. */
export interface Deadlocks {
  /** Looks taken. */
  readonly looks: number;
  /** Cycles found, also those whose victim was another's wait. */
  readonly found: number;
  /** Waits that were ended: they were the victims. */
  readonly victims: number;
  /** Owners in the longest cycle found. */
  readonly longest: number;
  /** Looks that followed a chain of 64 owners to no end. */
  readonly cut: number;
}

/** How a lock is asked for by who waits for it. */
export interface LockOptions extends TryOptions {
  /** How long to wait: for ever where it is absent, 0 not at all. */
  readonly wait?: Duration | undefined;
  /** Larger goes first in the queue. */
  readonly priority?: number | undefined;
  /** Of the waits in a deadlock that with the smallest ends; absent: as the `priority`. */
  readonly deadlockPriority?: number | undefined;
  /**
   * `"fifo"` (the default) or, for a lock that many calls of this process contend for, `"throughput"`: it
   * goes from one to the next with no step of the store in between, to at most 512 of them and for
   * at most 50 ms, then to whoever waits elsewhere. Each has a lease and a fence of its own. Without an
   * owner, and for exclusive locks that are taken alone.
   */
  readonly order?: Order | undefined;
}

/** In what order those who wait for a lock get it. */
export type Order = "fifo" | "throughput";
