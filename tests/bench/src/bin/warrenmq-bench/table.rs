//! What was measured, and the table made of it.

use std::collections::HashMap;
use std::fmt::Write;
use std::io;

use serde::Serialize;
use warrenmq_bench::stats::median;

use crate::goals::{Better, Goal, MEASURES, Measure, YARDSTICK};

/// The values of all rounds, and what went wrong.
#[derive(Debug, Default)]
pub(crate) struct Results {
    values: HashMap<(String, String), Vec<f64>>,
    /// Measures without a goal, in the order in which they came, with their units.
    others: Vec<(String, String)>,
    pub(crate) failures: Vec<String>,
}

/// A row of the table: medians over all rounds, and how they stand to the goal.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    measure: String,
    unit: String,
    rabbitmq: Option<f64>,
    /// Carried, not measured: see `goals`.
    lavinmq: Option<f64>,
    warrenmq: Option<f64>,
    /// WarrenMQ's value over RabbitMQ's.
    ratio: Option<f64>,
    goal: Option<f64>,
    goal_times_lavinmq: Option<f64>,
    goal_times_rabbitmq: Option<f64>,
    met: Option<bool>,
    #[serde(skip)]
    more_is_better: bool,
}

impl Results {
    pub(crate) fn add(&mut self, measure: &str, broker: &str, value: f64) {
        self.values.entry((measure.into(), broker.into())).or_default().push(value);
    }

    pub(crate) fn fail(&mut self, measure: &str, broker: &str, error: &io::Error) {
        eprintln!("    failed: {error}");
        self.failures.push(format!("{broker}: {measure}: {error}"));
    }

    /// Remembers a measure that has no goal.
    pub(crate) fn name_unit(&mut self, measure: &str, unit: &str) {
        let known = MEASURES.iter().any(|known| known.name == measure)
            || self.others.iter().any(|other| other.0 == measure);
        if !known {
            self.others.push((measure.into(), unit.into()));
        }
    }

    fn median(&self, measure: &str, broker: &str) -> Option<f64> {
        self.values.get(&(measure.into(), broker.into())).map(|values| median(values))
    }

    /// One row for each measure that anybody took.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let with_goal = MEASURES.iter().map(|measure| self.row_with_goal(measure));
        let others = self.others.iter().map(|(name, unit)| self.row(name, unit));
        with_goal.chain(others).filter(|row| row.rabbitmq.or(row.warrenmq).is_some()).collect()
    }

    fn row(&self, measure: &str, unit: &str) -> Row {
        let (rabbitmq, warrenmq) = (self.median(measure, "RabbitMQ"), self.median(measure, "WarrenMQ"));
        Row {
            measure: measure.into(),
            unit: unit.into(),
            rabbitmq,
            lavinmq: None,
            warrenmq,
            ratio: warrenmq.zip(rabbitmq).map(|(ours, theirs)| ours / theirs),
            goal: None,
            goal_times_lavinmq: None,
            goal_times_rabbitmq: None,
            met: None,
            more_is_better: true,
        }
    }

    fn row_with_goal(&self, measure: &Measure) -> Row {
        let row = self.row(measure.name, measure.unit);
        let lavinmq = measure.lavinmq.map(|then| then * self.speed(measure));
        let times = |value: Option<f64>, times| (value.map(|value| value * times), Some(times));
        let (mut goal_times_lavinmq, mut goal_times_rabbitmq) = (None, None);
        let goal;
        match measure.goal {
            Goal::Absolute(most) => goal = Some(most),
            Goal::TimesLavinMq(factor) => (goal, goal_times_lavinmq) = times(lavinmq, factor),
            Goal::TimesRabbitMq(factor) => (goal, goal_times_rabbitmq) = times(row.rabbitmq, factor),
        }
        let met = row.warrenmq.zip(goal).map(|(ours, goal)| match measure.better {
            Better::More => ours >= goal,
            Better::Less => ours <= goal,
        });
        let more_is_better = measure.better == Better::More;
        Row { lavinmq, goal, goal_times_lavinmq, goal_times_rabbitmq, met, more_is_better, ..row }
    }

    /// By what LavinMQ's figure is multiplied: RabbitMQ's now over RabbitMQ's then, of the same
    /// measure or else of the yardstick. Memory and start-up are carried as they were.
    fn speed(&self, measure: &Measure) -> f64 {
        let of = |name: &str, then: Option<f64>| Some(self.median(name, "RabbitMQ")? / then?);
        let yardstick =
            || MEASURES.iter().find(|measure| measure.name == YARDSTICK).and_then(|m| of(m.name, m.rabbitmq));
        match measure.unit {
            "/s" => of(measure.name, measure.rabbitmq).or_else(yardstick).unwrap_or(1.0),
            "µs" => of(measure.name, measure.rabbitmq).unwrap_or(1.0),
            _ => 1.0,
        }
    }
}

/// The table as Markdown, aligned, with what must be known to read it.
pub(crate) fn render(rows: &[Row], with_rabbitmq: bool, failures: &[String]) -> String {
    let mut cells = vec![
        ["measure", "RabbitMQ", "LavinMQ, carried", "WarrenMQ", "to RabbitMQ", "goal", "met"]
            .map(String::from),
    ];
    for row in rows {
        let value = |value: Option<f64>| value.map_or("–".into(), |value| number(value, &row.unit));
        let sign = if row.more_is_better { "≥" } else { "≤" };
        let goal = row.goal.map_or("–".into(), |goal| {
            let times = row.goal_times_lavinmq.map(|times| format!(" ({times}× LavinMQ)"));
            let times = times.or(row.goal_times_rabbitmq.map(|times| format!(" ({times}× RabbitMQ)")));
            let of = times.unwrap_or_default();
            format!("{sign} {}{of}", number(goal, &row.unit))
        });
        cells.push([
            row.measure.clone(),
            value(row.rabbitmq),
            value(row.lavinmq),
            value(row.warrenmq),
            row.ratio.map_or("–".into(), ratio),
            goal,
            row.met.map_or("–", |met| if met { "yes" } else { "NO" }).into(),
        ]);
    }
    let mut out = markdown(&cells);
    let carried = match with_rabbitmq {
        true => "by its ratio to RabbitMQ (rates and latencies) or as it was (start, memory)",
        false => {
            "as it was: RabbitMQ was not measured, so these goals are for the machine on which they were set"
        }
    };
    let _ = writeln!(
        out,
        "\nMedians; load and brokers share the cores. LavinMQ was measured elsewhere and is carried {carried}."
    );
    for failure in failures {
        let _ = writeln!(out, "FAILED {failure}");
    }
    out
}

fn markdown(cells: &[[String; 7]]) -> String {
    let widths: [usize; 7] =
        std::array::from_fn(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut out = String::new();
    for (index, row) in cells.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(out, "| {cell:width$} ");
        }
        out.push_str("|\n");
        if index == 0 {
            for width in widths {
                let _ = write!(out, "|{}", "-".repeat(width + 2));
            }
            out.push_str("|\n");
        }
    }
    out
}

/// `14.8×`, or `1/71` of what is far less.
fn ratio(value: f64) -> String {
    if value < 0.1 { format!("1/{:.0}", 1.0 / value) } else { format!("{value:.2}×") }
}

/// Three significant digits or all before the point, with separators: `1,234,567/s`, `38.2 µs`.
fn number(value: f64, unit: &str) -> String {
    let text = match value.abs() {
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 100.0 => format!("{value:.1}"),
        _ => {
            let digits = format!("{value:.0}");
            let mut out = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index) % 3 == 0 {
                    out.push(',');
                }
                out.push(digit);
            }
            out
        }
    };
    if unit.starts_with('/') { format!("{text}{unit}") } else { format!("{text} {unit}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn row<'a>(rows: &'a [Row], measure: &str) -> &'a Row {
        rows.iter().find(|row| row.measure == measure).unwrap()
    }

    #[test]
    fn a_machine_twice_as_fast_has_goals_twice_as_high() {
        let mut results = Results::default();
        results.add(YARDSTICK, "RabbitMQ", 124_000.0);
        results.add(YARDSTICK, "WarrenMQ", 1_832_001.0);
        results.add("no ack, 1 KiB", "WarrenMQ", 1.0);
        let rows = results.rows();
        assert_eq!((row(&rows, YARDSTICK).goal, row(&rows, YARDSTICK).met), (Some(1_832_000.0), Some(true)));
        // No figure of RabbitMQ's own to go by: the yardstick's.
        assert_eq!(
            (row(&rows, "no ack, 1 KiB").goal, row(&rows, "no ack, 1 KiB").met),
            (Some(708_000.0), Some(false))
        );
    }

    #[test]
    fn without_rabbitmq_the_goals_stay_as_they_were_set() {
        let mut results = Results::default();
        results.add(YARDSTICK, "WarrenMQ", 916_000.0);
        results.add("RPC direct, p50", "WarrenMQ", 40.1);
        results.name_unit("mine", "ms");
        results.add("mine", "WarrenMQ", 1.0);
        let rows = results.rows();
        assert_eq!(row(&rows, YARDSTICK).met, Some(true));
        assert_eq!(row(&rows, "RPC direct, p50").met, Some(false));
        assert_eq!((rows.len(), row(&rows, "mine").met), (3, None));
    }

    #[test]
    fn numbers_are_written_to_be_read() {
        let written = [(1_234_567.8, "/s"), (38.24, "µs"), (6000.0, "ms"), (1.5, "MB")]
            .map(|(value, unit)| number(value, unit));
        assert_eq!(written, ["1,234,568/s", "38.2 µs", "6,000 ms", "1.50 MB"]);
    }
}
