//! Durations as people write them: `30s`, `500ms`, `1h 5m`; a bare number means seconds.

use std::time::Duration;

/// Parses `text`. The bounds of each option are checked where it is used.
///
/// # Errors
/// One line that names what was wrong; the caller names the option.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    if let Ok(number) = trimmed.parse::<f64>() {
        return leasehold::options::seconds("the duration", number)
            .map_err(|error| error.message().to_owned());
    }
    humantime::parse_duration(trimmed)
        .map_err(|cause| format!("{cause} (write 30s, 500ms, 1h 5m, or a number of seconds)"))
}

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
    fn durations_as_people_write_them() {
        for (text, millis) in [
            ("30", 30_000),
            ("0", 0),
            (" 2.5 ", 2_500),
            ("500ms", 500),
            ("30s", 30_000),
            ("1h 5m", 3_900_000),
            ("1e3", 1_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_by_name() {
        for text in ["", "-5", "-5s", "nan", "inf", "1e400", "ten", "5 parsecs", "1e20", "5s5"] {
            assert!(parse(text).is_err_and(|why| !why.is_empty()), "{text}");
        }
    }

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
