/**
 * Whoever gives up a campaign, a barrier, a latch or several locks at any moment leaves nothing behind.
 *
 * The ttl of everything here is an hour: what is free at the end was given back.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { connect } from "leasehold";
import type { Client, Lease, Leases } from "leasehold";

import { STORES, block, eventually, nothingLeft, queued, randomness } from "./help.mjs";

const TRIES = 200;
const ttl = "1h";
const reason = new Error("enough");

/** What can be taken, and given up meanwhile: of the lock "a", and of others. */
const TAKEN: readonly [string, (client: Client, signal: AbortSignal) => Promise<Lease | Leases>][] =
  [
    ["a campaign", (client, signal) => client.election("a").campaign({ value: "v", ttl, signal })],
    ["several locks", (client, signal) => client.acquireAll(["b", "a", "c"], { ttl, signal })],
  ];

/** The result, or the error that it came to. */
const outcome = (taken: Promise<unknown>): Promise<unknown> =>
  taken.catch((error: unknown) => error);

/** So many turns of the loop, and steps of promises. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await (turn % 2 ? new Promise((resolve) => setImmediate(resolve)) : null);
  }
}

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
    const nothing = (client: Client): Promise<void> =>
      eventually(async () => (await client.list()).length === 0, "nothing is left");

    on("a signal that is aborted already", async (client) => {
      const signal = AbortSignal.abort(reason);
      const inside = await client.barrier("in", 1).enter({ ttl });
      const given = [
        ...TAKEN.map(([, take]) => take(client, signal)),
        client.election("a").tryCampaign({ signal }),
        client.election("a").lead({ signal }, () => assert.fail("it leads")),
        client.election("a").leader({ signal }),
        client.election("a").observe({ signal }).next(),
        client.latch("l", 1).wait({ signal }),
        client.barrier("a", 1).enter({ signal }),
        client.barrier("a", 1).within({ signal }, () => assert.fail("it is inside")),
        client.tryEach(["a"], { signal }),
        client.tryAcquireAll(["a"], { signal }),
      ];
      for (const one of given) {
        assert.equal(await outcome(one), reason);
      }
      assert.equal(await outcome(inside.leave({ signal })), reason);
      await nothing(client);
      assert.equal(await client.election("a").leader(), null);
    });

    for (const [what, take] of TAKEN) {
      on(`${what}, aborted while it waits`, async (client) => {
        const first = await client.acquire("a", { ttl });
        for (let tries = 0; tries < TRIES; tries += 20) {
          const aborts = Array.from({ length: 20 }, () => new AbortController());
          const taken = aborts.map(({ signal }) => outcome(take(client, signal)));
          if (tries % 40 === 0) {
            await queued(client, "a", 20);
          }
          aborts.forEach((one) => one.abort(reason));
          assert.ok((await Promise.all(taken)).every((error) => error === reason));
          await queued(client, "a", 0);
        }
        assert.ok(first.isHeld);
        await first.release();
        await nothing(client);
      });

      on(`${what}, aborted after the grant, before its delivery`, async (client, other) => {
        let late = 0;
        for (let tries = 0; tries < TRIES; tries += 1) {
          const first = await client.acquire("a", { ttl });
          const abort = new AbortController();
          const taken = outcome(take(client, abort.signal));
          await queued(client, "a");
          const given = first.release();
          // The grant is made and told by other threads. This one takes no turn of its loop meanwhile, so
          // that the news lies in the mailbox when the signal is aborted.
          block(2);
          abort.abort(reason);
          assert.equal(await taken, reason);
          await given;
          late += (await client.isLocked("a")) ? 1 : 0;
          await nothing(client);
        }
        assert.equal(await other.election("a").leader(), null);
        console.log(`${store.name}: ${what} seen held in ${late} of ${TRIES} after the abort`);
      });

      on(`${what}, aborted at any time around the grant`, async (client, other) => {
        const random = randomness();
        const came = { granted: 0, aborted: 0 };
        for (let tries = 0; tries < TRIES; tries += 1) {
          const first = random() < 0.5 ? await other.acquire("a", { ttl }) : null;
          const abort = new AbortController();
          const taken = outcome(take(client, abort.signal));
          await turns(Math.floor(random() * 8));
          const given = first?.release();
          await turns(Math.floor(random() * 8));
          abort.abort(reason);
          const result = await taken;
          await given;
          if (result === reason) {
            came.aborted += 1;
          } else {
            came.granted += 1;
            assert.equal(await (result as Lease).release(), "released");
          }
          if (tries % 10 === 0) {
            await nothing(client);
          }
        }
        await nothing(client);
        assert.equal(await other.election("a").leader(), null);
        assert.equal(came.granted + came.aborted, TRIES);
        console.log(`${store.name}: ${what}: ${came.granted} granted, ${came.aborted} aborted`);
      });
    }

    on("each alone, aborted at any time", async (client) => {
      const random = randomness();
      for (let tries = 0; tries < TRIES; tries += 1) {
        const abort = new AbortController();
        const taken = outcome(client.tryEach(["a", "b"], { ttl, signal: abort.signal }));
        await turns(Math.floor(random() * 8));
        abort.abort(reason);
        const result = await taken;
        if (result !== reason) {
          for (const one of result as PromiseFulfilledResult<Lease | null>[]) {
            assert.equal(await one.value?.release(), "released");
          }
        }
        await nothing(client);
      }
    });

    on("a barrier, aborted at any time while its members come", async (client, other) => {
      const random = randomness();
      const came = { inside: 0, aborted: 0 };
      for (let tries = 0; tries < TRIES; tries += 1) {
        const abort = new AbortController();
        const one = outcome(client.barrier("b", 2).enter({ ttl, signal: abort.signal }));
        const stay = new AbortController();
        const two = outcome(other.barrier("b", 2).enter({ ttl, signal: stay.signal }));
        await turns(Math.floor(random() * 40));
        abort.abort(reason);
        const result = await one;
        came[result === reason ? "aborted" : "inside"] += 1;
        // The other is in, if this one was in for a moment; else it waits, and is not in by mistake.
        stay.abort(reason);
        for (const inside of [result, await two]) {
          await (inside === reason ? undefined : (inside as Lease).release());
        }
        await nothing(client);
      }
      console.log(`${store.name}: ${came.inside} inside, ${came.aborted} aborted`);
    });

    on("a barrier, aborted on the way out: the others go on", async (client, other) => {
      for (let tries = 0; tries < TRIES / 10; tries += 1) {
        const enter = (which: Client) => which.barrier("b", 2).enter({ ttl });
        const [one, two] = await Promise.all([enter(client), enter(other)]);
        const abort = new AbortController();
        const leaving = outcome(one.leave({ signal: abort.signal }));
        await turns(tries);
        abort.abort(reason);
        assert.equal(await leaving, reason);
        await two.leave({ wait: "60s" });
        await nothing(client);
      }
    });

    on(
      "a latch, aborted while it is waited for, and at any time around its end",
      async (client, other) => {
        const random = randomness();
        const never = client.latch("never", 1);
        const aborts = Array.from({ length: 50 }, () => new AbortController());
        const waiting = aborts.map(({ signal }) => outcome(never.wait({ signal })));
        await turns(4);
        aborts.forEach((one) => one.abort(reason));
        assert.ok((await Promise.all(waiting)).every((error) => error === reason));
        for (let tries = 0; tries < TRIES / 4; tries += 1) {
          const latch = client.latch(`l${tries}`, 1);
          const abort = new AbortController();
          const wait = outcome(latch.wait({ signal: abort.signal }));
          const counted = other.latch(`l${tries}`, 1).countDown();
          await turns(Math.floor(random() * 12));
          abort.abort(reason);
          assert.ok([undefined, reason].includes((await wait) as undefined));
          assert.equal(await counted, 0);
          await latch.wait();
        }
        const timeout = never.wait({ signal: AbortSignal.timeout(20) });
        await assert.rejects(timeout, { name: "TimeoutError" });
        const watch = async (): Promise<void> => {
          for await (const _ of client.election("a").observe({ signal: AbortSignal.timeout(20) }));
        };
        await assert.rejects(watch(), { name: "TimeoutError" });
      },
    );

    on("an observer, aborted at any time around a change", async (client, other) => {
      const random = randomness();
      const leadership = await client.election("e").campaign({ value: "0", ttl });
      for (let tries = 1; tries < TRIES / 2; tries += 1) {
        const abort = new AbortController();
        const observer = other.election("e").observe({ signal: abort.signal });
        assert.equal(String((await observer.next()).value?.value), String(tries - 1));
        const next = outcome(observer.next());
        const proclaimed = leadership.proclaim(String(tries));
        await turns(Math.floor(random() * 12));
        abort.abort(reason);
        const result = await next;
        if (result !== reason) {
          const { value } = result as IteratorResult<{ value: Buffer }>;
          assert.equal(String(value.value), String(tries));
        }
        await proclaimed;
      }
      await leadership.resign();
      await nothingLeft(client, "e");
    });

    on("listeners don't pile up on a long-lived signal", async (client, other) => {
      const { signal } = new AbortController();
      let [added, removed] = [0, 0];
      const { addEventListener, removeEventListener } = signal;
      signal.addEventListener = (...args: unknown[]): void => {
        added += 1;
        Reflect.apply(addEventListener, signal, args);
      };
      signal.removeEventListener = (...args: unknown[]): void => {
        removed += 1;
        Reflect.apply(removeEventListener, signal, args);
      };
      const leadership = await other.election("e").campaign({ value: "0", ttl });
      const observer = client.election("e").observe({ signal });
      await observer.next();
      for (let tries = 1; tries < 20; tries += 1) {
        const change = observer.next();
        const latch = client.latch(`l${tries}`, 1);
        const wait = latch.wait({ signal });
        await leadership.proclaim(String(tries));
        await latch.countDown();
        await Promise.all([change, wait]);
      }
      await leadership.resign();
      assert.ok(added >= 20, `${added}`);
      assert.equal(added, removed);
    });
  });
}
