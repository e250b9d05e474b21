import static java.util.concurrent.TimeUnit.SECONDS;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import leasehold.BlockingBarrier;
import leasehold.BlockingClient;
import leasehold.BlockingElection;
import leasehold.BlockingInside;
import leasehold.BlockingLatch;
import leasehold.BlockingLeadership;
import leasehold.BlockingLease;
import leasehold.BlockingObserver;
import leasehold.InvalidInputException;
import leasehold.LockLostException;
import leasehold.LockOptions;
import leasehold.LockTimeoutException;
import leasehold.Leasehold;
import leasehold.LostReason;
import leasehold.ReleaseState;
import leasehold.Tried;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Election, latch, barrier and several locks each alone, as a program in Java has them, on one file. */
@Timeout(60)
class BlockingPartiesTest {
    private static final Duration SHORT = Duration.ofMillis(100);
    /** What nothing here waits out. */
    private static final Duration LONG = Duration.ofHours(1);

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
    void oneLeadsAndAllAreTold() throws Exception {
        BlockingElection election = client.election("e", new LockOptions().ttl(LONG).note("Java's"));
        BlockingObserver observer = other.election("e").observe();
        assertNull(observer.next());
        try (BlockingLeadership leadership = election.campaign("one")) {
            assertTrue(leadership.isLeader());
            var leader = observer.next();
            assertNotNull(leader);
            assertEquals(leadership.getFence(), leader.getFence());
            assertEquals(List.of("one", "Java's"), List.of(leader.getText(), leader.getWho().getNote()));
            leadership.proclaim(new byte[] {0, -1});
            assertArrayEquals(new byte[] {0, -1}, observer.next().getValue());
            assertNull(other.election("e").tryCampaign());
            assertThrows(
                    LockTimeoutException.class,
                    () -> other.election("e", new LockOptions().wait(SHORT)).campaign());
        }
        assertNull(observer.next());
        assertNull(other.election("e").leader());
        assertEquals("two", client.election("e").lead("two", leadership -> observer.next().getText()));
        var error = assertThrows(LockLostException.class, () -> client.election("e").lead("three", leadership -> {
            assertEquals(leadership.getFence(), other.evict("e", "a test"));
            // The eviction is heard of at a renewal.
            return assertThrows(LockLostException.class, () -> leadership.extend(LONG)).getCode();
        }));
        assertEquals(LostReason.REVOKED, error.getReason());
    }

    @Test
    void aLatchOpens() throws Exception {
        BlockingLatch latch = client.latch("l", 2);
        assertThrows(LockTimeoutException.class, () -> latch.await(SHORT));
        var opened = CompletableFuture.runAsync(() -> {
            try {
                other.latch("l", 2, LONG).await();
            } catch (InterruptedException interrupt) {
                throw new IllegalStateException(interrupt);
            }
        });
        assertEquals(1, latch.countDown());
        assertEquals(1, other.latch("l", 2).left());
        assertEquals(0, latch.countDown(5));
        opened.get(60, SECONDS);
        latch.await();
        assertThrows(InvalidInputException.class, () -> other.latch("l", 3).left());
    }

    @Test
    void aBarrierIsGoneIntoAndLeftTogether() throws Exception {
        BlockingBarrier here = client.barrier("b", 2, new LockOptions().ttl(LONG));
        var there = CompletableFuture.supplyAsync(() -> {
            try {
                return other.barrier("b", 2).within(LONG, inside -> inside.getFence());
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        });
        try (BlockingInside inside = here.enter(LONG)) {
            assertTrue(inside.isHeld());
            assertFalse(there.isDone());
            inside.leave();
            assertEquals(ReleaseState.REPEATED, inside.release());
            assertTrue(there.get(60, SECONDS) > 0);
        }
        assertThrows(LockTimeoutException.class, () -> here.enter(SHORT));
        var mine = new Exception("mine");
        assertSame(mine, assertThrows(Exception.class, () -> client.barrier("c", 1).within(inside -> {
            throw mine;
        })));
        assertEquals("done", client.barrier("c", 1).within(inside -> "done"));
        assertFalse(other.isLocked("c"));
    }

    @Test
    void eachAlone() throws Exception {
        try (BlockingLease held = other.acquire("b"); BlockingLease reader = other.acquire("c", new LockOptions().shared())) {
            List<Tried> each = client.tryEach(List.of(
                    client.lock("a"), client.lock("b"), client.lock("c", new LockOptions().permits(1, 2))));
            try (BlockingLease lease = each.get(0).getLease()) {
                assertNotNull(lease);
                assertNull(each.get(0).getError());
                assertTrue(lease.isHeld() && held.isHeld() && reader.isHeld());
            }
            assertNull(each.get(1).getLease());
            assertNull(each.get(1).getError());
            assertInstanceOf(InvalidInputException.class, each.get(2).getError());
        }
        assertEquals(List.of(), client.list());
        assertEquals(0, client.deadlocks().getVictims());
    }
}
