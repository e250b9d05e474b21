//! Durations as people read them.

use std::time::Duration;

/// `span` in the two largest units that matter, for tables.
pub(crate) fn short(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => format!("{seconds}.{}s", millis / 100),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ones_have_two_units() {
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (59_999, "59.9s"),
            (61_000, "1m 1s"),
            (3_661_000, "1h 1m"),
            (90_061_000, "1d 1h"),
        ] {
            assert_eq!(short(Duration::from_millis(millis)), text);
        }
    }
}
