/**
 * A distributed lock: at most one holder at a time, and a fence that says which.
 *
 *     import { connect } from "leasehold";
 *
 *     const client = connect();               // the embedded store of this user on this host
 *     await client.withLock("invoice:42", { ttl: "30s", wait: "5s" }, async (lease) => {
 *       await write(row, { fence: lease.fence, signal: lease.signal });
 *     });
 *
 * Durations are milliseconds or strings such as "30s".
 *
 * @packageDocumentation
 */

export { Client, connect } from "./client.js";
export {
  CancelledError,
  DeadlockError,
  ForkedError,
  InternalError,
  InvalidInputError,
  LockError,
  LockLostError,
  LockTimeoutError,
  QueueFullError,
  ShutDownError,
  StoreFailedError,
  StoreUnavailableError,
  UnsupportedError,
} from "./errors.js";
export { Lock, RwLock, Semaphore } from "./kinds.js";
export type { Body } from "./kinds.js";
export type { Lease } from "./lease.js";
export type { BodyOfAll, Leases, Lockable, Wanted } from "./multi.js";
export { Owner } from "./plain.js";
export type {
  Duration,
  HolderInfo,
  Kind,
  LockInfo,
  LockOptions,
  LostReason,
  Order,
  ReleaseState,
  TryOptions,
  WaiterInfo,
} from "./plain.js";
