/**
 * Runs the tests that tsc has put into build/, one process each, and ends with a line that counts
 * them for the ledger: `run.mjs [NAME...]`, or all.
 */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const folder = join(import.meta.dirname, "..", "build");
const wanted = process.argv.slice(2);
const files = readdirSync(folder)
  .filter((name) => name.endsWith(".test.mjs"))
  .filter((name) => wanted.length === 0 || wanted.includes(name.slice(0, -".test.mjs".length)))
  .sort()
  .map((name) => join(folder, name));

let [tests, ignored, failed] = [0, 0, 0];
const count = ({ details, skip }, bad) => {
  if (details.type !== "suite") {
    if (skip === undefined) tests += 1;
    else ignored += 1;
  }
  failed += bad;
};
const stream = run({ files, concurrency: 1, timeout: 600_000 });
stream.on("test:pass", (data) => count(data, 0)).on("test:fail", (data) => count(data, 1));
stream.compose(new spec()).pipe(process.stdout);
stream.on("end", () => {
  process.on("exit", () => {
    console.log(`suite: ${tests} tests, ${ignored} ignored, ${failed} failed`);
  });
  process.exitCode = failed > 0 || tests === 0 ? 1 : 0;
});
