//! What nodes say to each other when nothing happens, in clusters of several sizes with the same number of records for each node.

use std::path::Path;
use std::time::{Duration, Instant};

use forever_core::config::Config;
use forever_sim::store::Event;

use crate::cluster::Cluster;
use crate::plot;

const SIZES: [usize; 5] = [10, 30, 100, 200, 300];
const FILES_PER_NODE: usize = 10;
const LEN: u32 = 1 << 10;

/// Until everything that puts leave to be done is done.
const REST: Duration = Duration::from_secs(300);

/// How long is measured.
const MEASURED: Duration = Duration::from_secs(300);

/// Of one size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) nodes: usize,
    /// Sent by a node in a second, on average.
    pub(crate) frames: f64,
    pub(crate) bytes: f64,
    /// Sent in a second by the node that sends most.
    pub(crate) bytes_most: f64,
}

/// Prints and draws the curve.
pub(crate) fn curve() {
    println!("background traffic at rest, {FILES_PER_NODE} files for each node, default configuration");
    println!("  nodes  frames/s and node  bytes/s and node  bytes/s of the busiest");
    let points: Vec<Point> = SIZES.into_iter().map(measure).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/reports/traffic.svg");
    match plot::draw(&path, &points) {
        Ok(()) => println!("  drawn in sim/reports/traffic.svg"),
        Err(error) => println!("  cannot draw {}: {error}", path.display()),
    }
}

fn measure(nodes: usize) -> Point {
    let started = Instant::now();
    let mut cluster = Cluster::new(nodes, Config { chunk_size: LEN, ..Config::default() });
    cluster.pass(Duration::from_secs(60));
    cluster.fill(FILES_PER_NODE * nodes, LEN, nodes, Duration::from_millis(5));
    cluster.pass(REST);
    cluster.world.watch_frames(true);
    let (mut frames, mut bytes) = (0_u64, vec![0_u64; nodes]);
    let until = cluster.now() + MEASURED;
    while cluster.now() < until {
        for event in cluster.pass(Duration::from_secs(1)) {
            if let Event::Frame { from, bytes: frame, .. } = event {
                frames += 1;
                bytes[from] += frame.len() as u64;
            }
        }
    }
    let seconds = MEASURED.as_secs_f64();
    let of_node = |sum: u64| sum as f64 / seconds / nodes as f64;
    let most = bytes.iter().max().copied().unwrap_or(0) as f64 / seconds;
    let point = Point { nodes, frames: of_node(frames), bytes: of_node(bytes.iter().sum()), bytes_most: most };
    println!(
        "  {:5}  {:17.2}  {:16.0}  {:22.0}  (after {:.0?})",
        point.nodes,
        point.frames,
        point.bytes,
        point.bytes_most,
        started.elapsed()
    );
    point
}
