//! The track below each lane: how much the node's disk holds, and when something was stored or is gone.

use std::fmt::Write as _;

use super::super::html::escape;
use super::super::{Stock, seconds};
use super::{Canvas, letters};

/// From a lane's line down to its track, in pixels.
const DROP: f64 = 13.0;
/// How high a track is where a disk holds the most that any does.
const HEIGHT: f64 = 16.0;
/// And where it holds anything at all.
const HEIGHT_MIN: f64 = 2.0;

impl Canvas<'_> {
    /// Draws all tracks.
    pub(super) fn stocks(&mut self) {
        let stocks = &self.timeline.stocks;
        let most = stocks.iter().map(Stock::held).max().unwrap_or(0).max(1) as f64;
        for lane in 0..self.lanes.len() {
            let here: Vec<&Stock> = stocks.iter().filter(|stock| stock.lane == lane).collect();
            for (index, stock) in here.iter().enumerate() {
                let before = index.checked_sub(1).map(|index| here[index]);
                let until_us = here.get(index + 1).map_or(self.timeline.end_us, |next| next.at_us);
                self.stock(stock, before, until_us, most);
            }
        }
    }

    fn stock(&mut self, stock: &Stock, before: Option<&Stock>, until_us: u64, most: f64) {
        let (from, until) = (self.x(stock.at_us), self.x(until_us));
        let bottom = self.lanes[stock.lane].line + DROP + HEIGHT;
        let width = (until - from).max(1.0);
        let height = |items: u64| (HEIGHT * items as f64 / most).max(if items > 0 { HEIGHT_MIN } else { 0.0 });
        let times = format!("{} to {}", seconds(stock.at_us), seconds(until_us));
        let detail = escape(&format!("{}'s disk: {}\n{times}", self.timeline.lanes[stock.lane], stock.detail));
        let _ = write!(self.svg, r#"<g class="stock"><title>{detail}</title>"#);
        // A place to point at, however little there is.
        let top = bottom - HEIGHT;
        let _ =
            write!(self.svg, r#"<rect class="all" x="{from:.1}" y="{top:.1}" width="{width:.1}" height="{HEIGHT}"/>"#);
        for (class, items, above) in [("damaged", stock.damaged, 0), ("whole", stock.whole, stock.damaged)] {
            let (high, low) = (height(items), bottom - height(above));
            let top = low - high;
            if items > 0 {
                let _ = write!(
                    self.svg,
                    r#"<rect class="{class}" x="{from:.1}" y="{top:.1}" width="{width:.1}" height="{high:.1}"/>"#
                );
            }
        }
        self.change(stock, from, bottom);
        let (is_other, label) = (before.is_none_or(|before| before.held() != stock.held()), stock.held().to_string());
        if is_other && stock.held() > 0 && width >= letters(&label) {
            let (x, y) = (from + 3.0, bottom - 3.0);
            let _ = write!(self.svg, r#"<text x="{x:.1}" y="{y:.1}">{label}</text>"#);
        }
        self.svg.push_str("</g>");
    }

    /// A stroke where something was stored, and one where something is gone or damaged since.
    fn change(&mut self, stock: &Stock, x: f64, bottom: f64) {
        let top = bottom - HEIGHT;
        for (class, items, y1, y2) in
            [("stored", stock.more, top, bottom), ("gone", stock.less, top - 3.0, bottom + 3.0)]
        {
            if items > 0 {
                let _ =
                    write!(self.svg, r#"<line class="{class}" x1="{x:.1}" x2="{x:.1}" y1="{y1:.1}" y2="{y2:.1}"/>"#);
            }
        }
    }
}
