//! What every language must do alike: the scenarios of `scenarios/*.json`, on every store, through the
//! facade that every binding stands on. The file's format is held to here: an unknown word fails.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use leasehold_bridge::{
    Attempt, Client, ClientRequest, ErrorInfo, Held, Latch, LeaderInfo, LockInfo, LockRequest,
    Observer, Outcome, Pending, Returned, kind,
};
use leasehold_testkit::proxy::{Fault, Proxy};
use leasehold_testkit::server::{Flavour, RedisSetup, on_redis};
use leasehold_testkit::{Process, program};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde::Deserialize;

/// Beyond it something hangs. Never a measure.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "$schema")]
    _schema: String,
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    #[serde(default = "all_stores")]
    stores: Vec<String>,
    steps: Vec<Step>,
}

#[derive(Clone, Default, Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
struct Step {
    r#do: String,
    who: String,
    client: Option<usize>,
    lock: String,
    locks: Vec<String>,
    value: Option<String>,
    latch: Option<u64>,
    parties: Option<u32>,
    ttl: Option<f64>,
    wait: Option<f64>,
    renew: Option<bool>,
    max_hold: Option<f64>,
    priority: i32,
    deadlock_priority: Option<i32>,
    note: Option<String>,
    read: bool,
    permits: Option<u32>,
    capacity: u32,
    owner: Option<u128>,
    min: f64,
    count: u64,
    holder: Option<String>,
    waiting: u64,
    order: Vec<String>,
    url: String,
    expect: serde_json::Value,
}

/// Where a scenario is played: the URL of each client, and the network that can be cut between the first
/// and the store.
struct Place {
    urls: [String; 2],
    network: Option<Proxy>,
}

/// The clients, attempts, leases and other processes of one scenario.
struct Runner {
    place: Place,
    others: HashMap<String, Process>,
    clients: [Client; 2],
    attempts: HashMap<String, Attempt>,
    leases: HashMap<String, Held>,
    waits: HashMap<String, Pending<()>>,
    observers: HashMap<String, Observer>,
    asks: HashMap<String, Pending<Returned>>,
}

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let mut trials = Vec::new();
    let played = played();
    for path in fs::read_dir(folder).expect("the scenarios").map(|entry| entry.expect("one").path())
    {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if stem == "schema" {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a scenario file");
        let file: File =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{stem}: {error}"));
        for scenario in file.scenarios.into_iter().map(Arc::new) {
            for store in scenario.stores.clone() {
                let name = format!("{store}: {stem}: {}", scenario.name);
                let (scenario, played) = (Arc::clone(&scenario), played.clone());
                let line = format!("{stem}\t{}\t{store}\n", scenario.name);
                trials.push(Trial::ignorable_test(name, move || {
                    let done = on(&store, &scenario)?;
                    if matches!(done, Completion::Completed) {
                        let mut file = fs::File::options().append(true).open(&played)?;
                        file.write_all(line.as_bytes())?;
                    }
                    Ok(done)
                }));
            }
        }
    }
    assert!(trials.len() >= 3 * 40, "only {} scenarios", trials.len());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The file for what this run plays, from which the table in FEATURES.md is made (scripts/scenarios).
fn played() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../scenarios");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("rust.tsv"), "").expect("a file");
    folder.join("rust.tsv")
}

fn all_stores() -> Vec<String> {
    ["memory", "sqlite", "redis"].map(str::to_owned).into()
}

fn on(store: &str, scenario: &Scenario) -> Result<Completion, Failed> {
    if store == "redis" {
        return on_redis(&RedisSetup::new(Flavour::Redis), |server| {
            let network = Proxy::start(server.address());
            let urls = [network.url(&server.url()), server.url()];
            play(Place { urls, network: Some(network) }, scenario);
        });
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("locks.db");
    // The folder's name is of this run only, and so is the memory store's.
    let name = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let url = match store {
        "memory" => format!("memory://{name}"),
        _ => format!("sqlite://{}", path.display()),
    };
    play(Place { urls: [url.clone(), url], network: None }, scenario);
    Ok(Completion::Completed)
}

fn play(place: Place, scenario: &Scenario) {
    let clients = [0, 1].map(|index| connect(&place.urls[index]).expect("a client"));
    let (others, attempts, leases) = (HashMap::new(), HashMap::new(), HashMap::new());
    let (waits, observers, asks) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut runner = Runner { place, others, clients, attempts, leases, waits, observers, asks };
    for (number, step) in scenario.steps.iter().enumerate() {
        let found = runner.step(step);
        assert_eq!(found, step.expect, "step {}: {step:?}", number + 1);
    }
    for client in &runner.clients {
        finish(&client.shutdown(5.0)).expect("the end");
    }
}

fn connect(url: &str) -> Result<Client, ErrorInfo> {
    let url = Some(url.to_owned());
    Client::connect(ClientRequest { url, language: "test", ..ClientRequest::default() })
}

/// What `pending` comes to.
fn finish<T: Clone + Send>(pending: &Pending<T>) -> Result<T, ErrorInfo> {
    pending.wait_for(PATIENCE).expect("it takes no minute")
}

fn code<T>(result: Result<T, ErrorInfo>) -> serde_json::Value {
    result.map_or_else(|error| error.code, |_| "ok").into()
}

fn number(result: Result<u64, ErrorInfo>) -> serde_json::Value {
    result.map_or_else(|error| error.code.into(), Into::into)
}

/// What `outcome` is called.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Held { .. } => "held",
        Outcome::Busy => "busy",
        Outcome::Cancelled => "cancelled",
        other => other.error().expect("an error").code,
    }
}

impl Runner {
    /// What is to be compared with the step's `expect`.
    fn step(&mut self, step: &Step) -> serde_json::Value {
        match step.r#do.as_str() {
            "acquire" | "try" => {
                self.start(step);
                return self.outcome(&step.who);
            }
            "start" => self.start(step),
            "outcome" => return self.outcome(&step.who),
            "cancel" => match self.attempts.get(&step.who) {
                Some(attempt) => attempt.cancel(),
                None => self.waits[&step.who].cancel(),
            },
            "release" => {
                return finish(&self.lease(step).release()).expect("a release").state.into();
            }
            "extend" => {
                return code(finish(&self.lease(step).extend(seconds(step.ttl.unwrap_or(0.0)))));
            }
            "downgrade" => return code(finish(&self.lease(step).downgrade())),
            "upgrade" => return code(finish(&self.lease(step).upgrade())),
            "kind" => return self.lease(step).kind().into(),
            "epoch" => {
                let of = step.holder.as_ref().map(|who| self.leases[who].fence());
                assert_eq!(self.lease(step).epoch(), of);
            }
            "evict" => {
                let fence = (!step.who.is_empty()).then(|| self.lease(step).fence());
                let ended = self.clients[1].evict(step.lock.clone(), fence, "a test".into());
                return finish(&ended).expect("an answer").is_some().into();
            }
            "resize" => {
                let permits = step.permits.expect("permits");
                return code(finish(&self.client(step).resize(&step.lock, step.capacity, permits)));
            }
            "ask_back" => {
                let why = step.note.clone().unwrap_or_default();
                let grace = seconds(step.wait.expect("a grace"));
                let ask = self.client(step).ask_back(step.lock.clone(), why, grace, None);
                ask.unless_done(|_| ());
                self.asks.insert(step.who.clone(), ask);
            }
            "asked" => {
                assert_eq!(finish(&self.lease(step).asked_back()), Ok(true));
                let asked = self.lease(step).take_asked().expect("a request");
                assert_eq!(Some(&asked.why), step.note.as_ref());
            }
            "returned" => {
                return match finish(&self.asks[&step.who]) {
                    Ok(returned) => returned.state.into(),
                    Err(error) => error.code.into(),
                };
            }
            "proclaim" => {
                let value = step.value.clone().unwrap_or_default();
                return code(finish(&self.lease(step).proclaim(value.into_bytes())));
            }
            "leave" => return code(finish(&self.lease(step).leave(step.wait.map(seconds)))),
            "each" => return self.each(step),
            "observe" => {
                self.observers.insert(step.who.clone(), self.client(step).observe(&step.lock));
            }
            "change" => self.change(step),
            "leader" => {
                let leader = finish(&self.client(step).leader(&step.lock)).expect("an answer");
                assert!(self.shows(step, leader.as_ref()), "{leader:?}");
            }
            "count_down" => return number(finish(&self.latch(step).count_down(step.count))),
            "left" => return number(finish(&self.latch(step).count())),
            "check" => return code(self.lease(step).check(seconds(step.min))),
            "held" => return self.lease(step).is_held().into(),
            "lost" => {
                let (tell, told) = std::sync::mpsc::channel();
                self.lease(step).on_lost(move |reason| {
                    let _ = tell.send(reason);
                });
                return told.recv_timeout(PATIENCE).expect("a loss").into();
            }
            "queued" => self.until(&step.lock, |_, waiting| waiting == step.count),
            "free" => self.until(&step.lock, |held, waiting| !held && waiting == 0),
            "inspect" => {
                let info = self.look(&step.lock);
                let wanted = step.holder.as_ref().map(|who| self.leases[who].fence());
                assert_eq!(info.holder.as_ref().map(|holder| holder.fence), wanted, "{info:?}");
                assert_eq!(info.waiting, step.waiting, "{info:?}");
                if let (Some(holder), Some(note)) = (info.holder, &step.note) {
                    assert_eq!(&holder.who.note, note);
                }
            }
            "fences" => {
                let fences: Vec<u64> =
                    step.order.iter().map(|who| self.leases[who].fence()).collect();
                assert!(fences.is_sorted_by(|one, next| one < next), "{fences:?}");
            }
            "partition" => self.network().set_all(Fault::BlackHole),
            "heal" => self.network().heal(),
            "process" => self.process(step),
            "kill" => self.others.get_mut(&step.who).expect("a process").kill(),
            "shutdown" => drop(finish(&self.client(step).shutdown(5.0))),
            "connect" => return code(connect(&step.url)),
            other => panic!("{other} is unknown"),
        }
        step.expect.clone()
    }

    fn network(&self) -> &Proxy {
        self.place.network.as_ref().expect("a store that can be cut off")
    }

    /// Another process that takes the lock, or waits for it.
    fn process(&mut self, step: &Step) {
        let mut command = Command::new(program("leasehold-testkit", "holder"));
        let ttl = step.ttl.unwrap_or(30_000.0).to_string();
        let other = Process::start(command.args([&self.place.urls[1], &step.lock, &ttl]));
        if step.expect == "held" {
            other.wait_for("granted");
        }
        self.others.insert(step.who.clone(), other);
    }

    fn start(&mut self, step: &Step) {
        if step.latch.is_some() {
            let wait = self.latch(step).wait(step.wait.map(seconds));
            wait.unless_done(|_| ());
            self.waits.insert(step.who.clone(), wait);
            return;
        }
        let client = self.client(step);
        let request = request(step, &step.lock);
        let attempt = if let Some(value) = &step.value {
            client.campaign(&request, value.clone().into_bytes())
        } else if let Some(parties) = step.parties {
            client.enter(&request, parties)
        } else if !step.locks.is_empty() {
            client.attempt_all(&requests(step), request.wait, request.try_only)
        } else {
            client.attempt(&request)
        };
        // Nobody blocks for it: our runtime goes on with it.
        attempt.unless_done(|_| ());
        self.attempts.insert(step.who.clone(), attempt);
    }

    fn outcome(&mut self, who: &str) -> serde_json::Value {
        if let Some(wait) = self.waits.get(who) {
            let code = code(finish(wait));
            return if code == "CANCELLED" { "cancelled".into() } else { code };
        }
        let attempt = &self.attempts[who];
        let outcome = attempt.wait_for(PATIENCE).expect("an outcome");
        if matches!(outcome, Outcome::Held { .. }) {
            self.leases.insert(who.to_owned(), attempt.held().expect("what is held"));
        }
        word(&outcome).into()
    }

    fn each(&mut self, step: &Step) -> serde_json::Value {
        let attempt = self.client(step).attempt_each(&requests(step));
        if let Some(error) = attempt.wait_for(PATIENCE).expect("an outcome").error() {
            return error.code.into();
        }
        let each = attempt.each();
        for ((_, held), lock) in each.iter().zip(&step.locks) {
            if let Some(held) = held {
                self.leases.insert(format!("{}.{lock}", step.who), held.clone());
            }
        }
        each.iter().map(|(outcome, _)| word(outcome)).collect()
    }

    /// Waits until the observer is told what the step says. Of several changes in a row it may be told
    /// only the last, and of more than the step names: that nobody led in between.
    fn change(&self, step: &Step) {
        let observer = &self.observers[&step.who];
        loop {
            finish(&observer.changed()).expect("an answer");
            let change = observer.take().expect("a change to take");
            assert!(observer.take().is_none(), "it is taken once");
            if self.shows(step, change.as_ref()) {
                return;
            }
        }
    }

    fn shows(&self, step: &Step, leader: Option<&LeaderInfo>) -> bool {
        let wanted = step.holder.as_ref().map(|who| self.leases[who].fence());
        let value = step.value.as_ref().map(String::as_bytes);
        (leader.map(|it| it.fence), leader.map(|it| &it.value[..])) == (wanted, value)
    }

    fn latch(&self, step: &Step) -> Latch {
        self.client(step).latch(&step.lock, step.latch.expect("a latch"), None)
    }

    /// Waits until `fits` is true of whether the lock is held and of the number of its waiters.
    fn until(&self, lock: &str, fits: impl Fn(bool, u64) -> bool) {
        let sys = leasehold::runtime::native_sys().expect("threads");
        let limit = sys.now() + PATIENCE;
        loop {
            let info = self.look(lock);
            if fits(info.holder.is_some(), info.waiting) {
                return;
            }
            assert!(sys.now() < limit, "never came true: {info:?}; {:?}", self.states());
            leasehold::block_on(sys.sleep_until(sys.now() + Duration::from_millis(2)));
        }
    }

    /// What became of each attempt so far: one that failed explains why it does not wait.
    fn states(&self) -> Vec<(&String, Option<Outcome>)> {
        let all = self.attempts.iter();
        all.map(|(who, attempt)| (who, attempt.wait_for(Duration::ZERO))).collect()
    }

    fn look(&self, lock: &str) -> LockInfo {
        finish(&self.clients[1].inspect(lock.to_owned())).expect("a look")
    }

    fn client(&self, step: &Step) -> &Client {
        &self.clients[step.client.unwrap_or(1) - 1]
    }

    fn lease(&self, step: &Step) -> &Held {
        &self.leases[&step.who]
    }
}

fn request(step: &Step, lock: &str) -> LockRequest {
    LockRequest {
        name: lock.to_owned(),
        kind: kind(step.read, step.permits, step.capacity),
        ttl: step.ttl.map(seconds),
        wait: step.wait.map(seconds),
        try_only: step.r#do == "try",
        fixed_term: step.renew == Some(false),
        max_hold: step.max_hold.map(seconds),
        owner: step.owner,
        priority: step.priority,
        deadlock_priority: step.deadlock_priority,
        note: step.note.clone().unwrap_or_default(),
        order: None,
    }
}

fn requests(step: &Step) -> Vec<LockRequest> {
    step.locks.iter().map(|lock| request(step, lock)).collect()
}

/// The scenarios count in milliseconds.
fn seconds(millis: f64) -> f64 {
    millis / 1000.0
}
