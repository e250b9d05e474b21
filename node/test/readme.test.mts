/** The programs of both READMEs run as they stand. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { HERE, folder, run } from "./help.mjs";

const pages = ["README.md", "../README.md"].map((name) => readFileSync(join(HERE, name), "utf8"));
const programs = pages.flatMap((text) =>
  [...text.matchAll(/^```js\n(.*?)^```/gms)].map(([, program]) => program ?? ""),
);

test("there are programs", () => assert.ok(programs.length >= 4));

for (const [index, program] of programs.entries()) {
  test(`program ${index + 1}`, async () => {
    const end = await run(program, [], { LEASEHOLD_URL: `sqlite://${folder()}/locks.db` });
    assert.deepEqual([end.code, end.err], [0, ""]);
  });
}
