//! `crowd URL NAME COUNT`: so many waiters for one lock in one process. Prints `granted FENCE` for
//! each, in the order in which they came to wait, and `done`. Any error ends it with `error CODE
//! MESSAGE`.

use std::future::poll_fn;
use std::pin::pin;
use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

use leasehold::{Client, Error, block_on};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, name, count] = &arguments[..] else {
        eprintln!("usage: crowd URL NAME COUNT");
        return ExitCode::from(2);
    };
    let Ok(count) = count.parse() else {
        eprintln!("crowd: {count} is not a number");
        return ExitCode::from(2);
    };
    match block_on(wait(url, name, count)) {
        Ok(fences) => {
            for fence in fences {
                println!("granted {fence}");
            }
            println!("done");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error {} {error:?}", error.kind().code());
            ExitCode::FAILURE
        }
    }
}

/// All at once; each gives the lock back as soon as it has it.
async fn wait(url: &str, name: &str, count: usize) -> Result<Vec<u64>, Error> {
    let client = Client::connect(url)?;
    // Connected first, so that they come to wait in their order.
    client.ping().await?;
    let mut waiting: Vec<_> = (0..count)
        .map(|_| {
            let lock = client.lock(name).ttl(Duration::from_secs(60));
            Box::pin(async move {
                let lease = lock.acquire().await?;
                lease.check(Duration::ZERO)?;
                lease.release().await;
                Ok(lease.fence())
            })
        })
        .collect();
    let mut fences: Vec<Option<u64>> = vec![None; count];
    let mut all = pin!(poll_fn(move |context| {
        for (one, fence) in waiting.iter_mut().zip(&mut fences) {
            if fence.is_none()
                && let Poll::Ready(done) = one.as_mut().poll(context)
            {
                match done {
                    Ok(got) => *fence = Some(got),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        }
        match fences.iter().copied().collect() {
            Some(all) => Poll::Ready(Ok(all)),
            None => Poll::Pending,
        }
    }));
    all.as_mut().await
}
