//! Looks after the sums over replicas while nobody can: a sum whose peer is gone never ends, and with it whoever waits for
//! the device.
//!
//! A thread asks NCCL, and the program's own [`Health`], a few times a second whether all replicas are still there. If not,
//! it keeps the reason and aborts the communicators; the sums then end with whatever they hold, so everyone who has
//! waited for a device asks [`Link::check`] before using what came of it. A communicator that is in use is aborted all the
//! same after a second: its user hangs in it.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use alexnet_net::LostReplica;
use cudarc::driver::CudaContext;

use crate::nccl::Communicator;
use crate::replicas::Health;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(50);
/// How long a communicator in use is left alone.
const PATIENCE: Duration = Duration::from_secs(1);

/// One device's communicator, and why it cannot be used any more.
pub(crate) struct Link {
    communicator: Communicator,
    in_use: Mutex<()>,
    gone: AtomicBool,
    failure: OnceLock<String>,
    context: Arc<CudaContext>,
}

impl Link {
    pub fn new(communicator: Communicator, context: Arc<CudaContext>) -> Link {
        Link {
            communicator,
            in_use: Mutex::new(()),
            gone: AtomicBool::new(false),
            failure: OnceLock::new(),
            context,
        }
    }

    /// Whether all replicas are there, as far as is known.
    pub fn check(&self) -> Result<(), LostReplica> {
        self.failure.get().map_or(Ok(()), |reason| Err(LostReplica(reason.clone())))
    }

    /// Does something with the communicator, which is not aborted meanwhile unless it hangs.
    pub fn with<T>(&self, work: impl FnOnce(&Communicator) -> T) -> Result<T, LostReplica> {
        let _in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        if self.gone.load(Ordering::Acquire) {
            return Err(LostReplica("the communicator has ended".to_owned()));
        }
        Ok(work(&self.communicator))
    }

    /// What NCCL says of the sums so far; nothing while it is in use.
    fn trouble(&self) -> Option<String> {
        let _in_use = self.in_use.try_lock().ok()?;
        if self.gone.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: it is not gone, and nobody ends it while it is in use.
        let answer = unsafe { self.communicator.async_error() };
        answer.err().map(|failure| failure.to_string())
    }

    fn abort(&self, reason: &str) {
        let _ = self.failure.set(reason.to_owned()); // the first reason stays
        let begin = Instant::now();
        let _in_use = loop {
            match self.in_use.try_lock() {
                Ok(lock) => break Some(lock),
                Err(TryLockError::Poisoned(poisoned)) => break Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if begin.elapsed() > PATIENCE => break None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        if self.gone.swap(true, Ordering::AcqRel) {
            return;
        }
        // A context that is lost has ended its sums.
        let _ = self.context.bind_to_thread();
        // SAFETY: it was not gone, and from here on it is. If its user hangs in it, NCCL lets him go.
        unsafe { self.communicator.abort() };
    }

    /// Ends the communicator: in peace if `idle`, which every replica's then does.
    pub fn end(self: Arc<Self>, idle: bool) {
        if !idle || self.check().is_err() {
            return self.abort("this replica has ended");
        }
        let (done, ended) = channel();
        // NCCL waits for the other ranks of the machine here; one that fails at this late hour must not hold us.
        let destroy = move || {
            let _in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = self.context.bind_to_thread(); // as in `abort`
            if !self.gone.swap(true, Ordering::AcqRel) {
                // SAFETY: it was not gone, and from here on it is.
                unsafe { self.communicator.destroy() };
            }
            let _ = done.send(()); // nobody may listen any more
        };
        std::thread::spawn(destroy);
        let _ = ended.recv_timeout(10 * PATIENCE);
    }
}

/// The thread that looks.
pub(crate) struct Watch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn new(links: Vec<Arc<Link>>, health: Health) -> Watch {
        let (stop, stopped) = channel();
        let look = move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let reason = health().or_else(|| links.iter().find_map(|link| link.trouble()));
                if let Some(reason) = reason {
                    links.iter().for_each(|link| link.abort(&reason));
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("replicas".to_owned()).spawn(look).ok();
        Watch { stop: Some(stop), thread }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it does not panic
        }
    }
}
