import java.time.Duration;
import leasehold.BlockingClient;
import leasehold.BlockingLease;
import leasehold.Leasehold;
import leasehold.LockOptions;

class First {
    public static void main(String[] arguments) throws Exception {
        BlockingClient client = Leasehold.connect().blocking();
        LockOptions options = new LockOptions().ttl(Duration.ofSeconds(30)).wait(Duration.ofSeconds(5));
        try (BlockingLease lease = client.acquire("invoice:42", options)) {
            System.out.println("held with fence " + lease.getFence());
        }
    }
}
