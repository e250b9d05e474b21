import static java.util.concurrent.TimeUnit.SECONDS;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import leasehold.AdaptiveTtl;
import leasehold.BlockingClient;
import leasehold.BlockingLease;
import leasehold.BlockingLeases;
import leasehold.InvalidInputException;
import leasehold.Kind;
import leasehold.Leasehold;
import leasehold.LockException;
import leasehold.LockLostException;
import leasehold.LockOptions;
import leasehold.LockTimeoutException;
import leasehold.LostReason;
import leasehold.Owner;
import leasehold.ReleaseState;
import leasehold.guard.Column;
import leasehold.guard.Dialect;
import leasehold.guard.Gate;
import leasehold.guard.HttpGuard;
import leasehold.guard.RedisGuard;
import leasehold.guard.Style;
import leasehold.guard.Table;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The blocking client as a program in Java has it, on one file. */
@Timeout(60)
class BlockingTest {
    private static final Duration SHORT = Duration.ofMillis(200);
    /** What nothing here waits out. */
    private static final Duration LONG = Duration.ofHours(1);
    private static final Duration SLACK = Duration.ofSeconds(2);

    @TempDir Path folder;
    private BlockingClient client;
    private BlockingClient other;

    @BeforeEach
    void connect() {
        String url = "sqlite://" + folder.resolve("locks.db");
        client = Leasehold.connect(url).blocking();
        other = Leasehold.connect(url).blocking();
    }

    @AfterEach
    void close() {
        client.close();
        other.close();
    }

    @Test
    void tryWithResourcesGivesBack() throws Exception {
        long fence;
        try (BlockingLease lease = client.acquire("a", new LockOptions().note("Java's").ttl(LONG))) {
            fence = lease.getFence();
            assertEquals("a", lease.getName());
            assertTrue(lease.isHeld());
            Duration left = lease.getRemaining();
            assertTrue(left.compareTo(LONG) <= 0 && left.compareTo(LONG.dividedBy(2)) > 0, left.toString());
            assertNull(lease.getLostReason());
            assertEquals(Kind.EXCLUSIVE, lease.getKind());
            assertTrue(other.isLocked("a"));
            assertEquals("Java's", other.inspect("a").getHolder().getWho().getNote());
            assertNull(other.tryAcquire("a"));
        }
        assertFalse(other.isLocked("a"));
        try (BlockingLease lease = other.tryAcquire("a")) {
            assertNotNull(lease);
            assertTrue(lease.getFence() > fence);
        }
    }

    @Test
    void resourcesGiveBackWhereTheBodyFails() throws Exception {
        var mine = new IllegalStateException("mine");
        var thrown = assertThrows(IllegalStateException.class, () -> {
            try (BlockingLease lease = client.acquire("a", new LockOptions().ttl(LONG))) {
                assertTrue(lease.isHeld());
                throw mine;
            }
        });
        assertSame(mine, thrown);
        assertFalse(other.isLocked("a"));
    }

    @Test
    void releaseSaysWhatItFound() throws Exception {
        BlockingLease lease = client.acquire("a");
        assertEquals(ReleaseState.RELEASED, lease.release());
        assertEquals(ReleaseState.REPEATED, lease.release());
        assertFalse(lease.isHeld());
        lease.close();
    }

    @Test
    void aWaitRunsOut() throws Exception {
        try (BlockingLease held = client.acquire("a")) {
            long start = System.nanoTime();
            var error = assertThrows(
                    LockTimeoutException.class, () -> other.acquire("a", new LockOptions().wait(SHORT)));
            Duration took = Duration.ofNanos(System.nanoTime() - start);
            assertTrue(took.compareTo(SHORT) >= 0 && took.compareTo(SHORT.plus(SLACK)) < 0, took.toString());
            assertEquals("LOCK_TIMEOUT", error.getCode());
            assertEquals("a", error.getLock());
            assertTrue(error.getRetryable());
            awaitWaiting(0);
            assertTrue(held.isHeld());
        }
    }

    @Test
    void aFixedTermIsLostAndTold() throws Exception {
        BlockingLease lease = client.acquire("a", new LockOptions().ttl(SHORT).renew(false));
        var told = new CompletableFuture<LostReason>();
        lease.onLost(told::complete);
        assertEquals(LostReason.EXPIRED, told.get(60, SECONDS));
        assertFalse(lease.isHeld());
        assertEquals(Duration.ZERO, lease.getRemaining());
        var error = assertThrows(LockLostException.class, lease::check);
        assertEquals(LostReason.EXPIRED, error.getReason());
        assertThrows(LockLostException.class, () -> lease.extend(LONG));
        assertEquals(ReleaseState.LOST, lease.release());
    }

    @Test
    void aBodyThatLostItsLockDidNotSucceed() throws Exception {
        var options = new LockOptions().ttl(LONG);
        var error = assertThrows(LockLostException.class, () -> client.withLock("a", options, lease -> {
            assertEquals(lease.getFence(), other.evict("a", "a test"));
            // The eviction is heard of at a renewal.
            assertThrows(LockLostException.class, () -> lease.extend(LONG));
            return "done";
        }));
        assertEquals(LostReason.REVOKED, error.getReason());
    }

    @Test
    void aBodyGivesItsResultOrItsOwnError() throws Exception {
        assertEquals("done", client.withLock("a", lease -> "done"));
        var mine = new Exception("mine");
        assertSame(mine, assertThrows(Exception.class, () -> client.withLock("a", lease -> {
            throw mine;
        })));
        assertFalse(other.isLocked("a"));
    }

    @Test
    void checkExtendAndTouch() throws Exception {
        try (BlockingLease lease = client.acquire("a", new LockOptions().maxHold(LONG.multipliedBy(3)))) {
            lease.check();
            lease.touch();
            assertThrows(LockLostException.class, () -> lease.check(LONG));
            lease.extend(LONG.multipliedBy(2));
            lease.check(LONG);
        }
    }

    @Test
    void anInterruptEndsAWait() throws Exception {
        try (BlockingLease held = client.acquire("a")) {
            var thrown = new CompletableFuture<Throwable>();
            var thread = new Thread(() -> {
                try {
                    other.acquire("a", new LockOptions().ttl(LONG)).close();
                    thrown.complete(null);
                } catch (Throwable error) {
                    thrown.complete(error);
                }
            });
            thread.start();
            awaitWaiting(1);
            thread.interrupt();
            assertInstanceOf(InterruptedException.class, thrown.get(60, SECONDS));
            awaitWaiting(0);
            assertTrue(held.isHeld());
        }
    }

    @Test
    void aFutureIsCompletedCancelledOrFailed() throws Exception {
        BlockingLease first = client.acquire("a");
        var second = other.acquireAsync("a", new LockOptions().ttl(LONG));
        var failing = other.acquireAsync("a", new LockOptions().wait(SHORT));
        assertInstanceOf(
                LockTimeoutException.class,
                assertThrows(ExecutionException.class, () -> failing.get(60, SECONDS)).getCause());
        first.release();
        BlockingLease lease = second.get(60, SECONDS);
        assertTrue(lease.getFence() > first.getFence());
        var third = client.acquireAsync("a", new LockOptions().ttl(LONG));
        assertTrue(third.cancel(true));
        assertThrows(CancellationException.class, third::get);
        assertEquals(ReleaseState.RELEASED, lease.release());
        // The attempt that was cancelled may have been granted at the last moment, and gives back then.
        while (!other.list().isEmpty()) {
            Thread.sleep(1);
        }
    }

    @Test
    void kindsAndOwners() throws Exception {
        var shared = new LockOptions().shared();
        try (BlockingLease one = client.acquire("rw", shared); BlockingLease two = other.acquire("rw", shared)) {
            assertEquals(List.of(Kind.SHARED, Kind.SHARED), List.of(one.getKind(), two.getKind()));
            assertNull(client.tryAcquire("rw"));
        }
        try (BlockingLease some = client.acquire("s", new LockOptions().permits(2, 3))) {
            assertEquals(Kind.PERMITS, some.getKind());
            assertNull(other.tryAcquire("s", new LockOptions().permits(2, 3)));
            other.acquire("s", new LockOptions().permits(1, 3)).close();
        }
        Owner owner = client.owner();
        var mine = new LockOptions().owner(owner);
        try (BlockingLease outer = client.acquire("o", mine); BlockingLease inner = client.acquire("o", mine)) {
            assertEquals(outer.getFence(), inner.getFence());
            assertEquals(owner, inner.getOwner());
        }
        assertFalse(other.isLocked("o"));
    }

    @Test
    void severalAtOnce() throws Exception {
        var both = List.of(client.lock("b", new LockOptions().note("both")), client.lock("a"));
        try (BlockingLeases leases = client.acquireAll(both)) {
            assertEquals(List.of("b", "a"), leases.stream().map(BlockingLease::getName).toList());
            assertTrue(leases.isHeld());
            leases.extend(LONG);
            leases.check(LONG.dividedBy(2));
            assertEquals("both", other.inspect("b").getHolder().getWho().getNote());
            assertNull(other.tryAcquireAll(List.of(other.lock("c"), other.lock("a"))));
            assertThrows(LockTimeoutException.class, () -> other.acquireAll(List.of(other.lock("a")), SHORT));
            assertRefused("another client", () -> other.acquireAll(both));
            var next = other.acquireAllAsync(List.of(other.lock("a"), other.lock("c")));
            awaitWaiting(1);
            assertEquals(ReleaseState.RELEASED, leases.get(1).release());
            next.get(60, SECONDS).close();
        }
        assertEquals(List.of(), other.list());
        String done = client.withAll(both, SHORT, leases -> leases.size() + " held");
        assertEquals("2 held", done);
        var mine = new Exception("mine");
        assertSame(mine, assertThrows(Exception.class, () -> client.withAll(both, leases -> {
            throw mine;
        })));
        var error = assertThrows(LockLostException.class, () -> client.withAll(both, leases -> {
            assertEquals(leases.get(0).getFence(), other.evict("b", "a test"));
            // The eviction is heard of at a renewal.
            return assertThrows(LockLostException.class, () -> leases.extend(LONG)).getCode();
        }));
        assertEquals(LostReason.REVOKED, error.getReason());
        assertEquals(List.of(), other.list());
    }

    @Test
    void guardsAndAChosenTtl() throws Exception {
        var gate = new Gate();
        var reports = new AdaptiveTtl();
        reports.held(SHORT);
        reports.waited(Duration.ZERO);
        var adapted = reports.adapt(client.lock("a", new LockOptions().note("chosen"))).blocking();
        String done = adapted.withLock(lease -> {
            assertEquals("chosen", other.inspect("a").getHolder().getWho().getNote());
            var fence = HttpGuard.read(HttpGuard.value(lease));
            gate.admit(fence.getLock(), fence.getFence());
            return "done by " + fence.getLock();
        });
        assertEquals("done by a", done);
        assertEquals(2, reports.choose().getHolds());
        try (BlockingLease lease = adapted.acquire()) {
            gate.admit("a", lease.getFence());
            var late = assertThrows(LockLostException.class, () -> gate.admit("a", lease.getFence() - 1));
            assertEquals(LostReason.SUPERSEDED, late.getReason());
            var arguments = RedisGuard.arguments(lease.getFence(), "DECRBY", "left", "3");
            assertEquals(List.of("" + lease.getFence(), "DECRBY", "left", "3"), arguments);
        }
        assertEquals(List.of("fence", "left"), RedisGuard.keys("fence", "left"));
        assertEquals(1, new Table("fences", Dialect.POSTGRESQL, Style.DOLLAR).getAdmitSql().size());
        assertEquals("fence <= ?", new Column("fence", Dialect.SQLITE).getAndWhere());
        assertRefused("no name of a table", () -> new Table("a b", Dialect.MYSQL));
        assertFalse(other.isLocked("a"));
    }

    @Test
    void badInputIsNamed() {
        assertRefused("lock name is empty", () -> client.acquire(""));
        assertRefused("ttl is -1s", () -> client.acquire("a", new LockOptions().ttl(Duration.ofSeconds(-1))));
        assertRefused("ttl is 0", () -> client.tryAcquire("a", new LockOptions().ttl(Duration.ZERO)));
        assertRefused("wait is -1s", () -> client.acquireAsync("a", new LockOptions().wait(Duration.ofSeconds(-1))).get());
        assertRefused("maxHold is ", () -> client.acquire("a", new LockOptions().maxHold(Duration.ofSeconds(Long.MAX_VALUE))));
        assertRefused("permits is -1", () -> client.acquire("a", new LockOptions().permits(-1, 3)));
        assertRefused("257", () -> client.acquire("a", new LockOptions().note("x".repeat(257))));
        assertRefused("128 bits", () -> new Owner(BigInteger.ONE.negate()));
        assertRefused("limit is -1", () -> client.list("", null, -1));
        assertRefused("nonsense", () -> Leasehold.connect("nonsense"));
        assertThrows(NullPointerException.class, () -> client.acquire(null));
        assertThrows(NullPointerException.class, () -> client.acquire("a", null));
        assertThrows(NullPointerException.class, () -> new LockOptions().ttl(null));
    }

    /** Polls: nobody is told when another comes or goes. */
    private void awaitWaiting(long count) throws Exception {
        while (client.inspect("a").getWaiting() != count) {
            Thread.sleep(1);
        }
    }

    private interface Call {
        void run() throws Exception;
    }

    private static void assertRefused(String says, Call call) {
        Throwable error = assertThrows(Exception.class, call::run);
        // A future wraps what it failed with.
        Throwable own = error instanceof ExecutionException ? error.getCause() : error;
        assertInstanceOf(InvalidInputException.class, own);
        assertEquals("INVALID_INPUT", ((LockException) own).getCode());
        assertTrue(own.getMessage().contains(says), own.getMessage());
    }
}
