//! The first Rust program: take a lock, act under it, give it back.

use std::time::Duration;

fn main() -> leasehold::Result<()> {
    leasehold::block_on(async {
        let client = leasehold::Client::connect_default()?;
        let lock = client.lock("invoice:42").ttl(Duration::from_secs(30));
        let lease = lock.wait(Duration::from_secs(5)).await?;
        println!("{} is ours, fence {}", lease.name().as_str(), lease.fence());
        lease.release().await;
        Ok(())
    })
}
