import bench.Rival;
import org.redisson.Redisson;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/** Redisson as it comes: its pool of connections, and its lock, which it renews. */
public final class RedissonRival implements Rival {
    private final RedissonClient client;

    public RedissonRival(String url) {
        Config config = new Config();
        config.useSingleServer().setAddress(url);
        client = Redisson.create(config);
    }

    @Override
    public String getName() {
        return "Redisson, threads";
    }

    @Override
    public void pair(String name) {
        RLock lock = client.getLock(name);
        lock.lock();
        lock.unlock();
    }
}
