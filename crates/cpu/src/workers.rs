//! The backend's own threads, each with a workspace that is made once.
//!
//! Work is cut by outputs into blocks whose sizes depend on the shapes alone; which thread takes a block changes
//! nothing. Sums over the batch run inside one block, sample by sample.

use std::collections::TryReserveError;
use std::sync::Mutex;

use rayon::prelude::*;

/// Values of a block of elementwise work: 64 KiB, which keeps a block and its operands in the second cache.
pub const BLOCK: usize = 1 << 14;

/// Makes `values` at least `len` long.
pub fn grow<T: Clone + Default>(values: &mut Vec<T>, len: usize) -> Result<(), TryReserveError> {
    if values.len() < len {
        values.try_reserve_exact(len - values.len())?;
        values.resize(len, T::default());
    }
    Ok(())
}

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
    ///
    /// # Errors
    /// There is no memory for them.
    pub fn reserve(&mut self, len: usize) -> Result<(), TryReserveError> {
        for scratch in &mut self.scratch {
            grow(scratch.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()), len)?;
        }
        Ok(())
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
        self.each(|| out.par_chunks_mut(len), work);
    }

    /// As [`Workers::blocks`], of two results of one length.
    pub fn pairs<T: Send, U: Send>(
        &self,
        out: (&mut [T], &mut [U]),
        len: usize,
        work: impl Fn(usize, (&mut [T], &mut [U]), &mut [f32]) + Send + Sync,
    ) {
        self.each(|| out.0.par_chunks_mut(len).zip(out.1.par_chunks_mut(len)), work);
    }

    fn each<I: IndexedParallelIterator>(
        &self,
        blocks: impl FnOnce() -> I + Send,
        work: impl Fn(usize, I::Item, &mut [f32]) + Send + Sync,
    ) {
        self.run(|| {
            blocks().with_max_len(1).enumerate().for_each(|(block, out)| {
                let thread = rayon::current_thread_index().unwrap_or(0);
                // Nobody else ever takes this thread's workspace, and its content is rewritten before it is read.
                let mut scratch =
                    self.scratch[thread].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                work(block, out, &mut scratch);
            });
        });
    }
}

/// Every width of register there is here.
#[cfg(test)]
pub fn archs() -> Vec<pulp::Arch> {
    let mut archs = vec![pulp::Arch::new(), pulp::Arch::Scalar];
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    archs.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
    archs
}
