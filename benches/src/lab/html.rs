//! A whole report in one file that a browser shows without a network.

use std::fmt::Write as _;

use super::{
    plots::{self, PlotError},
    report::Report,
    scenario::Scenario,
};

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Congestion control: a report of cc-lab</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
.wide { overflow-x: auto; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); text-align: right; white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2), th:last-child, td:last-child { text-align: left; }
td:last-child { white-space: normal; min-width: 14rem; }
.missed { color: #c0392b; } .met { color: #1e8449; }
figure { margin: 1rem 0 2.5rem; background: #fff; border-radius: 6px; overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 32rem; height: auto; }
code { font-size: 13px; }
</style>
"#;

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The report with its tables, and the pictures of the first seed of each scenario and controller.
///
/// # Errors
/// If a picture could not be drawn.
pub fn html(report: &Report, scenarios: &[Scenario]) -> Result<String, PlotError> {
    let mut text = HEAD.to_owned();
    let _ = write!(text, "<h1>Congestion control</h1>\n<p><code>{}</code></p>\n", escaped(&report.command));
    text.push_str("<p>Each figure is the median over the seeds; targets are judged by the worst. Times are in milliseconds.</p>\n");
    text.push_str("<div class=\"wide\"><table>\n");
    for (index, row) in report.rows(scenarios).iter().enumerate() {
        let tag = if index == 0 { "th" } else { "td" };
        text.push_str("<tr>");
        for cell in row {
            let class = match cell.as_str() {
                "met" => " class=\"met\"",
                cell if cell.starts_with("MISSED") => " class=\"missed\"",
                _ => "",
            };
            let _ = write!(text, "<{tag}{class}>{}</{tag}>", escaped(cell));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</table></div>\n");
    let mut shown: Vec<(&str, &str)> = Vec::new();
    for run in report.runs.iter().filter(|run| !run.queue.is_empty()) {
        let key = (run.scenario.as_str(), run.controller.as_str());
        if shown.contains(&key) {
            continue;
        }
        // A scenario's controllers follow each other in a report.
        let is_next = shown.last().is_none_or(|(scenario, _)| *scenario != run.scenario);
        shown.push(key);
        let title = scenarios.iter().find(|scenario| scenario.id.as_str() == run.scenario);
        let title = title.map_or("", |scenario| scenario.title.as_str());
        if is_next {
            let _ = writeln!(text, "<h2>{} {}</h2>", escaped(&run.scenario), escaped(title));
        }
        let (controller, seed) = (escaped(&run.controller), run.seed);
        let _ = writeln!(text, "<h3>{controller}, seed {seed}</h3>\n<figure>{}</figure>", plots::svg(run)?);
    }
    text.push_str("</html>\n");
    Ok(text)
}
