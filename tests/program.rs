//! Running the project's programs as a user does, and a small generated data set for them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use alexnet_datasets::sample::{SampleArchives, SampleOptions, generate};

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Its standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    /// Holds it to an exit code.
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Holds it to exit code 2, one line of cause that contains `cause`, and a hint; no panic.
    pub fn refuses(self, cause: &str) -> Self {
        let said = self.ends(2);
        let lines: Vec<&str> = said.err.lines().collect();
        assert!(lines.iter().any(|l| l.contains(cause)), "no {cause:?} in {said:#?}");
        assert!(lines.last().is_some_and(|l| l.starts_with("hint: ")), "no hint in {said:#?}");
        assert!(!said.err.contains("panicked"), "{said:#?}");
        said
    }
}

fn path_of(program: &str) -> &'static str {
    match program {
        "imagenet-pack" => env!("CARGO_BIN_EXE_imagenet-pack"),
        "imagenet-pca" => env!("CARGO_BIN_EXE_imagenet-pca"),
        "loader-bench" => env!("CARGO_BIN_EXE_loader-bench"),
        "train" => env!("CARGO_BIN_EXE_train"),
        "alexnet" => env!("CARGO_BIN_EXE_alexnet"),
        _ => panic!("no program {program}"),
    }
}

/// Runs a program to its end.
pub fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Said {
    let output = Command::new(path_of(program))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Starts a program and lets it run.
pub fn start<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Child {
    Command::new(path_of(program))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// Runs a program to its exit code; nobody reads what it prints.
pub fn run_unread<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Option<i32> {
    let mut child = Command::new(path_of(program))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    drop(child.stdout.take());
    child.wait().unwrap_or_else(|e| panic!("{program}: {e}")).code()
}

/// Arguments from strings and paths.
#[macro_export]
macro_rules! args {
    ($($arg:expr),* $(,)?) => { [$(std::ffi::OsString::from($arg)),*] };
}

/// A folder for this test run's files.
pub fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// Generated archives in the official layout: 12 training and 4 validation photos a class.
pub fn archives() -> &'static SampleArchives {
    static ARCHIVES: OnceLock<SampleArchives> = OnceLock::new();
    ARCHIVES.get_or_init(|| {
        let options =
            SampleOptions { train_per_class: 12, val_per_class: 4, threads: 2, ..Default::default() };
        generate(&scratch().join("archives"), &options, &mut |_| {}).expect("the sample")
    })
}

/// The arguments that pack the generated archives at 64×64 into `out`, and more.
pub fn packing(out: &Path, more: &[&str]) -> Vec<std::ffi::OsString> {
    let a = archives();
    let mut args = args![
        "--train", &a.train, "--val", &a.val, "--devkit", &a.devkit, "--out", out, "--size", "64", "--quiet"
    ]
    .to_vec();
    args.extend(more.iter().map(Into::into));
    args
}

/// The generated archives, packed once.
pub fn shards() -> &'static Path {
    static SHARDS: OnceLock<PathBuf> = OnceLock::new();
    SHARDS.get_or_init(|| {
        let out = scratch().join("shards");
        let _ = std::fs::remove_dir_all(&out);
        run("imagenet-pack", packing(&out, &["--shard-records", "32"])).ends(0);
        out
    })
}

/// Name and bytes of every file of a folder, sorted by name.
pub fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| {
            let entry = entry.expect("a readable folder");
            (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

/// The folder with real photos, or a skip by name.
pub fn real_data(test: &str) -> Option<PathBuf> {
    let data = std::env::var_os("IMAGENET_TEST_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    if data.is_dir() {
        return Some(data);
    }
    assert!(std::env::var_os("REQUIRE_DATA").is_none(), "{} is absent", data.display());
    eprintln!("skipped: {test}: no real photos at {}", data.display());
    None
}
