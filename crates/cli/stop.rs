//! Ctrl-C: the first asks the work to stop at its next safe point, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C from now on and gives the flag it raises.
pub fn on_interrupt() -> &'static AtomicBool {
    // A second handler in one process cannot be set; the first one serves then.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(2);
        }
        eprintln!("stopping at the next safe point; press Ctrl-C again to stop at once");
    });
    &STOP
}
