/**
 * Election, latch, barrier, and several locks each alone. The rules are shown in core/tests/parties and
 * by the scenarios; here it is what JavaScript makes of them.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";

import {
  DeadlockError,
  InvalidInputError,
  LockLostError,
  LockTimeoutError,
  connect,
} from "leasehold";
import type { Client, Leader, Lease } from "leasehold";

import { STORES, collect, eventually, nothingLeft, queued } from "./help.mjs";

const ttl = "1h";

/** What is shown of a leader. */
const said = (leader: Leader | null | undefined): [number, string] | null =>
  leader == null ? null : [leader.fence, String(leader.value)];

for (const store of STORES) {
  describe(store.name, { skip: store.skip }, () => {
    const on = (what: string, body: (client: Client, other: Client) => Promise<void>): void => {
      test(what, async () => {
        const url = store.name === "memory" ? `memory://${crypto.randomUUID()}` : store.url();
        const [client, other] = [connect(url), connect(url)];
        await body(client, other);
        await Promise.all([client.shutdown(5000), other.shutdown(5000)]);
      });
    };

    on("who observes is told of each leader, and what it says", async (client, other) => {
      const told: ([number, string] | null)[] = [];
      const fences: number[] = [];
      const wait = async (count: number): Promise<void> =>
        eventually(() => told.length >= count, `${count} changes`);
      const watch = (async () => {
        for await (const leader of other.election("e").observe()) {
          told.push(said(leader));
          if (String(leader?.value) === "the end") {
            return leader;
          }
        }
        return null;
      })();
      await wait(1);
      const done = await client.election("e").lead({ value: "one", ttl }, async (leadership) => {
        await wait(2);
        fences.push(leadership.fence);
        assert.ok(leadership.isLeader && leadership.isHeld && !leadership.signal.aborted);
        assert.deepEqual(said(await other.election("e").leader()), [leadership.fence, "one"]);
        assert.equal((await client.inspect("e")).holder?.fence, leadership.fence);
        assert.equal(await client.election("e").tryCampaign({ value: "two" }), null);
        await leadership.proclaim(Buffer.from("two"));
        await wait(3);
        assert.match(inspect(leadership), /^<Leadership of "e", fence \d+, held>$/);
        return "done";
      });
      assert.equal(done, "done");
      await wait(4);
      const [first = 0] = fences;
      assert.deepEqual(told, [null, [first, "one"], [first, "two"], null]);
      await using last = await client.election("e").campaign({ value: "the end", note: "last" });
      assert.ok(last.fence > first);
      const leader = await watch;
      assert.deepEqual(said(leader), [last.fence, "the end"]);
      assert.deepEqual([leader?.who.language, leader?.who.note], ["node", "last"]);
      assert.equal(leader?.who.pid, process.pid);
    });

    on("the end of the block resigns", async (client, other) => {
      {
        await using leadership = await client.election("e").campaign({ ttl });
        assert.equal(said(await other.election("e").leader())?.[0], leadership.fence);
      }
      assert.equal(await other.election("e").leader(), null);
      await nothingLeft(other, "e");
      const next = await other.election("e").campaign({ ttl });
      assert.equal(await next.resign(), "released");
      assert.equal(await next.resign(), "repeated");
      assert.deepEqual([next.isLeader, next.lostReason], [false, undefined]);
    });

    on("a lead that is lost", async (client, other) => {
      const body = client.election("e").lead({ value: "a", ttl: "900ms" }, async (leadership) => {
        assert.equal(await other.evict("e", { why: "a test" }), leadership.fence);
        await new Promise((resolve) => leadership.signal.addEventListener("abort", resolve));
        assert.equal(leadership.isLeader, false);
        await assert.rejects(leadership.proclaim("still here"), LockLostError);
      });
      await assert.rejects(body, (error) => {
        return error instanceof LockLostError && error.reason === "revoked" && error.lock === "e";
      });
      assert.equal(await other.election("e").leader(), null);
      const own = new Error("own");
      const failing = client.election("e").lead(() => {
        throw own;
      });
      await assert.rejects(failing, own);
      await nothingLeft(other, "e");
    });

    on("an observer ends when its loop is left", async (client) => {
      await using leadership = await client.election("e").campaign({ value: "0", ttl });
      const observer = client.election("e").observe();
      for await (const leader of observer) {
        assert.equal(said(leader)?.[1], "0");
        break;
      }
      assert.deepEqual(await observer.next(), { done: true, value: undefined });
      // Two calls at a time share what comes: each change goes to one of them.
      const both = client.election("e").observe();
      const [one, two] = [both.next(), both.next()];
      await Promise.race([one, two]);
      await leadership.proclaim("1");
      const seen = (await Promise.all([one, two])).map(({ value }) => said(value)?.[1]);
      assert.deepEqual(seen.sort(), ["0", "1"]);
      // What waits is ended, too.
      const waiting = both.next();
      await both.return();
      assert.deepEqual(await waiting, { done: true, value: undefined });
    });

    on("a latch opens once it was counted down", async (client, other) => {
      const latch = client.latch("l", 3);
      assert.equal(await latch.left(), 3);
      const waiting = [latch.wait(), other.latch("l", 3).wait({ wait: "60s" })];
      assert.equal(await latch.countDown(), 2);
      await assert.rejects(latch.wait({ wait: 50 }), (error) => {
        return error instanceof LockTimeoutError && error.lock === "l";
      });
      assert.equal(await other.latch("l", 3, { keep: "1h" }).countDown(2), 0);
      await Promise.all(waiting);
      assert.deepEqual([await latch.left(), await latch.countDown()], [0, 0]);
      assert.equal(inspect(latch), '<Latch "l">');
    });

    on("a barrier is gone into and left together", async (client, other) => {
      const events: string[] = [];
      const party = async (which: Client, name: string): Promise<number> =>
        which.barrier("b", 2).within({ ttl, wait: "60s", note: name }, async (inside) => {
          events.push("in");
          await new Promise((resolve) => setImmediate(resolve));
          assert.equal(inside.kind, "permits");
          events.push("out");
          return inside.fence;
        });
      for (let round = 0; round < 3; round += 1) {
        const [one, two] = await Promise.all([party(client, "one"), party(other, "two")]);
        assert.notEqual(one, two);
        assert.deepEqual(events.splice(0).sort(), ["in", "in", "out", "out"]);
      }
      await nothingLeft(client, "b");
      assert.equal(inspect(client.barrier("b", 2)), '<Barrier "b" of 2>');
    });

    on(
      "who is late at a barrier holds the others up, and who fails does not",
      async (client, other) => {
        const enter = (which: Client) => which.barrier("b", 2).enter({ ttl });
        const [one, two] = await Promise.all([enter(client), enter(other)]);
        await assert.rejects(one.leave({ wait: 50 }), LockTimeoutError);
        assert.deepEqual([one.isHeld, two.isHeld], [false, true]);
        const again = one.leave();
        await two.leave({ wait: "60s" });
        await again;
        assert.equal(await one.release(), "repeated");
        const own = new Error("own");
        const failing = client.barrier("b", 2).within({ ttl }, () => {
          throw own;
        });
        const [, last] = await Promise.all([assert.rejects(failing, own), enter(other)]);
        await last.leave({ wait: "60s" });
        {
          await using _ = await client.barrier("b", 1).enter({ ttl });
        }
        await nothingLeft(client, "b");
      },
    );

    on("a place that is lost", async (client, other) => {
      const inside = await client.barrier("b", 1).enter({ ttl: "900ms" });
      assert.equal(await other.evict("b", { why: "a test" }), inside.fence);
      await new Promise((resolve) => inside.signal.addEventListener("abort", resolve));
      await assert.rejects(inside.leave(), LockLostError);
      await nothingLeft(client, "b");
    });

    on("each alone", async (client, other) => {
      await using _ = await other.acquire("b", { ttl });
      const each = await client.tryEach(
        ["a", { lock: "b", note: "n" }, client.rwlock("c").read()],
        { ttl },
      );
      const [a, b, c] = each.map((one) => (one.status === "fulfilled" ? one.value : one.reason));
      assert.deepEqual([(a as Lease).name, b, (c as Lease).kind], ["a", null, "shared"]);
      assert.equal(await (a as Lease).release(), "released");
      assert.ok((c as Lease).isHeld);
      // An error of one is its own.
      await using readers = await other.rwlock("r").read().acquire();
      const odd = await client
        .tryEach(["r", client.semaphore("r", 2).permits(), "d"], { ttl })
        .catch((error: unknown) => error);
      assert.ok(odd instanceof InvalidInputError, "a name twice");
      const [misfit, free] = await client.tryEach([client.semaphore("r", 2).permits(), "d"], {
        ttl,
      });
      assert.ok(misfit?.status === "rejected" && misfit.reason instanceof InvalidInputError);
      assert.equal(misfit.reason.lock, "r");
      assert.ok(free?.status === "fulfilled" && free.value?.isHeld === true && readers.isHeld);
      assert.deepEqual(await client.tryEach([]), []);
      await free.value.release();
      await (c as Lease).release();
    });

    on("each alone, forgotten, is given back with a warning", async (client, other) => {
      const warnings: string[] = [];
      const warned = (warning: Error): void => void warnings.push(warning.message);
      process.on("warning", warned);
      const take = async (): Promise<void> => {
        const [a] = await client.tryEach(["a", "b"], { ttl });
        assert.ok(a?.status === "fulfilled");
        await a.value?.release();
      };
      await take();
      await eventually(async () => {
        collect();
        return (await other.list()).length === 0;
      }, "given back");
      await eventually(() => warnings.length > 0, "warned");
      process.off("warning", warned);
      assert.match(warnings.join(), /never released/);
    });

    on("deadlocks are counted", async (client) => {
      const [one, two] = [client.owner(), client.owner()];
      await using _ = await client.acquire("a", { ttl, owner: one });
      await using b = await client.acquire("b", { ttl, owner: two });
      assert.equal(client.deadlocks().victims, 0);
      const waiting = client.acquire("b", { ttl, owner: one });
      await queued(client, "b");
      const other = client.acquire("a", { ttl, owner: two });
      const results = await Promise.allSettled([waiting, other.finally(() => b.release())]);
      const lost = results.filter((result) => result.status === "rejected");
      assert.ok(lost.length === 1 && lost[0]?.reason instanceof DeadlockError);
      const { victims, found, longest, looks, cut } = client.deadlocks();
      assert.deepEqual([victims, longest, cut], [1, 2, 0]);
      assert.ok(found >= 1 && looks >= found);
      for (const result of results) {
        await (result.status === "fulfilled" ? result.value.release() : undefined);
      }
    });

    on("what is wrong is said", async (client) => {
      const election = client.election("e");
      await assert.rejects(election.campaign({ value: "x".repeat(61441) }), /61441 bytes/);
      await assert.rejects(election.campaign({ value: "\ud800" }), /surrogate/);
      await assert.rejects(election.campaign({ value: 7 as never }), TypeError);
      await assert.rejects(election.campaign({ ttl: 0 }), InvalidInputError);
      await assert.rejects(election.tryCampaign({ wait: 5 } as never), /wait/);
      await assert.rejects(election.lead({}, 5 as never), /the body is 5/);
      await assert.rejects(client.election("").leader(), InvalidInputError);
      assert.throws(() => election.observe({ signal: 5 as never }), TypeError);
      assert.throws(() => election.observe({ other: 5 } as never), /other/);
      assert.throws(() => client.latch("l", -1), InvalidInputError);
      assert.throws(() => client.latch("l", 1, { keep: -1 }), InvalidInputError);
      await assert.rejects(client.latch("l", 0).countDown(), InvalidInputError);
      await assert.rejects(client.latch("l", 1, { keep: 5 }).left(), InvalidInputError);
      await assert.rejects(client.latch("l", 1).countDown(0), InvalidInputError);
      await assert.rejects(client.latch("l", 1).countDown(0.5), InvalidInputError);
      await assert.rejects(client.latch("l", 1).wait({ wait: -1 }), InvalidInputError);
      assert.throws(() => client.barrier("b", -1), InvalidInputError);
      for (const parties of [0, 101]) {
        await assert.rejects(client.barrier("b", parties).enter(), InvalidInputError);
      }
      await assert.rejects(client.barrier("", 1).enter(), InvalidInputError);
      await assert.rejects(client.barrier("b", 1).enter({ renew: false } as never), /renew/);
      await assert.rejects(client.tryEach(["a", "a"]), InvalidInputError);
      await assert.rejects(client.tryEach("ab"), TypeError);
      assert.deepEqual(await client.list(), []);
    });
  });
}
