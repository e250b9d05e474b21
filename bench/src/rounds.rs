//! Interleaved rounds: A B C, A B C, … The machine's speed drifts by the second, so contestants are
//! only ever compared within a round, and a round is short.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::Result;
use crate::stats::median;

/// Which way is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// A time or a cost.
    Lower,
    /// A rate.
    Higher,
}

/// One measurement of one contestant.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    /// In the section's unit.
    pub(crate) value: f64,
    /// Further figures, by name with unit.
    #[serde(flatten)]
    pub(crate) more: BTreeMap<&'static str, f64>,
    /// How often the server ran each command, for each pair or tenure.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) commands: BTreeMap<String, f64>,
}

impl Sample {
    /// A bare value.
    pub(crate) fn of(value: f64) -> Self {
        Self { value, more: BTreeMap::new(), commands: BTreeMap::new() }
    }

    /// Adds a figure.
    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.more.insert(name, value);
        self
    }

    /// Adds what the server did.
    pub(crate) fn commands(mut self, commands: BTreeMap<String, f64>) -> Self {
        self.commands = commands;
        self
    }
}

/// Measures for about the time given.
pub(crate) type Run<'a> = Box<dyn FnMut(Duration) -> Result<Sample> + 'a>;

/// Who takes part.
pub(crate) struct Contestant<'a> {
    name: String,
    run: Run<'a>,
}

/// A contestant with its measurement.
pub(crate) fn contestant<'a>(
    name: impl Into<String>,
    run: impl FnMut(Duration) -> Result<Sample> + 'a,
) -> Contestant<'a> {
    Contestant { name: name.into(), run: Box::new(run) }
}

/// A row of the table: all samples of one contestant.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// The contestant.
    pub(crate) name: String,
    /// One per round.
    pub(crate) samples: Vec<Sample>,
}

impl Row {
    /// The median of the values.
    pub(crate) fn median(&self) -> f64 {
        median(&self.values())
    }

    /// The median of a further figure, where every sample has it.
    pub(crate) fn more(&self, name: &str) -> Option<f64> {
        let values: Option<Vec<f64>> =
            self.samples.iter().map(|sample| sample.more.get(name).copied()).collect();
        values.filter(|values| !values.is_empty()).map(|values| median(&values))
    }

    /// The medians of what the server did, the most frequent command first.
    pub(crate) fn commands(&self) -> Vec<(&str, f64)> {
        let names: BTreeSet<&str> = self
            .samples
            .iter()
            .flat_map(|sample| sample.commands.keys().map(String::as_str))
            .collect();
        let calls = |name| {
            let of = |sample: &Sample| sample.commands.get(name).copied().unwrap_or(0.0);
            median(&self.samples.iter().map(of).collect::<Vec<f64>>())
        };
        let mut commands: Vec<(&str, f64)> =
            names.into_iter().map(|name| (name, calls(name))).collect();
        commands.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        commands
    }

    fn values(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.value).collect()
    }
}

/// A part of the table. Its first row is the limit that the others are compared with.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Section {
    /// What was measured.
    pub(crate) title: String,
    /// What the values are in.
    pub(crate) unit: &'static str,
    /// Which way is better.
    pub(crate) better: Better,
    /// The contestants, the limit first.
    pub(crate) rows: Vec<Row>,
    /// What a reader must know.
    pub(crate) note: String,
}

impl Section {
    /// Runs every contestant once per round, `rounds` times, about `span` each.
    pub(crate) fn measure(
        title: impl Into<String>,
        (unit, better): (&'static str, Better),
        rounds: u32,
        span: Duration,
        mut contestants: Vec<Contestant<'_>>,
    ) -> Result<Self> {
        let title = title.into();
        let mut rows: Vec<Row> = contestants
            .iter()
            .map(|contestant| Row { name: contestant.name.clone(), samples: Vec::new() })
            .collect();
        for round in 0..rounds {
            eprintln!("  {title}: round {} of {rounds}", round + 1);
            for (row, contestant) in rows.iter_mut().zip(&mut contestants) {
                let sample = (contestant.run)(span)
                    .map_err(|cause| format!("{title}, {}: {cause}", row.name))?;
                row.samples.push(sample);
            }
        }
        Ok(Self { title, unit, better, rows, note: String::new() })
    }

    /// Adds what a reader must know.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// How fast row `index` is, the row `limit` being 1: the median of the rounds' own ratios.
    pub(crate) fn speed(&self, index: usize, limit: usize) -> f64 {
        let (ours, theirs) = (self.rows[index].values(), self.rows[limit].values());
        let ratios: Vec<f64> = ours
            .iter()
            .zip(&theirs)
            .map(|(ours, theirs)| match self.better {
                Better::Lower => theirs / ours,
                Better::Higher => ours / theirs,
            })
            .collect();
        median(&ratios)
    }

    /// The row named `name`.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contestants_take_turns_and_are_compared_within_a_round() {
        let order = std::cell::RefCell::new(String::new());
        // The machine gets four times slower in the second round; the ratio must not notice.
        let (mut slow, mut fast) = (0.25, 0.25);
        let section = Section::measure(
            "turns",
            ("us", Better::Lower),
            2,
            Duration::ZERO,
            vec![
                contestant("limit", |_| {
                    order.borrow_mut().push('A');
                    fast *= 4.0;
                    Ok(Sample::of(fast))
                }),
                contestant("ours", |_| {
                    order.borrow_mut().push('B');
                    slow *= 4.0;
                    Ok(Sample::of(slow * 2.0).with("p99", slow))
                }),
            ],
        );
        let section = section.expect("no contestant fails");
        assert_eq!(*order.borrow(), "ABAB");
        assert_eq!(section.speed(1, 0), 0.5);
        assert_eq!(section.rows[1].more("p99"), Some(2.5));
        assert_eq!(section.rows[0].more("p99"), None);
    }
}
