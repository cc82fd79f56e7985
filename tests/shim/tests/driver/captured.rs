//! Sequences of calls around a capture, and what a GPU's driver answered to each (`captured.txt`): the stand-in must
//! answer the same. `REAL_DRIVER=libcuda.so.1` asks the machine's own driver instead, on a machine with a GPU.
use std::collections::HashMap;
use std::ffi::CString;

use crate::driver;

/// A driver call: integers and pointers only, as many as the call takes (the C calling convention ignores the rest).
type Call = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize, usize) -> i32;

const BYTES: usize = 2_000_000;

struct Calls<'a> {
    library: &'a libloading::Library,
    names: HashMap<String, usize>,
}

impl Calls<'_> {
    fn value(&self, word: &str) -> usize {
        self.names.get(word).copied().unwrap_or_else(|| word.parse().unwrap_or_else(|_| panic!("{word}?")))
    }

    fn raw(&self, name: &str, args: &[usize]) -> i32 {
        let symbol = CString::new(format!("cu{name}")).expect("a name");
        let at = |i: usize| args.get(i).copied().unwrap_or(0);
        // SAFETY: a driver call with its own arguments, as the table gives them; more are passed than it reads.
        unsafe {
            let call = self.library.get::<Call>(symbol.as_bytes_with_nul()).expect("a driver call");
            call(at(0), at(1), at(2), at(3), at(4), at(5), at(6))
        }
    }

    /// A handle made by `name`, whose first argument is where it goes.
    fn made(&mut self, key: &str, name: &str, args: &[usize]) {
        let mut handle = 0usize;
        let all: Vec<usize> = std::iter::once(&raw mut handle as usize).chain(args.iter().copied()).collect();
        assert_eq!(self.raw(name, &all), 0, "{name}");
        self.names.insert(key.to_owned(), handle);
    }

    /// What one call of the table returns.
    fn call(&mut self, text: &str) -> i32 {
        if let Some(text) = text.strip_prefix('!') {
            let mut other = Calls { library: self.library, names: self.names.clone() };
            return std::thread::scope(|scope| {
                let call = move || {
                    other.raw("CtxSetCurrent", &[other.value("ctx")]);
                    other.call(text)
                };
                scope.spawn(call).join().expect("a call")
            });
        }
        let (name, words) = text.split_once(' ').unwrap_or((text, ""));
        let args: Vec<usize> = words.split_whitespace().map(|word| self.value(word)).collect();
        match name {
            "set" => self.raw("MemsetD8Async", &[self.value("x"), 0, 64, args[0]]),
            "record" => self.raw("EventRecord", &args),
            "wait" => self.raw("StreamWaitEvent", &args),
            "sync" => self.raw("StreamSynchronize", &args),
            "begin" => self.raw("StreamBeginCapture_v2", &[args[0], 1]),
            "launch" => self.raw("GraphLaunch", &[self.value("E"), args[0]]),
            "end" | "instantiate" => {
                let (mut handle, end) = (0usize, name == "end");
                let at = &raw mut handle as usize;
                let code = if end {
                    self.raw("StreamEndCapture", &[args[0], at])
                } else {
                    self.raw("GraphInstantiateWithFlags", &[at, self.value("H"), args[0]])
                };
                self.names.insert(if end { "H" } else { "E" }.to_owned(), handle);
                code
            }
            "fill" => {
                // SAFETY: `h` and `p` are host memory of `BYTES` bytes, which no running copy reads.
                unsafe { (args[0] as *mut u8).write_bytes(args[1] as u8, 64) };
                0
            }
            "read" => {
                let mut byte = 0u8;
                assert_eq!(self.raw("MemcpyDtoH_v2", &[&raw mut byte as usize, args[0], 1]), 0);
                i32::from(byte)
            }
            name => self.raw(name, &args),
        }
    }

    /// Runs a line of the table with fresh streams, events and memory, and writes it as it came out.
    fn line(&mut self, line: &str) -> String {
        let (head, rest) = line.split_once(": ").expect("a mode and a stream");
        let (mode, stream) = head.split_once(' ').expect("a mode and a stream");
        for key in ["x", "y"] {
            self.made(key, "MemAlloc_v2", &[BYTES]);
        }
        self.made("p", "MemHostAlloc", &[BYTES, 0]);
        for (key, flag) in [("a", 1), ("b", 1), ("c", 0), ("d", 1)] {
            self.made(key, "StreamCreate", &[flag]);
        }
        for key in ["e", "f"] {
            self.made(key, "EventCreate", &[0]);
        }
        self.made("M", "MemAllocAsync", &[64, self.value("d")]);
        let origin = self.value(stream);
        if let Some(mode) = ["global", "local", "relaxed"].iter().position(|m| *m == mode) {
            assert_eq!(self.raw("StreamBeginCapture_v2", &[origin, mode]), 0);
        }
        let mut came = format!("{head}: ");
        let calls = rest.split_once('|').expect("a bar").0.trim();
        for (i, call) in calls.split("; ").filter(|call| !call.is_empty()).enumerate() {
            let call = call.split(" = ").next().expect("a call");
            came += &format!("{}{call} = {}", if i > 0 { "; " } else { "" }, self.call(call));
        }
        let gap = if calls.is_empty() { "" } else { " " };
        let mut status = 0i32;
        if self.raw("StreamIsCapturing", &[origin, &raw mut status as usize]) != 0 {
            status = -1;
        }
        let code = self.call(&format!("end {stream}"));
        let graph = if self.value("H") == 0 { "nothing" } else { "graph" };
        for stream in ["a", "b", "c"] {
            self.call(&format!("end {stream}"));
        }
        assert_eq!(self.raw("CtxSynchronize", &[]), 0, "{line}");
        assert_eq!(self.call("sync B"), 0, "{line}");
        for (key, free) in [("x", "MemFree_v2"), ("y", "MemFree_v2"), ("p", "MemFreeHost")] {
            self.raw(free, &[self.value(key)]); // some lines have freed theirs
        }
        format!("{came}{gap}| {status} {code} {graph}")
    }
}

extern "C" fn nothing(_: usize) {}

#[test]
fn calls_during_a_capture_answer_as_a_gpus_driver_does() {
    let real = std::env::var_os("REAL_DRIVER");
    let _turn = real.is_none().then(driver); // a loaded stand-in would hide a driver of the same name
    let path = std::path::Path::new(alexnet_shim::DRIVERS).join("libcuda.so.1");
    // SAFETY: a driver, whose initialisers may run.
    let library = unsafe { libloading::Library::new(real.clone().unwrap_or(path.into())) }.expect("a driver");
    let (mut results, mut pageable) = (vec![0u64; 8], vec![0u8; BYTES]);
    let mut calls = Calls { library: &library, names: HashMap::new() };
    for key in ["o", "u", "t", "I"] {
        calls.names.insert(key.to_owned(), results.as_mut_ptr() as usize);
    }
    calls.names.insert("h".to_owned(), pageable.as_mut_ptr() as usize);
    calls.names.insert("cb".to_owned(), nothing as extern "C" fn(usize) as usize);
    calls.names.insert("E".to_owned(), 0);
    assert_eq!(calls.raw("Init", &[0]), 0);
    // The second context is another device's here, and may be the same device's on a GPU.
    if real.is_some() {
        calls.made("ct2", "CtxCreate_v2", &[0, 0]);
    } else {
        calls.made("ct2", "DevicePrimaryCtxRetain", &[1]);
    }
    calls.raw("CtxSetCurrent", &[calls.value("ct2")]);
    calls.made("w", "MemAlloc_v2", &[64]);
    calls.made("Y", "EventCreate", &[0]);
    calls.made("B", "StreamCreate", &[1]);
    calls.made("ctx", "DevicePrimaryCtxRetain", &[0]);
    calls.raw("CtxSetCurrent", &[calls.value("ctx")]);
    let lines = include_str!("captured.txt").lines().filter(|line| !line.starts_with('#'));
    let differ: Vec<String> = lines
        .filter_map(|line| {
            let came = calls.line(line);
            (came != line).then(|| format!("a GPU: {line}\n here: {came}"))
        })
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
