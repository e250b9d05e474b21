//! The rights that docs/redis.md asks for are enough, and none of them too many: without any one of
//! them some step fails, and the error says that it is a matter of rights.

use std::sync::Arc;
use std::time::Duration;

use leasehold::store::redis::{RedisStore, TcpDial};
use leasehold::store::{Answer, Ask, Cancel, Evict, Hold, How, Kind, Query, Store, Wait};
use leasehold::sys::Sys;
use leasehold::{ErrorKind, Name, Result, StoreUrl, block_on};
use leasehold_testkit::contract::MINIMAL_ACL;

use super::scene::{LONG, Scene, Test, report, test};

pub(super) const TESTS: &[Test] = &[test("each_is_needed", each)];

fn each(scene: &Scene<'_>) {
    let sys = leasehold::runtime::native_sys().expect("threads");
    let commands: Vec<&str> = MINIMAL_ACL.split(' ').filter(|rule| rule.starts_with('+')).collect();
    assert!(commands.len() > 20, "{commands:?}");
    everything(scene, &sys, MINIMAL_ACL).expect("they are enough");
    let page = include_str!("../../../docs/redis.md");
    assert!(page.contains(&format!("user locks on >secret {MINIMAL_ACL}\n")), "docs/redis.md");
    let mut idle = Vec::new();
    for command in &commands {
        let rest: Vec<&str> = MINIMAL_ACL.split(' ').filter(|rule| rule != command).collect();
        let Err(error) = everything(scene, &sys, &rest.join(" ")) else {
            idle.push(*command);
            continue;
        };
        assert_eq!(error.kind(), ErrorKind::StoreFailed, "{command}: {error}");
        let said = error.message();
        assert!(said.contains("docs/redis.md"), "without {command}: {said}");
    }
    assert!(idle.is_empty(), "{idle:?} are not needed");
    for (part, rest) in [("~*", "~other:*"), ("&leasehold:*", "&other:*")] {
        let error = everything(scene, &sys, &MINIMAL_ACL.replace(part, rest))
            .expect_err(&format!("{part} is not needed"));
        assert!(error.message().contains("docs/redis.md"), "without {part}: {error}");
    }
    report(&format!("{} commands, keys and channels: each is needed", commands.len()));
}

/// All that a client does, as a user with these rights, on a server that has seen no script.
fn everything(scene: &Scene<'_>, sys: &Sys, rules: &str) -> Result<()> {
    let ask = |command: &[&str]| {
        let reply = scene.server.admin(command);
        assert!(!reply.is_error(), "{command:?}: {reply:?}");
    };
    ask(&["FLUSHALL"]);
    ask(&["SCRIPT", "FLUSH"]);
    let rules =
        ["ACL", "SETUSER", "locks", "reset", "on", ">canary"].into_iter().chain(rules.split(' '));
    ask(&rules.collect::<Vec<_>>());
    let url = format!("redis://locks:canary@127.0.0.1:{}/1", scene.server.port());
    let StoreUrl::Redis(url) = StoreUrl::parse(&url)? else { panic!("a Redis URL") };
    let settings = url.settings();
    let store = RedisStore::new(Arc::new(TcpDial::new(url)), sys, settings);
    block_on(steps(&store, sys))
}

async fn steps(store: &RedisStore, sys: &Sys) -> Result<()> {
    let name = Name::new("rights").expect("a name");
    let ask = |max_queue: Option<u32>| Ask {
        name: name.clone(),
        kind: Kind::Exclusive,
        token: sys.token(),
        ttl: LONG,
        grace: Duration::from_secs(6),
        wait: max_queue.map(|max_queue| Wait {
            alive_for: LONG,
            claim: LONG,
            heartbeat: LONG,
            max_queue,
            priority: 0,
            fences: 1,
        }),
        owner: None,
        profile: Arc::default(),
    };
    store.ping().await?;
    // Alone: the shortest way through the scripts.
    let alone = ask(None);
    store.acquire(std::slice::from_ref(&alone), How::EachAlone).await?;
    store.release(&[Hold::of(&alone)], Cancel::No).await?;

    let (first, second, third) = (ask(Some(10)), ask(Some(10)), ask(Some(1)));
    for ask in [&first, &second, &third, &second] {
        store.acquire(std::slice::from_ref(ask), How::EachAlone).await?;
    }
    store.renew(&[Hold::of(&first)]).await?;
    store.inspect(&Query::Name(name.clone())).await?;
    let all = Query::Prefix { prefix: String::new(), after: None, limit: 10 };
    store.inspect(&all).await?;
    store.release(&[Hold::of(&first)], Cancel::Tombstone(LONG)).await?;
    let handed = store.acquire(std::slice::from_ref(&second), How::EachAlone).await?;
    assert!(matches!(handed[0], Answer::Granted { .. }), "{handed:?}");
    store.evict(&name, &Evict { fence: None, why: "a test".to_owned() }).await?;
    store.renew(&[Hold::of(&second)]).await?;
    let last = ask(None);
    store.acquire(std::slice::from_ref(&last), How::AllOrNothing).await?;
    store.release(&[Hold::of(&last)], Cancel::No).await?;
    Ok(())
}
