//! What the server says that it did. It counts a command that a script calls like one that a client
//! sent, so that commands per hand-off here are more than round trips.

use std::collections::BTreeMap;

use crate::Result;

/// Counters since the server's start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    /// Calls, and the microseconds that they took, by command.
    commands: BTreeMap<String, (u64, u64)>,
    /// Seconds of processor time of the server's main thread.
    cpu: f64,
    /// What 99 of 100 scripts took at most, in microseconds, since the counters were set to zero.
    script_p99: Option<f64>,
}

/// What the bench itself asks, and what connecting takes.
const NOT_COUNTED: [&str; 5] =
    ["info", "client|setinfo", "config|resetstat", "hello", "script|load"];

impl Stats {
    /// Reads the text of `INFO commandstats latencystats cpu`.
    pub(crate) fn parse(info: &str) -> Result<Self> {
        let mut stats = Self::default();
        for line in info.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            if let Some(command) = key.strip_prefix("cmdstat_") {
                if NOT_COUNTED.contains(&command) {
                    continue;
                }
                let field = |name: &str| -> Result<u64> {
                    let of = |part: &str| Some(part.strip_prefix(name)?.strip_prefix('=')?.parse());
                    let found = value.split(',').find_map(of);
                    Ok(found.ok_or_else(|| format!("no {name} in {line:?}"))??)
                };
                stats.commands.insert(command.to_owned(), (field("calls")?, field("usec")?));
            } else if key == "latency_percentiles_usec_evalsha" {
                let p99 = value.split(',').find_map(|part| part.strip_prefix("p99="));
                stats.script_p99 = p99.map(str::parse).transpose()?;
            } else if key.starts_with("used_cpu_") && key.ends_with("_main_thread") {
                stats.cpu += value.trim().parse::<f64>()?;
            }
        }
        Ok(stats)
    }

    /// What happened since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let commands = self.commands.iter().filter_map(|(name, (calls, micros))| {
            let (old_calls, old_micros) = before.commands.get(name).copied().unwrap_or_default();
            let delta = (calls.saturating_sub(old_calls), micros.saturating_sub(old_micros));
            (delta.0 > 0).then(|| (name.clone(), delta))
        });
        Self {
            commands: commands.collect(),
            cpu: self.cpu - before.cpu,
            script_p99: self.script_p99,
        }
    }

    /// Calls of all commands.
    pub(crate) fn calls(&self) -> u64 {
        self.commands.values().map(|(calls, _)| calls).sum()
    }

    /// Calls of one command.
    pub(crate) fn calls_of(&self, command: &str) -> u64 {
        self.commands.get(command).map_or(0, |(calls, _)| *calls)
    }

    /// Calls by command, for each of `count`.
    pub(crate) fn calls_each(&self, count: f64) -> BTreeMap<String, f64> {
        let each = |calls: u64| calls as f64 / count;
        self.commands.iter().map(|(name, (calls, _))| (name.clone(), each(*calls))).collect()
    }

    /// Microseconds that a script took, commands that it called included.
    pub(crate) fn script_micros(&self) -> Option<f64> {
        let (calls, micros) = self.commands.get("evalsha")?;
        Some(*micros as f64 / *calls as f64)
    }

    /// What 99 of 100 scripts took at most, in microseconds, since the counters were set to zero.
    pub(crate) fn script_p99(&self) -> Option<f64> {
        self.script_p99
    }

    /// Seconds of processor time of the server's main thread.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# CPU\r\nused_cpu_sys_main_thread:1.5\r\nused_cpu_user_main_thread:2.0\r\n\
        cmdstat_get:calls=10,usec=20,usec_per_call=2.00,rejected_calls=0,failed_calls=0\r\n";
    const AFTER: &str = "# CPU\r\nused_cpu_sys_main_thread:1.75\r\nused_cpu_user_main_thread:2.5\r\n\
        cmdstat_get:calls=10,usec=20,usec_per_call=2.00,rejected_calls=0,failed_calls=0\r\n\
        cmdstat_info:calls=1,usec=20,usec_per_call=20.00,rejected_calls=0,failed_calls=0\r\n\
        cmdstat_evalsha:calls=4,usec=40,usec_per_call=10.00,rejected_calls=0,failed_calls=0\r\n\
        latency_percentiles_usec_evalsha:p50=7.007,p99=19.071,p99.9=30.079\r\n";

    #[test]
    fn only_what_happened_in_between_counts() {
        let before = Stats::parse(BEFORE).expect("it is well-formed");
        let delta = Stats::parse(AFTER).expect("it is well-formed").since(&before);
        assert_eq!(delta.calls(), 4);
        assert_eq!(delta.calls_each(2.0), BTreeMap::from([("evalsha".to_owned(), 2.0)]));
        assert_eq!(delta.script_micros(), Some(10.0));
        assert_eq!(delta.script_p99(), Some(19.071));
        assert_eq!(delta.cpu(), 0.75);
    }

    #[test]
    fn a_line_without_its_counter_is_an_error() {
        assert!(Stats::parse("cmdstat_get:calls=10").is_err());
    }
}
