//! Ctrl-C: the first ends what is under way with its report, the second ends the program, with the exit code that shells give
//! to what a signal ended.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{CliError, eprint};

/// 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// A flag that the first Ctrl-C sets.
pub(crate) fn on_ctrl_c() -> Result<Arc<AtomicBool>, CliError> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(CliError::Signal)?;
    let flag = stop.clone();
    // Registered here, so that none is missed between this and the thread's start.
    let mut signals = {
        let _here = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(CliError::Signal)?
    };
    thread::spawn(move || {
        runtime.block_on(async {
            let mut count = 0;
            while signals.recv().await.is_some() {
                count += 1;
                if count > 1 {
                    process::exit(INTERRUPTED);
                }
                flag.store(true, Ordering::Relaxed);
                eprint("stopping after the seeds under way; a second Ctrl-C ends the program at once\n");
            }
        });
    });
    Ok(stop)
}
