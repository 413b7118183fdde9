//! Pictures of a run as SVG: what was sent, queued and received over time.

use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, Color, DrawingArea, IntoDrawingArea as _, LineSeries, PathElement, RGBColor,
        SVGBackend, WHITE,
    },
    style::BLACK,
};

use super::run::{FlowRun, Run, Sample};

const WIDTH: u32 = 860;
const PANEL: u32 = 190;
/// The most points of a line; more cannot be distinguished and would only make the file larger.
const POINTS: usize = 600;
/// How many samples a value of goodput averages, because data arrives in bursts.
const SMOOTH: usize = 20;
const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(255, 127, 14),
    RGBColor(23, 160, 170),
];

/// A line of a panel.
struct Line {
    /// The name of the flow.
    name: String,
    colour: RGBColor,
    /// A second figure of the same flow.
    thin: bool,
    points: Vec<(f64, f64)>,
}

/// A picture could not be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotError(String);

impl std::fmt::Display for PlotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a picture could not be drawn: {}", self.0)
    }
}

impl std::error::Error for PlotError {}

/// The picture of a run: goodput, window and bytes in flight, pacing rate and the controller's estimate,
/// round trips, and the queue.
///
/// # Errors
/// [`PlotError`], for example for a run without samples.
pub fn svg(run: &Run) -> Result<String, PlotError> {
    let mut text = String::new();
    draw(run, &mut text).map_err(|error| PlotError(error.to_string()))?;
    Ok(text)
}

fn draw(run: &Run, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    if run.queue.is_empty() {
        return Err("the run has no samples".into());
    }
    let panels: [(&str, Vec<Line>); 5] = [
        ("goodput, Mbit/s", lines(run, goodput)),
        (
            "window and in flight (thin), kB",
            pairs(run, |sample| sample.window as f64 / 1e3, |sample| sample.in_flight as f64 / 1e3),
        ),
        (
            "pacing rate and the controller's estimate (thin), Mbit/s",
            pairs(run, |sample| sample.pacing_rate as f64 / 1e6, |sample| sample.rate as f64 / 1e6),
        ),
        ("smoothed round trip, ms", lines(run, |series, at| series[at].rtt)),
        ("queue, ms", vec![queue(run)]),
    ];
    let height = PANEL * panels.len() as u32;
    let root = SVGBackend::with_string(text, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (title, lines)) in root.split_evenly((panels.len(), 1)).iter().zip(&panels) {
        panel(area, title, lines)?;
    }
    root.present()?;
    Ok(())
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let end = points().map(|(x, _)| *x).fold(0.1, f64::max);
    let top = points().map(|(_, y)| *y).fold(0.0, f64::max) * 1.05 + 1e-3;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 14))
        .margin(6)
        .x_label_area_size(20)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart.configure_mesh().light_line_style(BLACK.mix(0.04)).bold_line_style(BLACK.mix(0.10)).draw()?;
    // A single line needs no name.
    let names = lines.iter().filter(|line| !line.thin).count();
    for Line { name, colour, thin, points } in lines {
        let style = if *thin { colour.mix(0.5).stroke_width(1) } else { colour.stroke_width(2) };
        let series = chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        if names > 1 && !thin {
            series.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
        }
    }
    if names > 1 {
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.7))
            .label_font(("sans-serif", 11))
            .draw()?;
    }
    Ok(())
}

/// A line for each of the first flows.
fn lines(run: &Run, value: impl Fn(&[Sample], usize) -> f64) -> Vec<Line> {
    let line = |(flow, &colour): (&FlowRun, &RGBColor)| Line {
        name: flow.name.clone(),
        colour,
        thin: false,
        points: points(flow.series.len(), |at| value(&flow.series, at)),
    };
    run.flows.iter().zip(&COLOURS).map(line).collect()
}

/// Two lines for each of the first flows, the second one thin.
fn pairs(run: &Run, first: impl Fn(&Sample) -> f64, second: impl Fn(&Sample) -> f64) -> Vec<Line> {
    let thick = lines(run, |series, at| first(&series[at]));
    let thin =
        lines(run, |series, at| second(&series[at])).into_iter().map(|line| Line { thin: true, ..line });
    thick.into_iter().chain(thin).collect()
}

fn goodput(series: &[Sample], at: usize) -> f64 {
    let from = at.saturating_sub(SMOOTH);
    let bytes = series[at].bytes - series[from].bytes;
    bytes as f64 * 8.0 / 1e6 / ((at - from).max(1) as f64 * Run::SAMPLE)
}

fn queue(run: &Run) -> Line {
    let points = points(run.queue.len(), |at| run.queue[at]);
    Line { name: String::new(), colour: COLOURS[0], thin: false, points }
}

/// Points of a line of `count` samples, a few hundred of them.
fn points(count: usize, value: impl Fn(usize) -> f64) -> Vec<(f64, f64)> {
    let step = count.div_ceil(POINTS).max(1);
    (0..count).step_by(step).map(|at| ((at + 1) as f64 * Run::SAMPLE, value(at))).collect()
}
