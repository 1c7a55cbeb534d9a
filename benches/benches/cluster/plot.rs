//! The curve of background traffic as a picture.

use std::error::Error;
use std::path::Path;

use plotters::prelude::{
    BLACK, BLUE, ChartBuilder, Circle, IntoDrawingArea, LineSeries, RED, SVGBackend, SeriesLabelPosition, WHITE,
};
use plotters::style::Color;

use crate::traffic::Point;

/// Draws the points.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn draw(path: &Path, points: &[Point]) -> Result<(), Box<dyn Error>> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let area = SVGBackend::new(path, (800, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let most = points.iter().map(|point| point.bytes_most).fold(1.0, f64::max);
    let nodes_max = points.iter().map(|point| point.nodes).max().unwrap_or(1);
    let mut chart = ChartBuilder::on(&area)
        .caption("Background traffic of a node at rest", ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(0..nodes_max + 10, 0.0..most * 1.2)?;
    chart.configure_mesh().x_desc("nodes in the cluster").y_desc("bytes sent in a second").draw()?;
    for (label, color, value) in [
        ("a node, on average", BLUE, (|point| point.bytes) as fn(&Point) -> f64),
        ("the node that sends most", RED, |point| point.bytes_most),
    ] {
        let line: Vec<(usize, f64)> = points.iter().map(|point| (point.nodes, value(point))).collect();
        chart
            .draw_series(LineSeries::new(line.clone(), color))?
            .label(label)
            .legend(move |(x, y)| Circle::new((x + 8, y), 4, color.filled()));
        chart.draw_series(line.into_iter().map(|at| Circle::new(at, 4, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    Ok(())
}
