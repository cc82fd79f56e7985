//! Where the replicas of one process wait for each other on the host.
//!
//! Freeing page-locked memory, and some ways of allocating, wait for all work of the process; so do the first steps of NCCL.
//! A replica that waits like that while another's sum waits for it would never go on. So there is a gate before the first sum
//! of each update, and before each that the host waits for: whoever makes or frees memory does it before he comes to the
//! gate, and until then no sum is queued that needs him. Replicas in other processes need none: nothing there waits for work of
//! this one.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use alexnet_net::LostReplica;

use crate::replicas::Health;

/// A gate for all replicas of a process.
#[derive(Debug)]
pub struct Gate {
    replicas: usize,
    /// How many have arrived, and how often all have.
    state: Mutex<(usize, u64)>,
    all_here: Condvar,
}

impl Gate {
    /// For so many replicas.
    pub fn new(replicas: usize) -> Gate {
        Gate { replicas, state: Mutex::new((0, 0)), all_here: Condvar::new() }
    }

    /// Waits until all have arrived, or one is lost.
    pub(crate) fn wait(&self, health: &Health) -> Result<(), LostReplica> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        if state.0 == self.replicas {
            *state = (0, state.1 + 1);
            self.all_here.notify_all();
            return Ok(());
        }
        let turn = state.1;
        while state.1 == turn {
            let waited = self.all_here.wait_timeout(state, Duration::from_millis(50));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.1 == turn
                && let Some(reason) = health()
            {
                return Err(LostReplica(reason));
            }
        }
        Ok(())
    }
}
