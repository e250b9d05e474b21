/**
 * The end of the process: the holders are told, what can be given back in bounded time is, and
 * attempts that still wait leave their queues.
 *
 * "exit" comes after a natural end (whose "beforeExit" may still start new work), after process.exit()
 * and after an uncaught error. Only synchronous work is done there, hence the native call that blocks.
 * It is the main thread's alone: a worker that ends must not take the locks of others, and gives back
 * its own by the native half's hook.
 *
 * No handler of a signal is installed: what Ctrl-C does is the program's to say.
 */

import { isMainThread } from "node:worker_threads";

import { native } from "./native.js";

/** How long the exit may be delayed. A lock that could not be given back in time expires. */
const GRACE_MS = 1000;

// A test runner may load this module many times in one process.
const mark = Symbol.for("leasehold.exit");
if (isMainThread && !(mark in process)) {
  Object.defineProperty(process, mark, { value: true });
  process.on("exit", () => native.releaseAll(GRACE_MS));
}
