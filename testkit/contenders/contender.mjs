/**
 * contender.mjs URL NAME COUNT DIR WHO: takes the lock COUNT times, with a section for the oracle under
 * each lease. JavaScript can't read the oracle's clock, so that a program ($STEP) does the section.
 *
 * Prints `ready`, waits for a line on its input, and prints `done` at the end. Where DIR is
 * `-` there is no section, for a bench, which warms up on a lock of its own before it is ready.
 */

import { spawnSync } from "node:child_process";
import { once } from "node:events";
import process from "node:process";

import { connect } from "../../node/dist/index.mjs";

const [url, name, count, folder, who] = process.argv.slice(2);
const client = connect(url);
const bench = folder === "-";

function section(lease) {
  const env = { ...process.env, LEASEHOLD_FENCE: String(lease.fence) };
  const step = spawnSync(process.env.STEP, [folder, who], { env, stdio: "inherit" });
  if (step.status !== 0) {
    throw step.error ?? new Error(`the section ended with ${step.status}`);
  }
}

async function turns(name, times) {
  for (let turn = 0; turn < times; turn++) {
    await client.withLock(name, { ttl: "30s" }, bench ? () => {} : section);
  }
}

if (bench) {
  await turns(`${name}:${who}`, 1000);
}
console.log("ready");
await once(process.stdin, "data");
process.stdin.pause();
await turns(name, Number(count));
console.log("done");
