//! SIGBUS in a mapped shard becomes an error.
//!
//! A page of a mapped file that cannot be read (the file was cut short, or its disk fails) raises SIGBUS at the touch,
//! which by default ends the process without a word. While a thread reads under a guard, our handler marks the mapping
//! as torn, puts a page of zeros in place of the one that failed, and lets the thread go on; the guard then reports an
//! error instead of what was made of those zeros. The mark is set before the zeros can be seen, so every other reader
//! of the page, then or later, finds it too. Faults outside guarded ranges go to the handler that was there before.
//!
//! It is the programs that ask for the handler ([`catch_sigbus`]); a library must not take signals on its own.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence};

/// What this thread reads under a guard: first address, the one after the last, and the mark of the mapping.
type Guarded = (usize, usize, *const AtomicBool);

thread_local! {
    // Made at compile time and without a destructor: a signal handler may read it at any moment.
    static GUARDED: Cell<Guarded> = const { Cell::new((0, 0, std::ptr::null())) };
}

/// Runs `job`, which reads `bytes`, the mapping marked by `torn`. `None` if a page of it could not be read now or
/// before.
pub(crate) fn guard<T>(bytes: &[u8], torn: &AtomicBool, job: impl FnOnce() -> T) -> Option<T> {
    /// Puts the outer guard back, after a panic too.
    struct Outer(Guarded);
    impl Drop for Outer {
        fn drop(&mut self) {
            compiler_fence(Ordering::SeqCst);
            GUARDED.set(self.0);
        }
    }
    let range = bytes.as_ptr_range();
    let outer = Outer(GUARDED.replace((range.start.addr(), range.end.addr(), torn)));
    // The handler is a part of this thread: it must find the range before the first read.
    compiler_fence(Ordering::SeqCst);
    let result = job();
    drop(outer);
    (!torn.load(Ordering::Acquire)).then_some(result)
}

#[cfg(target_os = "linux")]
pub use linux::catch_sigbus;

/// Does nothing: on this system a mapped file that fails ends the process.
#[cfg(not(target_os = "linux"))]
pub fn catch_sigbus() {}

#[cfg(target_os = "linux")]
mod linux {
    use super::GUARDED;
    use crate::map::page_size;
    use std::mem::MaybeUninit;
    use std::sync::OnceLock;
    use std::sync::atomic::Ordering;

    /// The handler before ours, and the size of a page; set before ours can be called.
    static BEFORE: OnceLock<(libc::sigaction, usize)> = OnceLock::new();

    /// From now on, a mapped shard that shrinks or fails while a record is read is an error that names file and record.
    ///
    /// Takes SIGBUS for the whole process; a fault that is not ours goes to the handler that was there before, or ends
    /// the process as always. Call it once, at the start of a program; later calls do nothing.
    pub fn catch_sigbus() {
        BEFORE.get_or_init(|| {
            let mut before = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: asked for the handler in place only; `before` is valid for writes, and zeros are a valid value.
            let before = unsafe {
                libc::sigaction(libc::SIGBUS, std::ptr::null(), before.as_mut_ptr());
                before.assume_init()
            };
            (before, page_size())
        });
        static INSTALLED: std::sync::Once = std::sync::Once::new();
        INSTALLED.call_once(|| {
            // SAFETY: a zeroed `sigaction` is a valid one; ours has a handler of the type that SA_SIGINFO says, which
            // calls only what a signal handler may. On the stack for signals, where Rust's own handler runs as well.
            unsafe {
                let mut ours = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
                ours.sa_sigaction = on_bus as *const () as usize;
                ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&mut ours.sa_mask);
                libc::sigaction(libc::SIGBUS, &ours, std::ptr::null_mut());
            }
        });
    }

    extern "C" fn on_bus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the system hands a valid `siginfo_t` to a handler with SA_SIGINFO; SIGBUS carries an address.
        let address = unsafe { (*info).si_addr() }.addr();
        let (start, end, torn) = GUARDED.get();
        // Set before the handler was.
        let Some((before, page)) = BEFORE.get() else { return };
        if (start..end).contains(&address) {
            // SAFETY: `guard` borrows the mark for as long as the range is set. The page lies in a mapping that `guard`
            // borrows too, so nothing else can be there; it stays readable, and `munmap` of the whole takes it along.
            let placed = unsafe {
                (*torn).store(true, Ordering::Release);
                let at = (address / page * page) as *mut libc::c_void;
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
                libc::mmap(at, *page, libc::PROT_READ, flags, -1, 0)
            };
            if placed != libc::MAP_FAILED {
                return;
            }
        }
        // SAFETY: the previous handler is called as its flags say that it wants to be. Without one, the default comes
        // back and the fault happens again, now with its usual end.
        unsafe {
            match before.sa_sigaction {
                libc::SIG_DFL | libc::SIG_IGN => {
                    let mut default = *before;
                    default.sa_sigaction = libc::SIG_DFL;
                    libc::sigaction(signal, &default, std::ptr::null_mut());
                }
                handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
                    type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
                    std::mem::transmute::<usize, Handler>(handler)(signal, info, context);
                }
                handler => {
                    std::mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler)(signal);
                }
            }
        }
    }
}
