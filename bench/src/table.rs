//! The figures as people read them: one aligned table, and what its columns mean.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::rounds::Section;
use crate::target::{Target, Wanted};

/// How wide the names are.
const NAME: usize = 38;

/// All sections as text.
pub(crate) fn render(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        render_section(&mut text, section);
    }
    text
}

/// What was promised, a line each.
pub(crate) fn render_targets(targets: &[Target]) -> String {
    let mut text = String::new();
    if !targets.is_empty() {
        let _ = writeln!(text, "\nPromises: the medians of the rounds' own ratios");
    }
    for target in targets {
        let wanted = match target.wanted {
            Wanted::AtLeast(least) => format!("at least {least}"),
            Wanted::AtMost(most) => format!("at most {most}"),
            Wanted::Nothing => String::new(),
        };
        let met = target.met().map_or("", |met| if met { "met" } else { "MISSED" });
        let what = &target.what;
        let line = format!("  {what:64} {:>9}  {wanted:14} {met}", short(target.value));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn render_section(text: &mut String, section: &Section) {
    // Writing to a string can't fail.
    let _ = writeln!(text, "\n{}", section.title);
    let _ = writeln!(
        text,
        "  {:NAME$} {:>14} {:>9} {:>17}  further",
        "", section.unit, "speed", "lowest..highest"
    );
    for (index, row) in section.rows.iter().enumerate() {
        let values: Vec<f64> = row.samples.iter().map(|sample| sample.value).collect();
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let names: BTreeSet<&str> =
            row.samples.iter().flat_map(|sample| sample.more.keys().copied()).collect();
        let further: Vec<String> = names
            .into_iter()
            .filter_map(|name| Some(format!("{name} {}", short(row.more(name)?))))
            .collect();
        let line = format!(
            "  {:NAME$} {:>14} {:>9} {:>17}  {}",
            row.name,
            short(row.median()),
            short(section.speed(index, 0)),
            format!("{}..{}", short(lowest), short(highest)),
            further.join(", ")
        );
        let _ = writeln!(text, "{}", line.trim_end());
        // One in a hundred is the bench's own, or a heartbeat's.
        let commands: Vec<String> = row
            .commands()
            .into_iter()
            .filter(|(_, calls)| *calls >= 0.01)
            .map(|(name, calls)| format!("{name} {}", short(calls)))
            .collect();
        if !commands.is_empty() {
            let _ = writeln!(text, "  {:NAME$} server: {}", "", commands.join(", "));
        }
    }
    if !section.note.is_empty() {
        let _ = writeln!(text, "  ({})", section.note);
    }
}

/// Three digits, and thousands with a separator.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "-".to_owned();
    }
    if size < 0.0995 {
        return format!("{value:.4}");
    }
    if size < 9.995 {
        return format!("{value:.2}");
    }
    if size < 99.95 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::{Better, Row, Sample};

    #[test]
    fn numbers_have_three_digits() {
        let shown = [0.01234, 0.5, 9.99, 12.34, 99.96, 1_234.5, 1_234_567.0].map(short);
        assert_eq!(shown, ["0.0123", "0.50", "9.99", "12.3", "100", "1,234", "1,234,567"]);
    }

    #[test]
    fn the_limit_has_speed_one_and_a_slower_one_less() {
        let row = |name: &str, value| Row { name: name.into(), samples: vec![Sample::of(value)] };
        let section = Section {
            title: "pairs".into(),
            unit: "us",
            better: Better::Lower,
            rows: vec![row("limit", 2.0), row("ours", 4.0)],
            note: String::new(),
        };
        let text = render(&[section]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[3].contains("limit") && lines[3].contains(" 1.00 "), "{text}");
        assert!(lines[4].contains("ours") && lines[4].contains(" 0.50 "), "{text}");
        assert_eq!(lines[3].len(), lines[4].len(), "{text}");
    }
}
