/** What is packed works where it is installed, with nothing but npm; and says so where it can't. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { promisify } from "node:util";

import { HERE, PATIENCE, folder, run } from "./help.mjs";

const call = promisify(execFile);

describe("the packed package", () => {
  const project = folder();
  const url = `sqlite://${project}/locks.db`;
  const take = `await connect(process.argv[1]).withLock("a", ({ fence }) => console.log(fence > 0));`;

  before(async () => {
    const options = { cwd: project, timeout: 2 * PATIENCE };
    await call("npm", ["pack", "--silent", "--pack-destination", project, HERE], options);
    const packed = readdirSync(project).find((name) => name.endsWith(".tgz")) ?? "";
    writeFileSync(join(project, "package.json"), '{ "private": true }');
    await call("npm", ["install", "--offline", "--no-audit", "--no-fund", `./${packed}`], options);
  });

  const start = async (file: string, program: string): Promise<string> => {
    writeFileSync(join(project, file), program);
    const { stdout, stderr } = await call(process.execPath, [join(project, file), url], {
      timeout: PATIENCE,
    });
    assert.equal(stderr, "");
    return stdout;
  };

  test("takes a lock by import", async () => {
    const program = `import { connect } from "leasehold"; ${take.replace("argv[1]", "argv[2]")}`;
    assert.equal(await start("first.mjs", program), "true\n");
  });

  test("takes a lock by require", async () => {
    const program = `const { connect } = require("leasehold");
      (async () => { ${take.replace("argv[1]", "argv[2]")} })();`;
    assert.equal(await start("first.cjs", program), "true\n");
  });

  test("has types for both", async () => {
    const body = `
      async function main(): Promise<number> {
        const client: Client = connect("memory://");
        await using lease: Lease = await client.acquire("a", { ttl: "30s", wait: 5000 });
        const maybe: Lease | null = await client.tryAcquire("b", { signal: lease.signal });
        // @ts-expect-error a try doesn't wait
        await client.tryAcquire("b", { wait: 1 });
        // @ts-expect-error no such option
        await client.acquire("b", { tll: 1 });
        for await (const leader of client.election("e").observe({ signal: lease.signal })) {
          const said: string = String(leader?.value ?? leader?.who.host);
          if (said !== "") break;
        }
        const led: boolean = await client.election("e").lead((leadership) => leadership.isLeader);
        const left: number = led ? await client.latch("l", 2, { keep: "1h" }).countDown() : 0;
        await client.barrier("b", 1).within({ wait: 5 }, (inside) => inside.fence + left);
        // @ts-expect-error a place has no renew
        await client.barrier("b", 1).enter({ renew: false });
        for (const tried of await client.tryEach(["d", lease.name])) {
          if (tried.status === "fulfilled") await tried.value?.release();
        }
        const adapted: Lease = await new AdaptiveTtl().adapt(client.lock("f")).acquire({ note: "n" });
        // @ts-expect-error its ttl is chosen
        await new AdaptiveTtl().adapt(client.lock("f")).acquire({ ttl: 1 });
        const run: guard.Run<guard.Changed> = (sql, [resource]) => sql.length + resource.length;
        new guard.Table("fences", "mysql").admitSync(run, "a", adapted.fence);
        // @ts-expect-error no such database
        new guard.Table("fences", "oracle");
        const both: [number, string] = await client.withLock("c", async (x) => [x.fence, x.name]);
        return both[0] + (maybe?.fence ?? 0);
      }
      export { main };
    `;
    const names = "{ AdaptiveTtl, connect, guard, type Client, type Lease }";
    writeFileSync(join(project, "typed.mts"), `import ${names} from "leasehold"; ${body}`);
    writeFileSync(join(project, "typed.cts"), `import ${names} from "leasehold"; ${body}`);
    const flags = [
      "--noEmit",
      "--strict",
      "--module",
      "nodenext",
      "--lib",
      "es2022,esnext.disposable",
    ];
    const tsc = join(HERE, "node_modules", "typescript", "bin", "tsc");
    const types = ["--types", "node", "--typeRoots", join(HERE, "node_modules", "@types")];
    const files = ["typed.mts", "typed.cts"].map((name) => join(project, name));
    await call(process.execPath, [tsc, ...flags, ...types, ...files], { cwd: project });
  });

  test("runs nothing when it is installed, and depends on nothing", () => {
    const text = readFileSync(join(project, "node_modules/leasehold/package.json"), "utf8");
    const packed = JSON.parse(text) as { scripts?: object; dependencies?: object };
    const scripts = Object.keys(packed.scripts ?? {});
    assert.ok(!scripts.some((name) => /install|prepare|prepublish/.test(name)), `${scripts}`);
    assert.equal(packed.dependencies, undefined);
    const lock = JSON.parse(readFileSync(join(HERE, "package-lock.json"), "utf8")) as {
      packages: Record<string, { resolved?: string }>;
    };
    for (const [name, { resolved }] of Object.entries(lock.packages)) {
      assert.equal(resolved, undefined, `${name} names a registry`);
    }
  });
});

describe("a package without its binary", () => {
  const copy = (binary?: string): string => {
    const place = join(folder(), "leasehold");
    mkdirSync(place);
    cpSync(join(HERE, "dist"), join(place, "dist"), { recursive: true });
    cpSync(join(HERE, "package.json"), join(place, "package.json"));
    if (binary !== undefined) {
      cpSync(join(HERE, "binaries"), join(place, "binaries"), { recursive: true });
      for (const name of readdirSync(join(place, "binaries"))) {
        rmSync(join(place, "binaries", name));
        writeFileSync(join(place, "binaries", name), binary);
      }
    }
    return place;
  };
  // By require: Node 20 prints what a CommonJS module throws even where an import() of it is caught.
  const load = (place: string): string =>
    `import { createRequire } from "node:module";
     try { createRequire("/")(${JSON.stringify(place)}); } catch (error) {
       console.log(error.message);
       console.log(error.cause?.message ?? "no cause");
     }`;

  test("says what is missing, where, and what to do", async () => {
    const place = copy();
    const { code, out } = await run(load(place));
    assert.equal(code, 0);
    assert.ok(out.includes(`no binary for ${process.platform} ${process.arch}`), out);
    assert.ok(out.includes(join(place, "binaries")), out);
    assert.match(out, /leasehold-.*\.node.*make build-node.*\nno cause\n$/);
  });

  test("says that one does not load, and why", async () => {
    const { out } = await run(load(copy("not a library")));
    assert.match(out, /a binary for .* that does not load here/);
    assert.doesNotMatch(out, /no cause/);
  });
});
