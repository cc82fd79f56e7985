//! The backend's own threads, each with a workspace that is made once.
//!
//! Work is cut by outputs into blocks whose sizes depend on the shapes alone; which thread takes a block changes
//! nothing. Sums over the batch run inside one block, sample by sample.

use std::sync::Mutex;

use rayon::prelude::*;

/// Values of a block of elementwise work: 64 KiB, which keeps a block and its operands in the second cache.
pub const BLOCK: usize = 1 << 14;

/// A pool of threads and their workspaces.
pub struct Workers {
    pool: rayon::ThreadPool,
    arch: pulp::Arch,
    scratch: Vec<Mutex<Vec<f32>>>,
}

impl Workers {
    /// `threads` threads, at least 1.
    pub fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = threads.max(1);
        let name = |i| format!("cpu-{i}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build()?;
        Ok(Workers {
            pool,
            arch: pulp::Arch::new(),
            scratch: (0..threads).map(|_| Mutex::default()).collect(),
        })
    }

    /// The same threads with other registers.
    #[cfg(test)]
    pub fn with(self, arch: pulp::Arch) -> Self {
        Workers { arch, ..self }
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.scratch.len()
    }

    /// Sees to it that every workspace holds `len` values.
    pub fn reserve(&mut self, len: usize) {
        for scratch in &mut self.scratch {
            let scratch = scratch.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
            if scratch.len() < len {
                scratch.resize(len, 0.0);
            }
        }
    }

    /// Runs `kernel` with the widest registers the machine has. The kernel must be inlined whole, so it is a struct
    /// whose `call` is `#[inline(always)]`. Nothing is contracted or reordered: every width gives the same bits.
    #[inline(always)]
    pub fn wide<K: pulp::NullaryFnOnce>(&self, kernel: K) -> K::Output {
        self.arch.dispatch(kernel)
    }

    /// As [`Workers::wide`], for work written in vectors.
    pub fn vectorised<K: pulp::WithSimd>(&self, kernel: K) -> K::Output {
        self.arch.dispatch(kernel)
    }

    /// Runs `work` on the pool.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.pool.install(work)
    }

    /// Calls `work(block, its values, workspace)` for every block of `len` values of `out`, in parallel.
    pub fn blocks<T: Send>(
        &self,
        out: &mut [T],
        len: usize,
        work: impl Fn(usize, &mut [T], &mut [f32]) + Send + Sync,
    ) {
        self.run(|| {
            out.par_chunks_mut(len).with_max_len(1).enumerate().for_each(|(block, out)| {
                let thread = rayon::current_thread_index().unwrap_or(0);
                // Nobody else ever takes this thread's workspace, and its content is rewritten before it is read.
                let mut scratch =
                    self.scratch[thread].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                work(block, out, &mut scratch);
            });
        });
    }
}
