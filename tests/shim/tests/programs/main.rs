//! The programs on the stand-in driver, as a user runs them: training on GPUs that are not there.
//!
//! `PROGRAMS` is the folder of the built programs and `NVRTC_DIR` that of NVRTC; without them the tests are skipped by
//! name, or fail with `REQUIRE_DATA=1`.

mod device; //   what is missing is told, and what does not fit is refused
mod replicas; // several networks that train together, in threads and in processes
mod training; // the same run on the CPU and on one and two devices, and across a change of devices

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use alexnet_datasets::sample::{SampleOptions, generate};

/// The libraries that a program finds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Libraries {
    /// The stand-ins and NVRTC.
    All,
    /// Only these of the stand-ins.
    Only(&'static [&'static str]),
    /// These of the stand-ins, and NVRTC.
    WithNvrtc(&'static [&'static str]),
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs").join(name)
}

/// An empty place for a test's files.
fn fresh(name: &str) -> PathBuf {
    let path = scratch(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(path.parent().expect("a folder above")).expect("a folder");
    path
}

/// The programs and NVRTC, or a skip by name.
fn installed(test: &str) -> Option<(PathBuf, PathBuf)> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    if let (Some(programs), Some(nvrtc)) = (folder("PROGRAMS"), folder("NVRTC_DIR")) {
        return Some((programs, nvrtc));
    }
    assert!(std::env::var_os("REQUIRE_DATA").is_none(), "PROGRAMS or NVRTC_DIR is not set");
    eprintln!("skipped: {test}: PROGRAMS or NVRTC_DIR is not set");
    None
}

/// A program, with the libraries it may find and a cache of kernels of its own.
fn program(name: &str, libraries: Libraries) -> Command {
    let (programs, nvrtc) = installed(name).expect("asked for by every test");
    let drivers = PathBuf::from(alexnet_shim::DRIVERS);
    let path = match libraries {
        Libraries::All => std::env::join_paths([drivers, nvrtc]).expect("no colon"),
        Libraries::Only(names) | Libraries::WithNvrtc(names) => {
            let some = scratch(&format!("libraries-{}", names.join("-")));
            std::fs::create_dir_all(&some).expect("a folder");
            for name in names {
                let link = some.join(name);
                let _ = std::fs::remove_file(&link);
                std::os::unix::fs::symlink(drivers.join(name), link).expect("a link");
            }
            match libraries {
                Libraries::WithNvrtc(_) => std::env::join_paths([some, nvrtc]).expect("no colon"),
                _ => some.into_os_string(),
            }
        }
    };
    let mut command = Command::new(programs.join(name));
    command.env("LD_LIBRARY_PATH", path).env("XDG_CACHE_HOME", scratch("cache"));
    command.stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error.
fn end(mut command: Command) -> (i32, String, String) {
    let output = command.output().expect("the program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!err.contains("panicked"), "{err}");
    (output.status.code().unwrap_or(-1), out, err)
}

/// 60 training and 20 validation photos, packed at 64×64.
fn shards() -> &'static Path {
    static SHARDS: OnceLock<PathBuf> = OnceLock::new();
    SHARDS.get_or_init(|| {
        let options =
            SampleOptions { train_per_class: 6, val_per_class: 2, threads: 2, ..Default::default() };
        let archives = generate(&fresh("archives"), &options, &mut |_| {}).expect("the sample");
        let out = fresh("shards");
        let mut pack = program("imagenet-pack", Libraries::All);
        pack.args(["--size", "64", "--quiet", "--train"])
            .arg(&archives.train)
            .arg("--val")
            .arg(&archives.val);
        pack.arg("--devkit").arg(&archives.devkit).arg("--out").arg(&out);
        let (code, _, err) = end(pack);
        assert_eq!(code, 0, "{err}");
        out
    })
}

/// `train` of a narrow net for six updates of 16, with more arguments.
fn training<S: AsRef<OsStr>>(device: &str, out: &Path, more: &[S]) -> Command {
    training_with(Libraries::All, device, out, more)
}

/// As [`training`], with these libraries.
fn training_with<S: AsRef<OsStr>>(libraries: Libraries, device: &str, out: &Path, more: &[S]) -> Command {
    let mut train = program("train", libraries);
    train.arg("--data").arg(shards()).arg("--out").arg(out).args(["--device", device]);
    train
        .args("--narrow 8 --crop 56 --batch 16 --steps 6 --log-every 1 --quiet --precision f32".split(' '))
        .args(more);
    train
}
