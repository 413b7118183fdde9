//! The results of many runs: tables, JSON, a comparison.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::{Deserialize, Serialize};

use super::{
    run::Run,
    scenario::{Bound, Scenario},
};

/// All runs of one command, as `--json` writes them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// The command that made the report.
    pub command: String,
    /// Its runs.
    pub runs: Vec<Run>,
}

/// A figure of a scenario and controller over all seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let median = *values.get(values.len() / 2)?;
        Some(Self { min: values[0], median, max: *values.last()? })
    }

    /// The worst value for a bound, which the target is judged by.
    #[must_use]
    pub fn worst(&self, bound: &Bound) -> f64 {
        if bound.min.is_some_and(|min| self.min < min) || bound.max.is_none() { self.min } else { self.max }
    }
}

/// The figures in tables, with their headings and formats.
const COLUMNS: &[(&str, &str, Style)] = &[
    ("utilization", "used", Style::Share),
    ("goodput", "goodput", Style::Rate),
    ("queue_p50", "q50 ms", Style::Millis),
    ("queue_p95", "q95 ms", Style::Millis),
    ("queue_p99", "q99 ms", Style::Millis),
    ("dropped", "dropped", Style::Percent),
    ("marked", "marked", Style::Percent),
    ("retransmitted", "again", Style::Percent),
    ("completion", "done ms", Style::Millis),
    ("jain", "Jain", Style::Share),
    ("share", "share", Style::Share),
    ("frame_p50", "f50 ms", Style::Millis),
    ("frame_p99", "f99 ms", Style::Millis),
    ("datagram_p50", "d50 ms", Style::Millis),
    ("datagram_p99", "d99 ms", Style::Millis),
    ("expired", "expired", Style::Percent),
    ("page_p50", "page50 ms", Style::Millis),
    ("page_p99", "page99 ms", Style::Millis),
    ("call_p99", "call99 ms", Style::Millis),
];

#[derive(Clone, Copy, Debug)]
enum Style {
    Share,
    Percent,
    Millis,
    Rate,
}

impl Style {
    fn write(self, value: f64) -> String {
        match self {
            Self::Share => format!("{value:.3}"),
            Self::Percent => format!("{:.2} %", value * 100.0),
            Self::Millis if value >= 100.0 => format!("{value:.0}"),
            Self::Millis => format!("{value:.1}"),
            Self::Rate => format!("{:.2} M", value / 1e6),
        }
    }
}

impl Report {
    /// The scenarios and controllers that were run, in their order, with the spread of each figure.
    #[must_use]
    pub fn spreads(&self) -> Vec<(String, String, BTreeMap<String, Spread>)> {
        let mut groups: Vec<(String, String, BTreeMap<String, Vec<f64>>)> = Vec::new();
        for run in &self.runs {
            let at = groups.iter().position(|(scenario, controller, _)| {
                *scenario == run.scenario && *controller == run.controller
            });
            let at = at.unwrap_or_else(|| {
                groups.push((run.scenario.clone(), run.controller.clone(), BTreeMap::new()));
                groups.len() - 1
            });
            for (name, value) in &run.figures {
                groups[at].2.entry(name.clone()).or_default().push(*value);
            }
        }
        let spread = |(name, values)| Some((name, Spread::of(values)?));
        groups
            .into_iter()
            .map(|(scenario, controller, figures)| {
                (scenario, controller, figures.into_iter().filter_map(spread).collect())
            })
            .collect()
    }

    /// A table in Markdown: the median of each figure, and whether the worst of those with a target meets it.
    #[must_use]
    pub fn table(&self, scenarios: &[Scenario]) -> String {
        markdown(&self.rows(scenarios))
    }

    /// The table as rows of cells, the headings first.
    #[must_use]
    pub fn rows(&self, scenarios: &[Scenario]) -> Vec<Vec<String>> {
        let spreads = self.spreads();
        let used: Vec<_> = COLUMNS
            .iter()
            .filter(|(name, ..)| spreads.iter().any(|(_, _, figures)| figures.contains_key(*name)))
            .collect();
        let mut rows = vec![["scenario", "controller"].map(str::to_owned).to_vec()];
        rows[0].extend(used.iter().map(|(_, heading, _)| (*heading).to_owned()));
        rows[0].push("target".to_owned());
        for (scenario, controller, figures) in &spreads {
            let mut row = vec![scenario.clone(), controller.clone()];
            row.extend(used.iter().map(|(name, _, style)| {
                figures.get(*name).map_or(String::new(), |spread| style.write(spread.median))
            }));
            row.push(verdict(scenarios, scenario, controller, figures));
            rows.push(row);
        }
        rows
    }

    /// Compares the medians of `other` with those of this report. Changes below 0.05 % are only counted. A
    /// note before the table says which runs had other seeds, and one after it what only one report has.
    /// `None` if they have nothing in common.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (self.seeds(), other.seeds());
        let gone = ours.keys().filter(|of| !theirs.contains_key(*of));
        let mut notes: String = gone.map(|of| format!("only before: {} {}\n", of.0, of.1)).collect();
        let new = theirs.keys().filter(|of| !ours.contains_key(*of));
        notes.extend(new.map(|of| format!("only after: {} {}\n", of.0, of.1)));
        if !ours.keys().any(|of| theirs.contains_key(of)) {
            return None;
        }
        let (rows, slight) = self.changes(other);
        let table = match (rows.len(), slight) {
            (..=1, 0) => "no figure differs\n".to_owned(),
            (..=1, _) => "no figure differs by 0.05 % or more\n".to_owned(),
            _ => markdown(&rows),
        };
        if slight > 0 && rows.len() > 1 {
            notes.insert_str(0, &format!("left out: {slight} that differ by less than 0.05 %\n"));
        }
        let table = if notes.is_empty() { table } else { format!("{table}\n{notes}") };
        let seeds = other_seeds(&ours, &theirs);
        Some(if seeds.is_empty() { table } else { format!("{seeds}\n{table}") })
    }

    /// The seeds of each scenario and controller.
    fn seeds(&self) -> Seeds<'_> {
        let mut all: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
        for run in &self.runs {
            all.entry((run.scenario.as_str(), run.controller.as_str())).or_default().insert(run.seed);
        }
        all
    }

    /// The changed figures as rows of cells, the headings first, and how many changed by less than 0.05 %.
    fn changes(&self, other: &Self) -> (Vec<Vec<String>>, usize) {
        let mut rows = vec![
            ["scenario", "controller", "figure", "before", "after", "change"].map(str::to_owned).to_vec(),
        ];
        let (after, mut slight) = (other.spreads(), 0);
        for (scenario, controller, figures) in self.spreads() {
            let same = after.iter().find(|(s, c, _)| *s == scenario && *c == controller);
            let Some((_, _, now)) = same else { continue };
            for (name, heading, style) in COLUMNS {
                let (Some(old), Some(new)) = (figures.get(*name), now.get(*name)) else { continue };
                if style.write(old.median) == style.write(new.median) {
                    continue;
                }
                let change = (new.median / old.median - 1.0) * 100.0;
                if change.abs() < 0.05 {
                    slight += 1;
                    continue;
                }
                let change = if old.median == 0.0 { String::new() } else { format!("{change:+.1} %") };
                rows.push(vec![
                    scenario.clone(),
                    controller.clone(),
                    (*heading).to_owned(),
                    style.write(old.median),
                    style.write(new.median),
                    change,
                ]);
            }
        }
        (rows, slight)
    }
}

/// The seeds of scenarios and controllers.
type Seeds<'a> = BTreeMap<(&'a str, &'a str), BTreeSet<u64>>;

/// A note about the runs of both reports with other seeds, one line for all with equal numbers of seeds;
/// empty if there are none.
fn other_seeds(ours: &Seeds<'_>, theirs: &Seeds<'_>) -> String {
    let common = || ours.iter().filter_map(|(of, seeds)| Some((of, seeds, theirs.get(of)?)));
    let mut groups: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    for (of, before, after) in common().filter(|(_, before, after)| before != after) {
        groups.entry((before.len(), after.len())).or_default().push(format!("{} {}", of.0, of.1));
    }
    let line = |((before, after), of): (&(usize, usize), &Vec<String>)| {
        let all = of.len() > 1 && of.len() == common().count();
        let of = if all { "everything".to_owned() } else { of.join(", ") };
        format!("{of}: other seeds, {before} before and {after} after\n")
    };
    groups.iter().map(line).collect()
}

/// Which targets a controller of a scenario meets in its worst seed.
fn verdict(scenarios: &[Scenario], id: &str, controller: &str, figures: &BTreeMap<String, Spread>) -> String {
    let targets =
        scenarios.iter().find(|scenario| scenario.id.as_str() == id).map(|scenario| &scenario.target);
    let own = targets.and_then(|all| all.get(controller).or_else(|| all.get(mode(controller))));
    let Some(targets) = own else { return String::new() };
    let missed: Vec<String> = targets
        .iter()
        .filter_map(|(name, bound)| {
            // A transfer that did not end has no duration.
            let Some(spread) = figures.get(name.as_str()) else {
                return Some(format!("no {name}, not {bound}"));
            };
            let worst = spread.worst(bound);
            (!bound.holds(worst)).then(|| format!("{name} {worst:.3}, not {bound}"))
        })
        .collect();
    if missed.is_empty() { "met".to_owned() } else { format!("MISSED: {}", missed.join("; ")) }
}

/// The mode of which a controller is the algorithm.
fn mode(controller: &str) -> &str {
    match controller {
        "cubic" => "default",
        "bbr3" => "throughput",
        other => other,
    }
}

/// Formats rows as a Markdown table with aligned columns.
fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).max(3)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (column, width) in widths.iter().enumerate() {
            let cell = row.get(column).map_or("", String::as_str);
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}
