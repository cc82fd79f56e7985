//! NCCL: the few calls that sums over replicas need, loaded at run time.
//!
//! cudarc's own loader knows no `libnccl.so.2` and panics without the library, so the symbols are looked up here, once for
//! the process; without them [`nccl()`] is the error that says what to install. A communicator is used by the thread that
//! owns it, and may be aborted by another ([`Communicator::abort`]), which NCCL allows and hanging sums need.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;

/// Where NCCL is looked for, on the loader's path.
const NAMES: [&str; 2] = ["libnccl.so.2", "libnccl.so"];

/// NCCL is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "NCCL, which sums gradients over replicas, could not be loaded (looked for libnccl.so.2, libnccl.so: {cause})"
)]
pub struct NoNccl {
    cause: String,
}

impl NoNccl {
    /// What to do about it.
    pub fn hint(&self) -> String {
        "install NCCL 2 for your CUDA (Debian and Ubuntu: libnccl2; PyPI: nvidia-nccl-cu13) and put its folder on \
         LD_LIBRARY_PATH"
            .to_owned()
    }
}

/// A call that NCCL refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("NCCL: {0}")]
pub(crate) struct Failure(pub String);

/// Names a clique of communicators; made by one of them, given to all.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct UniqueId(pub [u8; UniqueId::BYTES]);

impl UniqueId {
    /// Bytes of an id.
    pub const BYTES: usize = 128;
}

impl std::fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UniqueId({:02x?}…)", &self.0[..4])
    }
}

/// Values that are summed.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(crate) enum Number {
    F32 = 7,
    F64 = 8,
}

const SUCCESS: c_int = 0;
const IN_PROGRESS: c_int = 7;
/// ncclSum.
const SUM: c_int = 0;

type Handle = *mut c_void;

/// The library's functions. NCCL 2.4 has them all.
pub(crate) struct Nccl {
    version: unsafe extern "C" fn(*mut c_int) -> c_int,
    unique_id: unsafe extern "C" fn(*mut UniqueId) -> c_int,
    init_rank: unsafe extern "C" fn(*mut Handle, c_int, UniqueId, c_int) -> c_int,
    destroy: unsafe extern "C" fn(Handle) -> c_int,
    abort: unsafe extern "C" fn(Handle) -> c_int,
    async_error: unsafe extern "C" fn(Handle, *mut c_int) -> c_int,
    all_reduce:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Handle, Handle) -> c_int,
    error_string: unsafe extern "C" fn(c_int) -> *const c_char,
    /// The functions are its own.
    _library: Library,
}

/// The library, if it is there.
///
/// # Errors
/// What was looked for and how the loader answered.
pub(crate) fn library() -> Result<&'static Nccl, NoNccl> {
    static LOADED: OnceLock<Result<Nccl, NoNccl>> = OnceLock::new();
    LOADED.get_or_init(load).as_ref().map_err(Clone::clone)
}

/// Whether sums over replicas are possible here: NCCL's version, as `2.27.7`.
///
/// # Errors
/// NCCL is not installed where the loader looks.
pub fn nccl() -> Result<String, NoNccl> {
    let (nccl, mut code) = (library()?, 0);
    // SAFETY: the version is written.
    unsafe { (nccl.version)(&mut code) };
    Ok(format!("{}.{}.{}", code / 10000, code / 100 % 100, code % 100))
}

fn load() -> Result<Nccl, NoNccl> {
    let mut refusals = Vec::new();
    for name in NAMES {
        // SAFETY: loading NCCL runs only its own initialisers.
        match unsafe { Library::new(name) } {
            // SAFETY: these are the types of nccl.h.
            Ok(library) => return unsafe { symbols(library) }.map_err(|e| NoNccl { cause: e.to_string() }),
            Err(e) => refusals.push(e.to_string()),
        }
    }
    Err(NoNccl { cause: refusals.into_iter().next().unwrap_or_default() })
}

/// # Safety
/// The library is NCCL.
unsafe fn symbols(library: Library) -> Result<Nccl, libloading::Error> {
    // SAFETY: by this function's contract the symbols have the types of the fields, those of nccl.h.
    unsafe {
        Ok(Nccl {
            version: *library.get(b"ncclGetVersion")?,
            unique_id: *library.get(b"ncclGetUniqueId")?,
            init_rank: *library.get(b"ncclCommInitRank")?,
            destroy: *library.get(b"ncclCommDestroy")?,
            abort: *library.get(b"ncclCommAbort")?,
            async_error: *library.get(b"ncclCommGetAsyncError")?,
            all_reduce: *library.get(b"ncclAllReduce")?,
            error_string: *library.get(b"ncclGetErrorString")?,
            _library: library,
        })
    }
}

impl Nccl {
    fn check(&self, code: c_int) -> Result<(), Failure> {
        if code == SUCCESS || code == IN_PROGRESS {
            return Ok(());
        }
        // SAFETY: NCCL answers any code with a static text.
        let text = unsafe { CStr::from_ptr((self.error_string)(code)) };
        Err(Failure(text.to_string_lossy().into_owned()))
    }

    pub fn unique_id(&self) -> Result<UniqueId, Failure> {
        let mut id = UniqueId([0; UniqueId::BYTES]);
        // SAFETY: the id is written.
        self.check(unsafe { (self.unique_id)(&mut id) })?;
        Ok(id)
    }
}

/// One rank of a clique, on the device that was current when it was made.
pub(crate) struct Communicator {
    nccl: &'static Nccl,
    handle: Handle,
}

// SAFETY: NCCL's communicators belong to no thread; see the module for who calls what.
unsafe impl Send for Communicator {}
// SAFETY: as above: sums come from one thread, questions and the abort may come from another.
unsafe impl Sync for Communicator {}

impl Communicator {
    /// Waits for all ranks.
    pub fn new(nccl: &'static Nccl, id: UniqueId, rank: usize, count: usize) -> Result<Self, Failure> {
        let mut handle = ptr::null_mut();
        // SAFETY: the handle is written; a context is current.
        nccl.check(unsafe { (nccl.init_rank)(&mut handle, count as c_int, id, rank as c_int) })?;
        Ok(Communicator { nccl, handle })
    }

    /// Queues the sum over all ranks of `count` values at an address, in place, on a stream.
    ///
    /// # Safety
    /// The values belong to the device and outlive the sum; the communicator has not been aborted.
    pub unsafe fn all_reduce(
        &self,
        at: u64,
        count: usize,
        of: Number,
        stream: Handle,
    ) -> Result<(), Failure> {
        let at = at as *mut c_void;
        // SAFETY: by this function's contract.
        self.nccl
            .check(unsafe { (self.nccl.all_reduce)(at, at, count, of as c_int, SUM, self.handle, stream) })
    }

    /// What went wrong in sums that were queued.
    ///
    /// # Safety
    /// The communicator has not been aborted or destroyed.
    pub unsafe fn async_error(&self) -> Result<(), Failure> {
        let mut code = SUCCESS;
        // SAFETY: by this function's contract.
        self.nccl.check(unsafe { (self.nccl.async_error)(self.handle, &mut code) })?;
        self.nccl.check(code)
    }

    /// Ends all sums, done or not, and the communicator.
    ///
    /// # Safety
    /// Nothing is asked of it afterwards.
    pub unsafe fn abort(&self) {
        // SAFETY: by this function's contract. There is nobody to tell a failure.
        unsafe { (self.nccl.abort)(self.handle) };
    }

    /// Ends the communicator, all of whose sums are done.
    ///
    /// # Safety
    /// As [`Communicator::abort`].
    pub unsafe fn destroy(&self) {
        // SAFETY: by this function's contract. There is nobody to tell a failure.
        unsafe { (self.nccl.destroy)(self.handle) };
    }
}
