//! A panic inside a decoder costs one photo and says nothing on standard error.
//!
//! The decoders are other people's code fed with untrusted bytes. Their panics become refusals; those of any other
//! code, on any thread, are reported as before.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use super::Refusal;

thread_local! {
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs a decoder; a panic in it is a [`Refusal`]. What it writes must be plain bytes, so that nothing can be left
/// half-done in it.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !DECODING.get() {
                before(info);
            }
        }));
    });
    DECODING.set(true);
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(false);
    decoded.unwrap_or_else(|payload| {
        let said = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let said = said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        let first = said.lines().next().unwrap_or_default();
        Err(Refusal(format!("the decoder gave up on it (a panic: {first})")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::PanicHookInfo;
    use std::sync::atomic::{AtomicU32, Ordering};

    static SEEN: AtomicU32 = AtomicU32::new(0);

    fn ours(info: &PanicHookInfo<'_>) -> bool {
        info.payload_as_str().is_some_and(|text| text.starts_with("guard test"))
    }

    #[test]
    fn only_decoders_panic_in_silence() {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match ours(info) {
            true => drop(SEEN.fetch_add(1, Ordering::SeqCst)),
            false => before(info),
        }));
        for _ in 0..3 {
            let refused = guarded::<()>(|| panic!("guard test: index {} of a table\nmore", 7)).unwrap_err();
            let expected = "the decoder gave up on it (a panic: guard test: index 7 of a table)";
            assert_eq!(refused, Refusal(expected.into()));
        }
        assert_eq!(SEEN.load(Ordering::SeqCst), 0, "a decoder's panic was reported");
        assert_eq!(guarded(|| Ok(5)), Ok(5));
        std::thread::spawn(|| panic!("guard test: elsewhere")).join().unwrap_err();
        panic::catch_unwind(|| panic!("guard test: here, after decoding")).unwrap_err();
        assert_eq!(SEEN.load(Ordering::SeqCst), 2);
    }
}
