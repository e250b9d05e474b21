/** The programs of the README run as they stand. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { HERE, folder, run } from "./help.mjs";

const text = readFileSync(join(HERE, "README.md"), "utf8");
const programs = [...text.matchAll(/^```js\n(.*?)^```/gms)].map(([, program]) => program ?? "");

test("there are programs", () => assert.ok(programs.length >= 3));

for (const [index, program] of programs.entries()) {
  test(`program ${index + 1}`, async () => {
    const end = await run(program, [], { LEASEHOLD_URL: `sqlite://${folder()}/locks.db` });
    assert.deepEqual([end.code, end.err], [0, ""]);
  });
}
