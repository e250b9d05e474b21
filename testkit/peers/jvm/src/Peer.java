import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.concurrent.TimeUnit;
import org.redisson.Redisson;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * {@code Peer LIBRARY URL}: holds one lock at a time with a published library, as told on its input.
 * The protocol is in ../../README.md. One thread does it all, for Redisson's locks belong to threads.
 */
public final class Peer {
    private final String url;
    private RedissonClient client;
    private RLock lock;

    private Peer(String url) {
        this.url = url;
        connect(new Config().getLockWatchdogTimeout());
    }

    /** How long a renewed lock lasts without renewal is a matter of the client in Redisson. */
    private void connect(long watchdog) {
        Config config = new Config();
        config.setLockWatchdogTimeout(watchdog);
        config.useSingleServer()
                .setAddress(url)
                .setConnectionMinimumIdleSize(1)
                .setConnectionPoolSize(2)
                .setSubscriptionConnectionMinimumIdleSize(1)
                .setSubscriptionConnectionPoolSize(2);
        RedissonClient before = client;
        client = Redisson.create(config);
        if (before != null) {
            before.shutdown();
        }
    }

    private String obey(String[] words) throws InterruptedException {
        switch (words[0]) {
            case "acquire":
                long ttl = Long.parseLong(words[2]);
                long wait = Long.parseLong(words[3]);
                return acquire(words[1], ttl, wait, words.length > 4) ? "held" : "busy";
            case "release":
                return release() ? "released" : "not-held";
            case "extend":
                throw new UnsupportedOperationException("Redisson extends only by its own renewal");
            default:
                throw new IllegalArgumentException("unknown: " + String.join(" ", words));
        }
    }

    private boolean acquire(String name, long ttl, long wait, boolean renewed)
            throws InterruptedException {
        if (ttl == 0) {
            throw new UnsupportedOperationException("every lock of Redisson expires");
        }
        if (renewed) {
            connect(ttl);
        }
        lock = client.getLock(name);
        return lock.tryLock(wait, renewed ? -1 : ttl, TimeUnit.MILLISECONDS);
    }

    private boolean release() {
        try {
            lock.unlock();
            return true;
        } catch (IllegalMonitorStateException notOurs) {
            return false;
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 2 || !arguments[0].equals("redisson")) {
            System.err.println("usage: Peer redisson URL");
            System.exit(64);
        }
        Peer peer = new Peer(arguments[1]);
        System.out.println("ready " + Redisson.class.getPackage().getImplementationVersion());
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String answer;
            try {
                answer = peer.obey(line.split(" "));
            } catch (Exception error) {
                answer = "error " + error.toString().replace('\n', ' ');
            }
            System.out.println(answer);
        }
        // Not a shutdown, which takes seconds: nothing of it is needed any more.
        System.exit(0);
    }
}
