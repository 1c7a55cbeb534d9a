//! Arrows: what nodes sent each other.

use std::fmt::Write as _;

use super::super::html::escape;
use super::super::layout::Arrow;
use super::super::seconds;
use super::{COLOURS, Canvas};

/// An arrow whose arrival is unknown leans so far to the right.
const LEAN: f64 = 7.0;

impl Canvas<'_> {
    /// Draws an arrow, in the colour of its family.
    pub(super) fn arrow(&mut self, arrow: &Arrow<'_>, families: &[(&str, &str)]) {
        let message = arrow.first;
        let (Some(from), Some(to)) = (self.lanes.get(message.from), self.lanes.get(message.to)) else { return };
        let (x1, y1, y2) = (self.x(message.sent_us), from.line, to.line);
        let x2 = message.arrived_us.map_or(x1 + LEAN, |at| self.x(at));
        let index = families.iter().position(|(family, _)| *family == message.family).unwrap_or(0);
        let colour = families.get(index).map_or(COLOURS[0], |(_, colour)| colour);
        let mut detail =
            format!("{} to {}: {}", self.timeline.lanes[message.from], self.timeline.lanes[message.to], message.kind);
        if arrow.count > 1 {
            let _ = write!(detail, ", {} of them until {}", arrow.count, seconds(arrow.last_us));
        }
        let _ = write!(detail, ", {} bytes\nsent at {}", arrow.bytes, seconds(message.sent_us));
        if let Some(at) = message.arrived_us {
            let _ = write!(detail, ", arrived at {}", seconds(at));
        }
        if arrow.count == 1 && !message.detail.is_empty() {
            let _ = write!(detail, "\n{}", message.detail);
        }
        let detail = escape(&detail);
        let several = if arrow.count > 1 { " several" } else { "" };
        let lost = if message.arrived_us.is_none() && self.knows_arrivals { " lost" } else { "" };
        // The head: two short strokes back from the point.
        let (dx, dy) = (x2 - x1, y2 - y1);
        let length = dx.hypot(dy).max(1.0);
        let (ux, uy) = (dx / length * 7.0, dy / length * 7.0);
        let (ax, ay, bx, by) = (x2 - ux + uy * 0.5, y2 - uy - ux * 0.5, x2 - ux - uy * 0.5, y2 - uy + ux * 0.5);
        let _ = write!(
            self.svg,
            r#"<g class="message f{index}{several}{lost}" stroke="{colour}" fill="{colour}"><title>{detail}</title><path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}"/><path class="head" d="M{x2:.1} {y2:.1}L{ax:.1} {ay:.1}L{bx:.1} {by:.1}Z"/></g>"#
        );
    }
}
