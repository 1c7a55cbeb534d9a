//! The diagram as SVG: time goes to the right, a lane per node from top to bottom.

mod arrows;
mod axis;
mod stocks;

use std::fmt::Write as _;

use super::html::escape;
use super::layout::{self, Arrow};
use super::scale::Scale;
use super::{Bar, Ending, Mark, MarkKind, Span, Timeline, seconds};

/// Left and right of the diagram, in pixels.
const MARGIN: f64 = 40.0;
/// The height of the time axis.
const AXIS: f64 = 34.0;
/// The height of a bar, and of the row it is in.
const BAR: f64 = 15.0;
const ROW: f64 = 18.0;
/// Above and below a lane's bars.
const LANE_TOP: f64 = 22.0;
const LANE_BOTTOM: f64 = 38.0;
/// The width of a letter in a bar, about.
const LETTER: f64 = 6.3;
/// Labels may stick out of bars as long as there are no more than so many.
const LABELS_MAX: usize = 60;
/// The colours of families of messages, in the order of their appearance.
const COLOURS: [&str; 8] = ["#2563eb", "#0d9488", "#9333ea", "#b45309", "#64748b", "#be185d", "#4d7c0f", "#0e7490"];

/// A diagram, in the pieces that the page puts together.
pub(super) struct Diagram {
    /// The lanes' names.
    pub(super) names: String,
    /// All else.
    pub(super) picture: String,
    /// Families of messages, with their colours.
    pub(super) families: Vec<(&'static str, &'static str)>,
    /// Messages that have no arrow.
    pub(super) without_arrow: usize,
}

struct Lane {
    top: f64,
    /// Where arrows start and end.
    line: f64,
    bottom: f64,
}

struct Canvas<'a> {
    timeline: &'a Timeline,
    scale: Scale,
    /// Rows of the faults' list, in the order of [`Timeline::spans`].
    fault_rows: Vec<usize>,
    /// Rows of bars in their lanes, in the order of [`Timeline::bars`].
    bar_rows: Vec<usize>,
    lanes: Vec<Lane>,
    height: f64,
    /// Whether a message without an arrival never arrived; or nobody knows.
    knows_arrivals: bool,
    svg: String,
}

/// Draws a timeline.
pub(super) fn diagram(timeline: &Timeline) -> Diagram {
    let (arrows, without_arrow) = layout::arrows(&timeline.messages);
    let mut families: Vec<(&'static str, &'static str)> = Vec::new();
    for arrow in &arrows {
        let family = arrow.first.family;
        if families.iter().all(|(known, _)| *known != family) {
            families.push((family, COLOURS[families.len() % COLOURS.len()]));
        }
    }
    let mut canvas = Canvas::new(timeline, &arrows);
    canvas.axis();
    canvas.lane_lines();
    timeline.spans.iter().enumerate().for_each(|(index, span)| canvas.fault(index, span));
    canvas.stocks();
    canvas.outages();
    arrows.iter().for_each(|arrow| canvas.arrow(arrow, &families));
    timeline.bars.iter().enumerate().for_each(|(index, bar)| canvas.bar(index, bar));
    timeline.marks.iter().for_each(|mark| canvas.mark(mark));
    canvas.end();
    let names = canvas.names();
    let picture = canvas.picture();
    Diagram { names, picture, families, without_arrow }
}

impl<'a> Canvas<'a> {
    fn new(timeline: &'a Timeline, arrows: &[Arrow<'_>]) -> Self {
        let scale = Scale::new(times(timeline, arrows));
        let (fault_rows, rows) = layout::pack(&extents(&timeline.spans, |span| {
            let from = scale.x(span.from_us);
            (from, scale.x(span.until_us).max(from + letters(&span.label)) + 6.0)
        }));
        let head = AXIS + rows as f64 * ROW + if rows > 0 { 12.0 } else { 0.0 };
        let mut bar_rows = vec![0; timeline.bars.len()];
        let mut lanes = Vec::new();
        let mut top = head;
        for lane in 0..timeline.lanes.len() {
            let here: Vec<usize> = (0..timeline.bars.len()).filter(|bar| timeline.bars[*bar].lane == lane).collect();
            let (rows, count) = layout::pack(&extents(&here, |index| extent(timeline, &scale, &timeline.bars[*index])));
            for (index, row) in here.into_iter().zip(rows) {
                bar_rows[index] = row;
            }
            let line = top + LANE_TOP + count as f64 * ROW + 4.0;
            lanes.push(Lane { top, line, bottom: line + LANE_BOTTOM });
            top = line + LANE_BOTTOM;
        }
        let knows_arrivals = timeline.messages.iter().any(|message| message.arrived_us.is_some());
        Self { timeline, scale, fault_rows, bar_rows, lanes, height: top + 10.0, knows_arrivals, svg: String::new() }
    }

    fn x(&self, at_us: u64) -> f64 {
        MARGIN + self.scale.x(at_us)
    }

    fn lane_lines(&mut self) {
        let right = MARGIN + self.scale.width();
        for (index, lane) in self.lanes.iter().enumerate() {
            let (top, height) = (lane.top, lane.bottom - lane.top);
            let shade = if index % 2 == 0 { "even" } else { "odd" };
            let width = right + MARGIN;
            let _ = write!(
                self.svg,
                r#"<rect class="lane {shade}" x="0" y="{top:.0}" width="{width:.0}" height="{height:.0}"/>"#
            );
            let y = lane.line;
            let _ = write!(self.svg, r#"<line class="line" x1="{MARGIN}" x2="{right:.1}" y1="{y:.1}" y2="{y:.1}"/>"#);
        }
    }

    fn fault(&mut self, index: usize, span: &Span) {
        let (from, until) = (self.x(span.from_us), self.x(span.until_us));
        let width = (until - from).max(2.0);
        let y = AXIS + self.fault_rows[index] as f64 * ROW;
        let times = format!("{} to {}", seconds(span.from_us), seconds(span.until_us));
        let detail = escape(&format!("Fault: {}\n{times}", span.detail));
        let label = escape(&span.label);
        let _ = write!(self.svg, r#"<g class="fault"><title>{detail}</title>"#);
        let _ = write!(self.svg, r#"<rect class="name" x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{BAR}"/>"#);
        for (number, lane) in self.lanes.iter().enumerate() {
            if span.lanes.is_empty() || span.lanes.contains(&number) {
                let (top, height) = (lane.top, lane.bottom - lane.top);
                let _ = write!(
                    self.svg,
                    r#"<rect class="band" x="{from:.1}" y="{top:.1}" width="{width:.1}" height="{height:.1}"/>"#
                );
            }
        }
        let (x, y) = (from + 4.0, y + 11.5);
        let _ = write!(self.svg, r#"<text x="{x:.1}" y="{y:.1}">{label}</text></g>"#);
    }

    fn outages(&mut self) {
        for outage in &self.timeline.outages {
            let Some(lane) = self.lanes.get(outage.lane) else { continue };
            let until_us = outage.until_us.unwrap_or(self.timeline.end_us);
            let (from, until) = (self.x(outage.from_us), self.x(until_us));
            let (y, width) = (lane.line - 4.0, (until - from).max(2.0));
            let name = &self.timeline.lanes[outage.lane];
            let detail = escape(&format!("{name} is down\n{} to {}", seconds(outage.from_us), seconds(until_us)));
            let _ = write!(
                self.svg,
                r#"<rect class="down" x="{from:.1}" y="{y:.1}" width="{width:.1}" height="8"><title>{detail}</title></rect>"#
            );
        }
    }

    fn bar(&mut self, index: usize, bar: &Bar) {
        let Some(lane) = self.lanes.get(bar.lane) else { return };
        let y = lane.top + LANE_TOP - 6.0 + self.bar_rows[index] as f64 * ROW;
        let from = self.x(bar.from_us);
        let until_us = bar.until_us.unwrap_or(self.timeline.end_us);
        let width = (self.x(until_us) - from).max(3.0);
        let class = match bar.ending {
            Ending::Well => "well",
            Ending::Badly => "badly",
            Ending::Open => "open",
        };
        let until = bar.until_us.map_or_else(|| "not ended".into(), seconds);
        let detail = escape(&format!("{}\n{} to {until}", bar.detail, seconds(bar.from_us)));
        let _ = write!(self.svg, r#"<g class="op {class}"><title>{detail}</title>"#);
        let _ = write!(self.svg, r#"<rect x="{from:.1}" y="{y:.1}" width="{width:.1}" height="{BAR}" rx="3"/>"#);
        if self.timeline.bars.len() <= LABELS_MAX || width >= letters(&bar.label) {
            let (x, y, label) = (from + 4.0, y + 11.5, escape(&bar.label));
            let _ = write!(self.svg, r#"<text x="{x:.1}" y="{y:.1}">{label}</text>"#);
        }
        self.svg.push_str("</g>");
    }

    fn mark(&mut self, mark: &Mark) {
        let x = self.x(mark.at_us);
        let y = mark.lane.and_then(|lane| self.lanes.get(lane)).map_or(26.0, |lane| lane.line);
        let (class, sign, what) = match mark.kind {
            MarkKind::Loss => ("loss", "✖", "Lost"),
            MarkKind::Bite => ("bite", "⚡", "The fault takes effect"),
            MarkKind::Probe => ("probe", "★", "Reached"),
        };
        let detail = escape(&format!("{what}: {}\n{}", mark.detail, seconds(mark.at_us)));
        let y = y + 5.0;
        let _ = write!(
            self.svg,
            r#"<text class="mark {class}" x="{x:.1}" y="{y:.1}">{sign}<title>{detail}</title></text>"#
        );
    }

    /// The end of the plan, and the broken rule.
    fn end(&mut self) {
        let bottom = self.height;
        if let Some(at) = self.timeline.healed_us {
            let x = self.x(at);
            let _ = write!(
                self.svg,
                r#"<g class="healed"><title>The plan is over; what is to be healed is healed
{}</title><line x1="{x:.1}" x2="{x:.1}" y1="22" y2="{bottom:.0}"/></g>"#,
                seconds(at)
            );
        }
        if let Some(violation) = &self.timeline.violation {
            let x = self.x(violation.at_us);
            let detail = escape(&format!(
                "The rule '{}' is broken: {}\n{}",
                violation.oracle,
                violation.what,
                seconds(violation.at_us)
            ));
            let label = escape(&format!("✖ {} broken", violation.oracle));
            let (half, text) = (letters(&violation.oracle) / 2.0 + 30.0, bottom + 14.0);
            let left = (x - half).clamp(0.0, (MARGIN * 2.0 + self.scale.width() - 2.0 * half).max(0.0));
            let (width, middle) = (2.0 * half, left + half);
            let _ = write!(
                self.svg,
                r#"<g class="violation"><title>{detail}</title><line x1="{x:.1}" x2="{x:.1}" y1="20" y2="{bottom:.0}"/><rect x="{left:.1}" y="{bottom:.0}" width="{width:.0}" height="20" rx="4"/><text x="{middle:.1}" y="{text:.0}">{label}</text></g>"#
            );
        }
    }

    fn names(&self) -> String {
        let mut svg = String::new();
        if !self.timeline.spans.is_empty() {
            let y = AXIS + 12.0;
            let _ = write!(svg, r#"<text class="sub" x="10" y="{y:.0}">what goes wrong</text>"#);
        }
        for (lane, name) in self.lanes.iter().zip(&self.timeline.lanes) {
            let (y, name) = (lane.line + 4.0, escape(name));
            let _ = write!(svg, r#"<text x="10" y="{y:.0}">{name}</text>"#);
            if !self.timeline.stocks.is_empty() {
                let y = lane.line + 24.0;
                let _ = write!(svg, r#"<text class="held" x="10" y="{y:.0}">on its disk</text>"#);
            }
        }
        let height = self.height + 26.0;
        format!(r#"<svg class="names" width="124" height="{height:.0}">{svg}</svg>"#)
    }

    fn picture(self) -> String {
        let (width, height) = (self.scale.width() + 2.0 * MARGIN, self.height + 26.0);
        let svg = self.svg;
        format!(
            r##"<svg class="picture" width="{width:.0}" height="{height:.0}"><defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#d4d4d8"/><line x1="0" x2="0" y1="0" y2="6" stroke="#52525b" stroke-width="3"/></pattern></defs>{svg}</svg>"##
        )
    }
}

/// All times at which something is drawn.
fn times(timeline: &Timeline, arrows: &[Arrow<'_>]) -> Vec<u64> {
    let mut times = vec![timeline.end_us];
    times.extend(timeline.bars.iter().flat_map(|bar| [bar.from_us, bar.until_us.unwrap_or(timeline.end_us)]));
    times.extend(timeline.spans.iter().flat_map(|span| [span.from_us, span.until_us]));
    times.extend(
        timeline.outages.iter().flat_map(|outage| [outage.from_us, outage.until_us.unwrap_or(timeline.end_us)]),
    );
    times.extend(arrows.iter().flat_map(|arrow| [Some(arrow.first.sent_us), arrow.first.arrived_us]).flatten());
    times.extend(timeline.marks.iter().map(|mark| mark.at_us));
    times.extend(timeline.healed_us);
    times.extend(timeline.violation.iter().map(|violation| violation.at_us));
    times
}

/// From where to where a bar goes, with its label as long as labels may stick out.
fn extent(timeline: &Timeline, scale: &Scale, bar: &Bar) -> (f64, f64) {
    let from = scale.x(bar.from_us);
    let until = scale.x(bar.until_us.unwrap_or(timeline.end_us)).max(from + 3.0);
    let label = if timeline.bars.len() <= LABELS_MAX { letters(&bar.label) } else { 0.0 };
    (from, until.max(from + label) + 2.0)
}

fn letters(label: &str) -> f64 {
    LETTER * label.chars().count() as f64 + 8.0
}

fn extents<T>(things: &[T], extent: impl Fn(&T) -> (f64, f64)) -> Vec<(f64, f64)> {
    things.iter().map(extent).collect()
}
