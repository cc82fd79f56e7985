//! Launches kernels of `kernels/` on the host shim.
//!
//! A launch names the kernel, gives blocks, threads, shared memory and arguments as a CUDA launch does, and the
//! order in which the threads run. Number and sizes of the arguments are checked; that pointers point at enough
//! memory is checked by the address sanitizer (`tests/shim/run`), not here.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulonglong, c_void};

unsafe extern "C" {
    fn alx_host_launch(
        name: *const c_char,
        grid: *const c_uint,
        block: *const c_uint,
        shared: usize,
        args: *mut *mut c_void,
        sizes: *const usize,
        count: usize,
        order: c_uint,
        error: *mut c_char,
        error_size: usize,
    ) -> c_int;
    fn alx_host_launches(i: usize, launches: *mut c_ulonglong) -> *const c_char;
}

/// The folder of the stand-in `libcuda.so.1` and `libcublas.so.13`, for `LD_LIBRARY_PATH`.
pub const DRIVERS: &str = env!("SHIM_DRIVERS");

/// The order in which the threads of a block, and the blocks, run.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// Ascending.
    Forward,
    /// Descending.
    Backward,
    /// Shuffled by a seed.
    Shuffled(u16),
}

/// The orders that every kernel is run in.
pub const ORDERS: [Order; 3] = [Order::Forward, Order::Backward, Order::Shuffled(7)];

/// One argument of a launch: its bytes, as the kernel sees them. A slice becomes its address.
#[derive(Clone)]
pub struct Arg(Vec<u8>);

impl Arg {
    /// A plain struct, laid out as in C++ (`#[repr(C)]`, no padding).
    pub fn plain<T: Copy>(value: &T) -> Arg {
        // SAFETY: `value` is size_of::<T>() readable bytes; T has no padding by this function's contract.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const *value).cast::<u8>(), size_of::<T>()) };
        Arg(bytes.to_vec())
    }

    /// A null pointer.
    pub fn null() -> Arg {
        Arg(0usize.to_ne_bytes().to_vec())
    }
}

impl<T> From<&mut [T]> for Arg {
    fn from(slice: &mut [T]) -> Self {
        Arg((slice.as_mut_ptr() as usize).to_ne_bytes().to_vec())
    }
}

impl<T> From<&mut Vec<T>> for Arg {
    fn from(vec: &mut Vec<T>) -> Self {
        vec.as_mut_slice().into()
    }
}

impl<T> From<&[T]> for Arg {
    fn from(slice: &[T]) -> Self {
        Arg((slice.as_ptr() as usize).to_ne_bytes().to_vec())
    }
}

impl<T> From<&Vec<T>> for Arg {
    fn from(vec: &Vec<T>) -> Self {
        vec.as_slice().into()
    }
}

macro_rules! scalar {
    ($($type:ty),*) => { $(impl From<$type> for Arg {
        fn from(value: $type) -> Self { Arg(value.to_ne_bytes().to_vec()) }
    })* };
}
scalar!(i32, u32, f32, u64);

/// Runs `kernel` with `blocks` blocks of `threads` threads and `shared` bytes of dynamic shared memory.
///
/// # Safety
/// What the arguments point at must live, and be as large as the kernel takes it to be.
///
/// # Errors
/// What the shim found: no such kernel, wrong arguments, a barrier missed or divergent.
pub unsafe fn launch(
    kernel: &str,
    blocks: usize,
    threads: usize,
    shared: usize,
    order: Order,
    args: &[Arg],
) -> Result<(), String> {
    let name = CString::new(kernel).map_err(|e| e.to_string())?;
    let (grid, block) = ([blocks as c_uint, 1, 1], [threads as c_uint, 1, 1]);
    // Copies with the alignment of the widest argument.
    let mut copies: Vec<Vec<u64>> = args
        .iter()
        .map(|arg| {
            let mut words = vec![0u64; arg.0.len().div_ceil(8)];
            for (word, bytes) in words.iter_mut().zip(arg.0.chunks(8)) {
                let mut padded = [0; 8];
                padded[..bytes.len()].copy_from_slice(bytes);
                *word = u64::from_ne_bytes(padded);
            }
            words
        })
        .collect();
    let mut pointers: Vec<*mut c_void> = copies.iter_mut().map(|c| c.as_mut_ptr().cast()).collect();
    let sizes: Vec<usize> = args.iter().map(|arg| arg.0.len()).collect();
    let order = match order {
        Order::Forward => 0,
        Order::Backward => 1,
        Order::Shuffled(seed) => 2 + c_uint::from(seed),
    };
    let mut error = [0 as c_char; 512];
    // SAFETY: all pointers are valid for the call and the counts are those of the arrays. What the kernel does with
    // the pointers among its arguments is what is under test.
    let result = unsafe {
        alx_host_launch(
            name.as_ptr(),
            grid.as_ptr(),
            block.as_ptr(),
            shared,
            pointers.as_mut_ptr(),
            sizes.as_ptr(),
            sizes.len(),
            order,
            error.as_mut_ptr(),
            error.len(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    // SAFETY: the shim wrote a terminated text of at most the given size.
    Err(unsafe { CStr::from_ptr(error.as_ptr()) }.to_string_lossy().into_owned())
}

/// Every kernel and how often it was launched in this process.
pub fn launches() -> Vec<(String, u64)> {
    let mut all = Vec::new();
    let mut count = 0;
    loop {
        // SAFETY: `count` is writable; the name is a static text or null.
        let name = unsafe { alx_host_launches(all.len(), &mut count) };
        if name.is_null() {
            return all;
        }
        // SAFETY: not null, a static text.
        all.push((unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned(), count));
    }
}
