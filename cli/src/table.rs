//! The text view of locks, for people: padded columns, no colours.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use leasehold::Profile;
use leasehold::store::LockView;
use unicode_width::UnicodeWidthStr;

use crate::duration::short;
use crate::print::word;

/// One row per lock. `now_us` is the wall-clock time in microseconds since 1970.
pub(crate) fn locks(views: &[LockView], now_us: u64) -> String {
    let head = ["NAME", "HOLDER", "FENCE", "HELD FOR", "LEFT", "WAITING", "NOTE"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(views.iter().map(|view| row(view, now_us)));
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.width() + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn row(view: &LockView, now_us: u64) -> [String; 7] {
    let none = || "-".to_owned();
    let waiting = view.waiting.to_string();
    let Some(holder) = &view.holder else {
        return [word(view.name.as_str()), none(), none(), none(), none(), waiting, none()];
    };
    let profile = &holder.profile;
    [
        word(view.name.as_str()),
        who(profile),
        holder.fence.to_string(),
        short(age(profile, now_us)),
        short(holder.told),
        waiting,
        if profile.note.is_empty() { none() } else { word(&profile.note) },
    ]
}

/// One lock, in full.
pub(crate) fn lock(view: &LockView, now_us: u64) -> String {
    let mut out = String::new();
    let mut say = |label: &str, value: &str| {
        // Writing to a string can't fail.
        let _ = writeln!(out, "{label:<9}{value}");
    };
    say("lock", &word(view.name.as_str()));
    match &view.holder {
        None => say("held", "no"),
        Some(holder) => {
            let profile = &holder.profile;
            say("held by", &who(profile));
            let since = format!("{} ({} ago)", wall(profile.since_us), short(age(profile, now_us)));
            say("since", &since);
            say("fence", &holder.fence.to_string());
            let state = if holder.claimed { ", not yet confirmed by the holder" } else { "" };
            let (told, stored) = (short(holder.told), short(holder.stored));
            say("lease", &format!("the holder was told {told}, the store keeps {stored}{state}"));
            if !profile.note.is_empty() {
                say("note", &word(&profile.note));
            }
        }
    }
    say("waiting", &view.waiting.to_string());
    for (index, waiter) in view.queue.iter().enumerate() {
        let profile = &waiter.profile;
        let note = if profile.note.is_empty() {
            String::new()
        } else {
            format!(", {}", word(&profile.note))
        };
        let age = short(age(profile, now_us));
        say("", &format!("{}. {}, for {age}{note}", index + 1, who(profile)));
    }
    let hidden = view.waiting.saturating_sub(view.queue.len() as u64);
    if hidden > 0 {
        say("", &format!("and {hidden} more"));
    }
    out
}

fn who(profile: &Profile) -> String {
    format!("{}@{}:{}", word(&profile.language), word(&profile.host), profile.pid)
}

fn age(profile: &Profile, now_us: u64) -> Duration {
    Duration::from_micros(now_us.saturating_sub(profile.since_us))
}

/// A wall-clock time in RFC 3339, UTC. A holder's own text: it may be beyond any calendar.
pub(crate) fn wall(since_us: u64) -> String {
    /// The last second that RFC 3339 can write: the end of the year 9999.
    const LAST: u64 = 253_402_300_799;
    let span = Duration::from_micros(since_us).min(Duration::from_secs(LAST));
    humantime::format_rfc3339_millis(UNIX_EPOCH + span).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_beyond_the_calendar_is_cut_not_a_panic() {
        assert_eq!(wall(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(wall(u64::MAX), "9999-12-31T23:59:59.000Z");
    }
}
