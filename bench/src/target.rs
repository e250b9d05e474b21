//! Figures that were promised: a ratio between rows of one section, and what it should reach.

use serde::Serialize;

use crate::rounds::Section;
use crate::stats::median;

/// What a figure should reach.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wanted {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Reported only.
    Nothing,
}

/// A figure, and what it should reach.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Target {
    /// Of what.
    pub(crate) what: String,
    /// The figure.
    pub(crate) value: f64,
    /// What it should reach.
    pub(crate) wanted: Wanted,
}

impl Target {
    /// Whether it reached that.
    pub(crate) fn met(&self) -> Option<bool> {
        match self.wanted {
            Wanted::AtLeast(least) => Some(self.value >= least),
            Wanted::AtMost(most) => Some(self.value <= most),
            Wanted::Nothing => None,
        }
    }
}

/// How many times the values of row `ours` are those of the highest of `theirs`: the median of the
/// rounds' own ratios. Nothing where a row was not measured.
pub(crate) fn times(section: &Section, ours: &str, theirs: &[&str]) -> Option<f64> {
    let ours = section.row(ours)?;
    let theirs: Option<Vec<_>> = theirs.iter().map(|name| section.row(name)).collect();
    let theirs = theirs?;
    let ratios: Vec<f64> = ours
        .samples
        .iter()
        .enumerate()
        .map(|(round, sample)| {
            let highest = theirs.iter().map(|row| row.samples[round].value).fold(0.0, f64::max);
            sample.value / highest
        })
        .collect();
    Some(median(&ratios))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::{Better, Row, Sample};

    #[test]
    fn a_ratio_is_against_the_best_of_its_round() {
        let row = |name: &str, values: [f64; 3]| Row {
            name: name.into(),
            samples: values.map(Sample::of).into(),
        };
        let section = Section {
            title: String::new(),
            unit: "1/s",
            better: Better::Higher,
            rows: vec![
                row("one", [10.0, 20.0, 30.0]),
                row("other", [20.0, 10.0, 10.0]),
                row("ours", [10.0, 10.0, 30.0]),
            ],
            note: String::new(),
        };
        assert_eq!(times(&section, "ours", &["one", "other"]), Some(0.5));
        assert_eq!(times(&section, "ours", &["one"]), Some(1.0));
        assert_eq!(times(&section, "theirs", &["one"]), None);
        let target = |wanted| Target { what: String::new(), value: 0.5, wanted }.met();
        assert_eq!(target(Wanted::AtLeast(0.5)), Some(true));
        assert_eq!(target(Wanted::AtMost(0.4)), Some(false));
        assert_eq!(target(Wanted::Nothing), None);
    }
}
