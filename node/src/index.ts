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

export { AdaptiveTtl } from "./adaptive.js";
export type { AdaptedLock, AdaptedOptions, Choice } from "./adaptive.js";
export type { Requests } from "./asked.js";
export { Barrier } from "./barrier.js";
export type { BodyInside, EnterOptions, Inside } from "./barrier.js";
export { Client, connect } from "./client.js";
export { Election } from "./election.js";
export type {
  BodyOfLeader,
  CampaignOptions,
  Leader,
  Leadership,
  Observer,
  TryCampaignOptions,
  Value,
} from "./election.js";
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
export * as guard from "./guard.js";
export { Lock, RwLock, Semaphore } from "./kinds.js";
export type { Body } from "./kinds.js";
export { Latch } from "./latch.js";
export type { Lease } from "./lease.js";
export { Manager } from "./manager.js";
export type { Config, Health, Placed, Settings, Usage } from "./manager.js";
export type { BodyOfAll, Leases, Lockable, Wanted } from "./multi.js";
export { Owner } from "./plain.js";
export type {
  AskBackOptions,
  AskedBack,
  ClientOptions,
  Deadlocks,
  Duration,
  HolderInfo,
  Kind,
  LockInfo,
  LockOptions,
  LostReason,
  Order,
  ReleaseState,
  ReturnState,
  Returned,
  TryOptions,
  WaitOptions,
  WaiterInfo,
} from "./plain.js";
