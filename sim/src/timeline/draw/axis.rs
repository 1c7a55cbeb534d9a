//! The axis of time.

use std::fmt::Write as _;

use super::super::seconds;
use super::Canvas;

impl Canvas<'_> {
    /// Draws the axis.
    pub(super) fn axis(&mut self) {
        let bottom = self.height;
        let ticks = self.scale.ticks();
        for (index, at) in ticks.iter().enumerate() {
            let (x, label) = (self.x(*at), tick_label(&ticks, index));
            let _ = write!(self.svg, r#"<line class="tick" x1="{x:.1}" x2="{x:.1}" y1="22" y2="{bottom:.0}"/>"#);
            let _ = write!(self.svg, r#"<text class="time" x="{x:.1}" y="15">{label}</text>"#);
        }
    }
}

/// A tick's time: to the millisecond, or to the microsecond where the next tick is closer than that.
fn tick_label(ticks: &[u64], index: usize) -> String {
    let at = ticks[index];
    let around =
        [index.checked_sub(1), index.checked_add(1)].into_iter().flatten().filter_map(|index| ticks.get(index));
    let is_fine = around.into_iter().any(|other| other.abs_diff(at) < 1_000);
    seconds(if is_fine { at } else { at / 1_000 * 1_000 })
}
