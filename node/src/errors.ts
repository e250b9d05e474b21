/**
 * What can go wrong: one class for each code of the library's one list of codes. Told apart by what
 * the caller does next, as the comments say.
 */

import { inspect } from "node:util";

import type { Failure } from "./native.js";
import type { LostReason } from "./plain.js";

/** Any error of leasehold. The message names the input or the place that was wrong. */
export class LockError extends Error {
  /** The stable code, the same in every language. */
  readonly code: string = "LOCK_ERROR";
  /** Whether the same call may succeed later with nothing changed. */
  readonly retryable: boolean = false;
  /** Why the lease was lost, if that is what the error says. */
  readonly reason: LostReason | undefined;
  /** The lock's name, where the error is about one lock. */
  readonly lock: string | undefined;

  constructor(message: string, details: Details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = details.reason;
    this.lock = details.lock;
  }
}

/** What an error has beside its message. */
export interface Details {
  readonly cause?: unknown;
  readonly reason?: LostReason | undefined;
  readonly lock?: string | undefined;
  readonly cycle?: readonly string[];
}

/** The call's own input is wrong: change it. */
export class InvalidInputError extends LockError {
  override readonly code = "INVALID_INPUT";
}

/** This store, platform or build can't do it: ask for something else. */
export class UnsupportedError extends LockError {
  override readonly code = "UNSUPPORTED";
}

/** The wait ran out while another held the lock: try again, or don't. */
export class LockTimeoutError extends LockError {
  override readonly code = "LOCK_TIMEOUT";
  override readonly retryable = true;
}

/** The lock's queue is at its limit: shed load, or try again later. */
export class QueueFullError extends LockError {
  override readonly code = "QUEUE_FULL";
  override readonly retryable = true;
}

/** The attempt was cancelled and yields no lease. (An abort of your signal throws its own reason.) */
export class CancelledError extends LockError {
  override readonly code = "CANCELLED";
  override readonly retryable = true;
}

/** Waiting would never end: release what you hold before you try again. */
export class DeadlockError extends LockError {
  override readonly code = "DEADLOCK";
  /** Each wait in the cycle, one line each: who waits for what, held by whom. Your own first. */
  readonly cycle: readonly string[];

  constructor(message: string, details: Details = {}) {
    super(message, details);
    this.cycle = details.cycle ?? [];
  }
}

/** The lease ended before its release, for `reason`: stop acting under it. */
export class LockLostError extends LockError {
  override readonly code: string = "LOCK_LOST";
}

/** The store did not answer, or not in time: try again. */
export class StoreUnavailableError extends LockError {
  override readonly code = "STORE_UNAVAILABLE";
  override readonly retryable = true;
}

/** The store refused, or is unusable or broken: have it mended. */
export class StoreFailedError extends LockError {
  override readonly code = "STORE_FAILED";
}

/** The lease, or the call, is the parent's, inherited through `fork`: take your own. */
export class ForkedError extends LockLostError {
  override readonly code = "FORKED";
}

/** The client was shut down: make a new one. */
export class ShutDownError extends LockError {
  override readonly code = "SHUT_DOWN";
}

/** A bug in leasehold: please report it with the message. */
export class InternalError extends LockError {
  override readonly code = "INTERNAL";
}

type Kind = new (message: string, details?: Details) => LockError;

/** The class of each code. */
export const BY_CODE: Readonly<Record<string, Kind>> = {
  INVALID_INPUT: InvalidInputError,
  UNSUPPORTED: UnsupportedError,
  LOCK_TIMEOUT: LockTimeoutError,
  QUEUE_FULL: QueueFullError,
  CANCELLED: CancelledError,
  DEADLOCK: DeadlockError,
  LOCK_LOST: LockLostError,
  STORE_UNAVAILABLE: StoreUnavailableError,
  STORE_FAILED: StoreFailedError,
  FORKED: ForkedError,
  SHUT_DOWN: ShutDownError,
  INTERNAL: InternalError,
};

// On the prototypes, as the built-in errors have it: a stack begins with it, and it is not printed as
// a property of each error.
for (const kind of [LockError, ...Object.values(BY_CODE)]) {
  Object.defineProperty(kind.prototype, "name", { value: kind.name, configurable: true });
}

/** The error for `failure`, with its causes chained, nearest first. */
export function fromFailure(failure: Failure, lock?: string): LockError {
  const cause = failure.causes.reduceRight<Error | undefined>(
    (below, line) => new Error(line, below && { cause: below }),
    undefined,
  );
  const kind = BY_CODE[failure.code] ?? InternalError;
  return new kind(failure.message, { cause, reason: failure.reason, lock, cycle: failure.cycle });
}

/** A wrong input that the core never sees. */
export function invalid(message: string): InvalidInputError {
  return new InvalidInputError(message);
}

/** A value in a message, on one line. */
export function shown(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 80 });
}
