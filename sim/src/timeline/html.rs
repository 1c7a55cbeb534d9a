//! The page around the diagram.

use std::fmt::Write as _;

use super::draw::{self, Diagram};
use super::{Ending, MarkKind, Stock, Timeline, seconds};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Makes text safe in HTML, between tags and in attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Neither HTML nor XML can say these.
            other if other.is_control() && other != '\n' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// The whole page.
pub(super) fn page(timeline: &Timeline) -> String {
    let diagram = draw::diagram(timeline);
    let mut page = String::new();
    let title = escape(&timeline.title);
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p class=\"about\">{}</p>\n",
        escape(&timeline.about)
    );
    page.push_str(&verdict(timeline));
    page.push_str(&legend(timeline, &diagram));
    let Diagram { names, picture, without_arrow, .. } = diagram;
    let _ = writeln!(page, "<div class=\"diagram\">{names}<div class=\"scroll\">{picture}</div></div>");
    if without_arrow > 0 {
        let _ = writeln!(
            page,
            "<p class=\"note\">{without_arrow} earlier messages are not drawn: shrink the case first.</p>"
        );
    }
    let _ = write!(
        page,
        "<h2>The same in words</h2>\n<pre>{}</pre>\n<div id=\"detail\" hidden></div>\n<script>\n{SCRIPT}</script>\n\
         </body>\n</html>\n",
        escape(&timeline.story)
    );
    page
}

fn verdict(timeline: &Timeline) -> String {
    match &timeline.violation {
        Some(violation) => format!(
            "<p class=\"verdict bad\"><b>The rule '{}' is broken</b> at {}: {}</p>\n",
            escape(&violation.oracle),
            seconds(violation.at_us),
            escape(&violation.what)
        ),
        None => format!("<p class=\"verdict good\">No rule is broken in {}.</p>\n", seconds(timeline.end_us)),
    }
}

/// What the signs mean, of those that there are.
fn legend(timeline: &Timeline, diagram: &Diagram) -> String {
    let mut legend = String::from("<ul class=\"legend\">\n");
    let mut entry = |there: bool, sign: &str, text: &str| {
        if there {
            let _ = writeln!(legend, "<li>{sign} {text}</li>");
        }
    };
    let bars = |ending| timeline.bars.iter().any(|bar| bar.ending == ending);
    let marks = |kind| timeline.marks.iter().any(|mark| mark.kind == kind);
    let swatch = |class: &str| format!("<i class=\"swatch {class}\"></i>");
    entry(bars(Ending::Well), &swatch("well"), "an operation that went well");
    entry(bars(Ending::Badly), &swatch("badly"), "one that failed");
    entry(bars(Ending::Open), &swatch("open"), "one that never ended");
    entry(!timeline.spans.is_empty(), &swatch("fault"), "a fault, on the nodes it hits");
    entry(!timeline.outages.is_empty(), &swatch("down"), "the node is down");
    entry(marks(MarkKind::Loss), "<i class=\"loss\">✖</i>", "stored bytes are destroyed");
    entry(marks(MarkKind::Bite), "<i class=\"bite\">⚡</i>", "a fault takes effect");
    entry(marks(MarkKind::Probe), "<i class=\"probe\">★</i>", "an interesting state");
    let stocks = |is_there: fn(&Stock) -> bool| timeline.stocks.iter().any(is_there);
    entry(stocks(|_| true), &swatch("stock"), "how many blobs (sealed pieces of files) the node's disk holds");
    entry(stocks(|stock| stock.damaged > 0), &swatch("damaged"), "damaged ones");
    entry(stocks(|stock| stock.more > 0), &swatch("stored"), "something has been stored durably");
    entry(stocks(|stock| stock.less > 0), &swatch("gone"), "something is gone from the disk, or damaged");
    entry(timeline.healed_us.is_some(), &swatch("healed"), "the plan is over, the core is healed");
    entry(timeline.violation.is_some(), &swatch("violation"), "the broken rule");
    for (index, (family, colour)) in diagram.families.iter().enumerate() {
        let _ = writeln!(
            legend,
            "<li><label><input type=\"checkbox\" checked data-family=\"f{index}\"><i class=\"arrow\" \
             style=\"background:{colour}\"></i> {}</label></li>",
            escape(family)
        );
    }
    legend.push_str("</ul>\n");
    let arrows = if timeline.messages.iter().any(|message| message.arrived_us.is_some()) {
        "Arrows go from where and when a message was sent to where and when it arrived; dashed ones never did."
    } else {
        "Arrows start where and when a message was sent and point at whom it was sent to; when it arrived is not known."
    };
    let _ = writeln!(
        legend,
        "<p class=\"note\">Time goes to the right, and is stretched where much happens. {arrows} A thick one stands for \
         several messages of a kind. Point at anything for details.</p>"
    );
    legend
}
