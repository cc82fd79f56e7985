//! Page-locked host memory, which copies read directly: lent to the loader's ring.
#![allow(unsafe_code)]

use std::sync::Arc;

use alexnet_net::HostMemory;
use cudarc::driver::{CudaContext, DriverError, result, sys};

/// A block of page-locked memory.
pub(crate) struct Pinned {
    context: Arc<CudaContext>,
    start: *mut u8,
    len: usize,
}

// SAFETY: the block belongs to this value alone and may be read, written and freed by any thread.
unsafe impl Send for Pinned {}

impl Pinned {
    /// `len` zero bytes, page-locked for all devices.
    pub fn new(context: &Arc<CudaContext>, len: usize) -> Result<Self, DriverError> {
        context.bind_to_thread()?;
        // SAFETY: a context is bound; the block is written whole below, before anyone can read it.
        let start = unsafe { result::malloc_host(len.max(1), sys::CU_MEMHOSTALLOC_PORTABLE) }?.cast::<u8>();
        // SAFETY: the block has at least `len` bytes.
        unsafe { start.write_bytes(0, len) };
        Ok(Pinned { context: context.clone(), start, len })
    }
}

impl HostMemory for Pinned {
    fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes, written when they were allocated, ours until drop.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed for writing by nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A context that is lost has freed its memory; there is nobody to tell.
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: allocated by malloc_host and freed once. Copies from it have ended: a staged batch is kept
            // until then.
            let _ = unsafe { result::free_host(self.start.cast()) };
        }
    }
}
