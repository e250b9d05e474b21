//! Each name has one store and one kind, and what is asked of the manager is asked there.

use std::time::{Duration, Instant};

use leasehold::manager::{Config, Manager, Permissions, Revoked, Settings};
use leasehold::options::REQUEST_TIMEOUT;
use leasehold::store::{Evict, Evicted, Kind};
use leasehold::{Client, ClientOptions, ErrorKind, LostReason, Result, block_on};
use leasehold_testkit::folder;
use leasehold_testkit::proxy::{Fault, Proxy};
use leasehold_testkit::server::RedisServer;

use super::scene::{LONG, SHORT, Scene, ask, heard, runtime};

pub(super) const CASES: &[super::Case] = super::cases![
    alone:;
    processes:
        a_manager_and_a_client_exclude_each_other,
        a_lock_is_taken_away_from_whoever_holds_on,
        several_permits_are_taken_away_together;
];

pub(super) const PLAIN: &[super::Plain] = super::plain![
    a_name_goes_to_its_store,
    a_name_has_one_kind,
    a_list_has_each_lock_where_it_belongs,
    a_long_list_comes_in_pages,
    health_says_how_each_store_is,
    a_shut_down_manager_gives_back_in_all_stores,
];

const TOML: &str = r#"
[stores.a]
url = "memory://"
[stores.b]
url = "memory://"

[defaults]
store = "a"

[prefix."b:"]
store = "b"

[prefix."b:a:"]
store = "a"

[name."b:a:b"]
store = "b"

[name."slots"]
kind = "semaphore"
capacity = 2

[name."prices"]
kind = "rwlock"
"#;

fn manager(scene: &Scene, evict: bool) -> Manager {
    let config = Config::new().store("main", &scene.url).expect("the first");
    Manager::new(config.permissions(Permissions { evict })).expect("it is right")
}

async fn a_manager_and_a_client_exclude_each_other(scene: &Scene) {
    let manager = manager(scene, true);
    assert!(!manager.is_locked("both").await.expect("an answer"));
    let lock = scene.clients[0].lock("both").note("a client's");
    let lease = lock.acquire().await.expect("granted");
    assert!(manager.is_locked("both").await.expect("an answer"));
    let holder = manager.holder("both").await.expect("an answer").expect("it is held");
    assert_eq!((holder.fence, holder.kind), (lease.fence(), Kind::Exclusive));
    let profile = &holder.profile;
    assert_eq!((profile.pid, profile.note.as_str()), (std::process::id(), "a client's"));
    assert!(!profile.host.is_empty() && profile.since_us > 0 && profile.language == "rust");
    let refused = manager.lock("both").expect("a name").try_acquire().await;
    assert!(refused.expect("an answer").is_none());
    let listed = manager.list("bo", None, 10).await.expect("an answer");
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].store.as_str(), listed[0].view.name.as_str()), ("main", "both"));

    let why = Evict { why: "it is in the way".to_owned(), fence: Some(lease.fence()) };
    let evicted = manager.evict("both", &why).await.expect("an answer");
    assert!(matches!(evicted, Evicted::Evicted { .. }), "{evicted:?}");
    let next = manager.lock("both").expect("a name").await.expect("granted");
    assert!(next.fence() > lease.fence());
    assert!(lease.extend(LONG).await.is_err());
    assert_eq!(lease.lost_reason(), Some(LostReason::Revoked));
    let [health] = &manager.health().await[..] else { panic!("one store") };
    assert!(health.is_reachable() && health.error.is_none(), "{health:?}");
    assert_eq!((health.held, health.waiting), (1, 0));
}

async fn a_lock_is_taken_away_from_whoever_holds_on(scene: &Scene) {
    let manager = manager(scene, true);
    assert_eq!(manager.revoke("mine", &ask(LONG)).await.expect("an answer"), Revoked::NotHeld);
    let polite = scene.held("mine").await;
    let giving = async {
        heard(&polite).await;
        polite.release().await
    };
    let request = ask(LONG);
    let (found, _) = tokio::join!(manager.revoke("mine", &request), giving);
    let found = found.expect("an answer");
    assert!(matches!(found, Revoked::GivenBack { fence, .. } if fence == polite.fence()));
    assert_eq!(polite.lost_reason(), None);

    let deaf = scene.held("mine").await;
    let found = manager.revoke("mine", &ask(SHORT)).await.expect("an answer");
    assert!(matches!(found, Revoked::Evicted { fence, .. } if fence == deaf.fence()), "{found:?}");
    assert_eq!(deaf.lost().await, LostReason::Revoked);
    assert!(!manager.is_locked("mine").await.expect("an answer"));
    scene.nothing_left().await;
}

async fn several_permits_are_taken_away_together(scene: &Scene) {
    let manager = manager(scene, true);
    let permit = |client: usize| scene.clients[client].semaphore("slots", 4).permits(1);
    let (one, other) = (permit(0).await.expect("granted"), permit(1).await.expect("granted"));
    let found = manager.revoke("slots", &ask(SHORT)).await.expect("an answer");
    assert!(matches!(found, Revoked::Evicted { .. }), "{found:?}");
    assert_eq!(manager.inspect("slots").await.expect("an answer").holding, 0);
    for lease in [one, other] {
        assert!(lease.extend(LONG).await.is_err());
        assert_eq!(lease.lost_reason(), Some(LostReason::Revoked));
    }
}

fn a_name_goes_to_its_store() {
    let folder = folder("placing").expect("a folder");
    let urls = ["a", "b"].map(|name| format!("sqlite://{}", folder.path().join(name).display()));
    let store = |store: &str| Settings { store: Some(store.to_owned()), ..Settings::default() };
    let config = Config::new()
        .store("a", &urls[0])
        .and_then(|config| config.store("b", &urls[1]))
        .map(|config| config.defaults(store("a")))
        .and_then(|config| config.prefix("b:", store("b")))
        .expect("it is right");
    let manager = Manager::new(config).expect("it is right");
    let clients = urls.map(|url| Client::connect(&url).expect("a client"));
    block_on(async {
        for (name, place) in [("x", 0), ("b", 0), ("b:x", 1)] {
            let lease = manager.lock(name).expect("a name").await.expect("granted");
            for (index, client) in clients.iter().enumerate() {
                let holding = client.inspect(name).await.expect("a view").holding;
                assert_eq!(holding, u64::from(index == place), "{name} in store {index}");
            }
            lease.release().await;
        }
    });
}

fn a_name_has_one_kind() {
    let manager = Manager::from_toml(TOML).expect("it is right");
    let refused = |done: Result<()>, words: &str| {
        let error = done.expect_err(words);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.message().contains(words), "{error}");
    };
    let lock = |name| manager.lock(name).map(drop);
    let rwlock = |name| manager.rwlock(name).map(drop);
    let semaphore = |name| manager.semaphore(name).map(drop);
    refused(lock("slots"), "\"slots\" is of kind semaphore by the configuration");
    refused(rwlock("slots"), "asked for as rwlock");
    refused(lock("prices"), "\"prices\" is of kind rwlock");
    refused(semaphore("prices"), "asked for as semaphore");
    refused(rwlock("else"), "\"else\" is of kind exclusive");
    refused(semaphore("else"), "asked for as semaphore");
    refused(lock(""), "empty");
    block_on(async {
        let slots = manager.semaphore("slots").expect("its kind");
        let both = slots.permits(2).await.expect("as many as there are");
        assert!(slots.permits(1).try_acquire().await.expect("an answer").is_none());
        both.release().await;
        let prices = manager.rwlock("prices").expect("its kind");
        let (one, other) = (prices.read().await.expect("granted"), prices.read().await);
        assert_eq!(one.epoch(), other.expect("granted").epoch());
    });
}

fn a_list_has_each_lock_where_it_belongs() {
    let manager = Manager::from_toml(TOML).expect("it is right");
    block_on(async {
        let mut leases = Vec::new();
        for name in ["x", "b", "b:1", "b:a:1", "b:a:b", "b:2", "c"] {
            leases.push(manager.lock(name).expect("a name").await.expect("granted"));
        }
        let placed = async |prefix: &str| -> Vec<String> {
            let found = manager.list(prefix, None, 100).await.expect("an answer");
            found.iter().map(|it| format!("{}/{}", it.store, it.view.name.as_str())).collect()
        };
        let all = ["a/b", "b/b:1", "b/b:2", "a/b:a:1", "b/b:a:b", "a/c", "a/x"];
        assert_eq!(placed("").await, all);
        assert_eq!(placed("b").await, all[..5]);
        assert_eq!(placed("b:").await, all[1..5]);
        assert_eq!(placed("b:a").await, all[3..5]);
        assert_eq!(placed("b:a:b").await, all[4..5]);
        assert_eq!(placed("nobody").await, all[..0]);
    });
}

/// Of each store only what belongs there counts for a page.
fn a_long_list_comes_in_pages() {
    let folder = folder("placing").expect("a folder");
    let urls = ["a", "b"].map(|name| format!("sqlite://{}", folder.path().join(name).display()));
    let toml = TOML.replacen("memory://", &urls[0], 1).replacen("memory://", &urls[1], 1);
    let manager = Manager::from_toml(&toml).expect("it is right");
    // Someone else's, of names that belong to the other store.
    let stranger = Client::connect(&urls[1]).expect("a client");
    block_on(async {
        let mut leases = Vec::new();
        for index in 0..30 {
            for name in [format!("n{index:02}"), format!("b:n{index:02}")] {
                leases.push(manager.lock(&name).expect("a name").await.expect("granted"));
            }
            leases.push(stranger.lock(format!("b:a:{index:02}")).await.expect("granted"));
            leases.push(stranger.lock(format!("n{index:02}")).await.expect("granted"));
        }
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = manager.list("", after.as_ref(), 7).await.expect("an answer");
            let Some(last) = page.last() else { break };
            assert!(page.len() <= 7);
            after = Some(last.view.name.clone());
            found.extend(page.into_iter().map(|it| (it.view.name.as_str().to_owned(), it.store)));
        }
        let b = (0..30).map(|index| (format!("b:n{index:02}"), "b".to_owned()));
        let a = (0..30).map(|index| (format!("n{index:02}"), "a".to_owned()));
        assert_eq!(found, b.chain(a).collect::<Vec<_>>());
    });
}

fn health_says_how_each_store_is() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
    let port = port.expect("an address").port();
    let folder = folder("health").expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "not a database").expect("a file");
    let toml = format!(
        "stores.up.url = \"memory://\"\n\
         stores.down.url = \"redis://user:canary@127.0.0.1:{port}\"\n\
         stores.broken.url = \"sqlite://{}\"\n\
         defaults.store = \"up\"",
        file.display()
    );
    let manager = Manager::from_toml(&toml).expect("it is right");
    block_on(async {
        let lease = manager.lock("x").expect("a name").await.expect("granted");
        let mut waiting = Box::pin(manager.lock("x").expect("a name").acquire());
        std::future::poll_fn(|context| {
            assert!(waiting.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        let health = manager.health().await;
        let [broken, down, up] = &health[..] else { panic!("three stores: {health:?}") };
        assert_eq!([&broken.store, &down.store, &up.store], ["broken", "down", "up"]);
        assert!(up.is_reachable() && up.error.is_none());
        assert_eq!((up.url.as_str(), up.held, up.waiting), ("memory://", 1, 1));
        assert_eq!(up.capabilities.as_ref().map(|it| it.store), Some("memory"));
        for (sick, kind) in [(down, ErrorKind::StoreUnavailable), (broken, ErrorKind::StoreFailed)]
        {
            assert!(!sick.is_reachable() && sick.capabilities.is_some(), "{sick:?}");
            assert_eq!(sick.error.as_ref().map(leasehold::Error::kind), Some(kind), "{sick:?}");
            assert_eq!((sick.held, sick.waiting), (0, 0));
        }
        assert!(!format!("{health:?}").contains("canary"), "{health:?}");
        drop(waiting);
        drop(lease);
    });
}

/// A server that takes connections and never answers: all stores are asked at once.
pub(super) fn a_silent_store_keeps_no_health_check(server: &RedisServer) {
    let proxies = [0; 2].map(|_| Proxy::start(server.address()));
    for proxy in &proxies {
        proxy.set_all(Fault::BlackHole);
    }
    let toml = format!(
        "stores.one.url = \"{}\"\nstores.other.url = \"{}\"\nstores.up.url = \"{}\"",
        proxies[0].url(&server.url()),
        proxies[1].url(&server.url()),
        server.url()
    );
    let manager = Manager::from_toml(&toml).expect("it is right");
    let start = Instant::now();
    let health = block_on(manager.health());
    let took = start.elapsed();
    println!("asked in {took:.2?}");
    let reachable: Vec<bool> = health.iter().map(|it| it.is_reachable()).collect();
    assert_eq!(reachable, [false, false, true]);
    for silent in &health[..2] {
        let error = silent.error.as_ref().expect("it is silent");
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "{error:?}");
    }
    assert!(took < REQUEST_TIMEOUT * 2, "not one after the other: {took:?}");
}

fn a_shut_down_manager_gives_back_in_all_stores() {
    let options = ClientOptions { runtime: Some(runtime()), ..ClientOptions::default() };
    let config = Config::from_toml(TOML).expect("it is right");
    let manager = Manager::with(config, options).expect("it is right");
    block_on(async {
        let (a, b) = (manager.lock("x"), manager.lock("b:x"));
        let leases = [a.expect("a name").await, b.expect("a name").await];
        assert!(manager.shutdown(Duration::from_secs(30)).await);
        for lease in leases {
            assert_eq!(lease.expect("granted").lost_reason(), Some(LostReason::Shutdown));
        }
        let error = manager.lock("x").expect("a name").await.expect_err("it was shut down");
        assert_eq!(error.kind(), ErrorKind::ShutDown);
    });
}
