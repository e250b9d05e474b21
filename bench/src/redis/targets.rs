//! What was promised of the lock on Redis, from the sections that were measured.

use super::contended::{self, HOLDS, SHAPES};
use super::parts::HELD;
use super::{batch, crowd, held, hot, pairs};
use crate::rounds::Section;
use crate::target::{Target, Wanted, times};
use crate::tasks::{HOT, HOT_ROWS};

/// Every promise whose rows were measured.
pub(crate) fn targets(sections: &[Section]) -> Vec<Target> {
    let mut list = List { sections, targets: Vec::new() };
    list.uncontended();
    list.batch();
    list.contended();
    list.hot();
    list.crowd();
    list.held();
    list.targets
}

struct List<'a> {
    sections: &'a [Section],
    targets: Vec<Target>,
}

/// What the row of `rival` is called.
fn name(rows: &[(&'static str, &'static str)], rival: &str) -> &'static str {
    rows.iter().find(|(key, _)| *key == rival).map_or("", |(_, name)| name)
}

impl<'a> List<'a> {
    fn section(&self, title: &str) -> Option<&'a Section> {
        self.sections.iter().find(|section| section.title == title)
    }

    fn add(&mut self, what: impl Into<String>, value: Option<f64>, wanted: Wanted) {
        if let Some(value) = value {
            self.targets.push(Target { what: what.into(), value, wanted });
        }
    }

    fn uncontended(&mut self) {
        let of = |rival| name(&pairs::ROWS, rival);
        let one = self.section(&pairs::title(1));
        let many = self.section(&pairs::title(64));
        let against =
            |section: Option<&Section>, ours, limit| times(section?, of(ours), &[of(limit)]);
        // A time: the limit's rate by ours.
        let time = |limit| against(one, limit, "leasehold");
        let rate = |limit| against(many, "leasehold", limit);
        self.add("Rust pair, 1 task: time / limit B", time("limit B"), Wanted::AtMost(1.15));
        self.add("Rust pair, 1 task: time / limit A", time("limit A"), Wanted::Nothing);
        self.add("Rust pairs, 64 tasks: rate / limit B", rate("limit B"), Wanted::AtLeast(0.8));
        self.add("Rust pairs, 64 tasks: rate / limit A", rate("limit A"), Wanted::Nothing);
        for (section, tasks) in [(one, 1), (many, 64)] {
            let micros = |rival| section?.row(of(rival))?.more("us/script");
            let ours = micros("leasehold").zip(micros("limit B")).map(|(ours, least)| ours / least);
            let what = format!("Rust, {tasks} at once: server's us in a script / limit B");
            self.add(what, ours, Wanted::Nothing);
        }
        let python = |section| against(section, "leasehold sync", "redis-py");
        self.add("Python, 1 task: rate / redis-py", python(one), Wanted::AtLeast(2.5));
        self.add("Python, 64 threads: rate / redis-py", python(many), Wanted::Nothing);
        let asyncio = |section| against(section, "leasehold asyncio", "redis-py asyncio");
        self.add("asyncio, 1 task: rate / redis-py", asyncio(one), Wanted::AtLeast(3.0));
        self.add("asyncio, 64 tasks: rate / redis-py", asyncio(many), Wanted::AtLeast(10.0));
        // What nobody's client can pass here, whatever was promised: it waits for nothing but the server.
        let most = |rival| against(one, "limit B", rival);
        self.add("limit B, 1 task: rate / redis-py", most("redis-py"), Wanted::Nothing);
        self.add(
            "limit B, 1 task: rate / redis-py asyncio",
            most("redis-py asyncio"),
            Wanted::Nothing,
        );
    }

    fn contended(&mut self) {
        let of = |rival| name(&contended::ROWS, rival);
        for hold in HOLDS {
            for shape in SHAPES {
                let Some(section) = self.section(&contended::title(shape, hold)) else { continue };
                let place = format!("{}x{}, hold {} ms", shape.0, shape.1, hold.as_millis());
                // With a hold, the hold is the limit.
                let promised = |least| {
                    if hold.is_zero() { Wanted::AtLeast(least) } else { Wanted::Nothing }
                };
                let limits = [of("BLPOP"), of("grant")];
                let rate = times(section, of("leasehold"), &limits);
                self.add(format!("Rust {place}: hand-offs / limit C"), rate, promised(0.8));
                let rate = times(section, of("leasehold throughput"), &limits);
                let what = format!("Rust {place}, order throughput: hand-offs / limit C");
                self.add(what, rate, promised(0.8));
                let asyncio = times(section, of("leasehold asyncio"), &[of("python-redis-lock")]);
                let what = format!("asyncio {place}: hand-offs / python-redis-lock");
                self.add(what, asyncio, promised(2.0));
                let fair =
                    ["leasehold", "leasehold throughput", "leasehold sync", "leasehold asyncio"];
                for rival in fair {
                    let jain = section.row(of(rival)).and_then(|row| row.more("jain"));
                    let what = format!("{} {place}: Jain's index", of(rival));
                    // A cohort keeps the lock for 50 ms: a round with holds is a few of their turns.
                    let short = rival == "leasehold throughput" && !hold.is_zero();
                    let wanted = if short { Wanted::Nothing } else { Wanted::AtLeast(0.98) };
                    self.add(what, jain, wanted);
                }
            }
        }
    }

    fn hot(&mut self) {
        let [limit, fifo, ours] = HOT_ROWS;
        let memory = self.section(HOT);
        let time = memory.and_then(|section| times(section, limit, &[ours]));
        self.add("hot lock, memory: time / tokio Mutex", time, Wanted::AtMost(3.0));
        let redis = self.section(hot::TITLE);
        let rate = redis.and_then(|section| section.row(ours)).map(crate::rounds::Row::median);
        self.add("hot lock, Redis: hand-offs a second", rate, Wanted::AtLeast(500_000.0));
        // The one that does not depend on how fast the machine's network is.
        let gain = |section: Option<&Section>| times(section?, ours, &[fifo]);
        self.add("hot lock, Redis: rate / order fifo", gain(redis), Wanted::AtLeast(10.0));
        self.add("hot lock, memory: rate / order fifo", gain(memory), Wanted::Nothing);
    }

    fn batch(&mut self) {
        let Some(section) = self.section(batch::TITLE) else { return };
        let [limit, ours, single] = batch::ROWS;
        let gain = times(section, ours, &[single]);
        self.add("1,000 locks at once / one by one", gain, Wanted::AtLeast(50.0));
        let cost = times(section, limit, &[ours]);
        self.add("1,000 locks at once: time / one raw pipeline", cost, Wanted::AtMost(1.5));
        let most = times(section, limit, &[single]);
        self.add("one raw pipeline / one by one", most, Wanted::Nothing);
    }

    fn crowd(&mut self) {
        let Some(section) = self.section(crowd::TITLE) else { return };
        for name in ["limit C: grant", "leasehold, Rust"] {
            let figure = |waiters, figure| section.row(&crowd::row(name, waiters))?.more(figure);
            let ours = name == "leasehold, Rust";
            let promised = |most| if ours { Wanted::AtMost(most) } else { Wanted::Nothing };
            let what = format!("{name}, 1,000 waiters: scripts sent / hand-off");
            self.add(what, figure(1_000, "scripts"), promised(3.0));
            let what = format!("{name}, 1,000 waiters: all commands / hand-off");
            self.add(what, figure(1_000, "commands"), Wanted::Nothing);
            let p99 = |waiters| figure(waiters, "script p99 us");
            let grown = p99(10_000).zip(p99(10)).map(|(many, few)| many / few);
            let what = format!("{name}: script p99, 10,000 / 10 waiters");
            self.add(what, grown, promised(2.0));
        }
    }

    fn held(&mut self) {
        let Some(section) = self.section(&held::title(HELD.0, HELD.1)) else { return };
        for (rival, name) in held::ROWS {
            let used = section.row(name).map(crate::rounds::Row::median);
            let wanted = if rival == "leasehold" { Wanted::AtMost(1.0) } else { Wanted::Nothing };
            self.add(format!("{name}, 10,000 held: % of a core"), used, wanted);
        }
    }
}
