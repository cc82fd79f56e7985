//! Kills, Ctrl-C, two packers, full disks, sources that change: nothing is lost, and the same command goes on.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alexnet_rng::{Purpose, Stream};

use crate::program::{archives, contents, packing, run, scratch, shards, start};

const LOCK: &str = ".packing.lock";

fn fresh(name: &str) -> PathBuf {
    let out = scratch().join(name);
    let _ = fs::remove_dir_all(&out);
    out
}

/// Packs slowly enough to be met at work: one thread, at a size whose records take a while.
fn slow(out: &Path) -> Vec<OsString> {
    packing(out, &["--shard-records", "32", "--threads", "1"])
}

/// A packer whose standard error can be read.
fn packer(args: &[OsString]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_imagenet-pack"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("imagenet-pack")
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill");
    assert!(status.success(), "kill {name}");
}

/// Starts a packer and stops it (SIGSTOP) after it has taken the folder and before it is done.
fn frozen(out: &Path, args: &[OsString]) -> Child {
    for _ in 0..20 {
        let _ = fs::remove_dir_all(out);
        let mut child = packer(args);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !out.join(LOCK).exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if child.try_wait().expect("a child").is_none() {
            signal(&child, "-STOP");
            // The lock is held and the manifest is not there: it was met at work.
            if out.join(LOCK).exists() {
                return child;
            }
            signal(&child, "-CONT");
        }
        child.wait().expect("a child");
    }
    panic!("the packer was never met at work");
}

/// Lets a frozen packer go on to its end.
fn thaw(child: Child) -> (i32, String) {
    signal(&child, "-CONT");
    let output = child.wait_with_output().expect("a child");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// `IMAGENET_TEST_KILLS` (default 20) kills at random moments of the run. What each leaves is gone on from twice: a copy of
/// it to the end, where it has the same bytes as if nothing had been; and the folder itself up to the next kill.
#[test]
fn killed_over_and_over_it_ends_in_the_same_bytes() {
    let wanted: u32 =
        std::env::var("IMAGENET_TEST_KILLS").map_or(20, |n| n.parse().expect("a number of kills"));
    let out = fresh("killed");
    let args = slow(&out);
    let begin = Instant::now();
    run("imagenet-pack", &args).ends(0);
    let length = begin.elapsed().as_secs_f64();
    fs::remove_dir_all(&out).unwrap();
    let stream = Stream::new(20, 0, 0, Purpose::Sample);
    let (mut killed, mut finished, mut moment) = (0, 0, 0);
    let copy = fresh("killed-copy");
    while killed < wanted {
        assert!(moment < u64::from(wanted) * 20, "only {killed} of {moment} kills met a running packer");
        let mut child = start("imagenet-pack", &args);
        std::thread::sleep(Duration::from_secs_f64(length * stream.uniform(moment)));
        moment += 1;
        let met = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        if met {
            killed += 1;
            // A kill before anything was made leaves nothing to copy.
            fs::create_dir_all(&copy).unwrap();
            for (name, bytes) in if out.exists() { contents(&out) } else { Vec::new() } {
                fs::write(copy.join(name), bytes).unwrap();
            }
            run("imagenet-pack", slow(&copy)).ends(0);
            assert!(contents(&copy) == contents(shards()), "the copy after {killed} kills");
            fs::remove_dir_all(&copy).unwrap();
        }
        if out.join("manifest.json").exists() {
            // Killed between manifest and the removal of the lock, it still says complete.
            run("imagenet-pack", &args).ends(0);
            assert!(contents(&out) == contents(shards()), "after {killed} kills");
            fs::remove_dir_all(&out).unwrap();
            finished += 1;
        }
    }
    run("imagenet-pack", &args).ends(0);
    assert!(contents(&out) == contents(shards()), "after {killed} kills");
    eprintln!(
        "{killed} kills met a running packer, {killed} copies were finished, and {} sets on the way: all the same",
        finished + 1
    );
}

#[test]
fn the_second_of_two_packers_is_refused() {
    let out = fresh("two-packers");
    let first = frozen(&out, &slow(&out));
    run("imagenet-pack", packing(&out, &["--shard-records", "32"])).refuses("locked");
    assert_eq!(thaw(first), (0, String::new()));
    assert!(contents(&out) == contents(shards()));
}

#[test]
fn an_interrupted_packer_says_how_to_go_on() {
    let out = fresh("interrupted");
    let child = frozen(&out, &slow(&out));
    signal(&child, "-INT");
    let (code, said) = thaw(child);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the same command goes on"), "{said}");
    run("imagenet-pack", slow(&out)).ends(0);
    assert!(contents(&out) == contents(shards()));
}

/// A limit on the size of files stands for a full disk: the write fails in the middle of a shard.
#[test]
fn a_write_that_fails_is_named_and_gone_on_from() {
    let out = fresh("full");
    // 32 records of 64×64 take 400 kB; the limit is 300. The ninth photo's shard fails, after none is finished.
    let blocks = (300_000 / 512).to_string();
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_imagenet-pack"))
        .args(packing(&out, &["--shard-records", "32"]))
        .output()
        .expect("sh");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("train-00000.shard.partial") && said.contains("hint: "), "{said}");
    assert!(said.contains("the same command") || said.contains("same command again"), "{said}");
    assert!(!contents(&out).iter().any(|(name, _)| name.ends_with(".shard")), "a cut shard has a final name");
    run("imagenet-pack", packing(&out, &["--shard-records", "32"])).ends(0);
    assert!(contents(&out) == contents(shards()));
}

/// A file system of 1 MB, where this user may have one: first too small from the start, then filled while packing.
#[test]
fn a_full_disk() {
    let out = fresh("tmpfs");
    fs::create_dir_all(&out).unwrap();
    let a = archives();
    // Another file takes the room while the packer, already past its estimate, is stopped.
    let script = r#"
        mount -t tmpfs -o size=3m none "$1" || exit 77
        mkdir "$1/set"
        shift_args() { :; }
        out="$1"; pack="$2"; train="$3"; val="$4"; devkit="$5"
        go() { "$pack" --train "$train" --val "$val" --devkit "$devkit" --out "$out/set" --size 64 --shard-records 32 --quiet "$@"; }
        head -c 2500000 /dev/zero > "$out/filler"
        go; [ $? = 2 ] || exit 3
        rm "$out/filler"
        for try in 1 2 3 4 5 6 7 8 9; do
            rm -rf "$out/set"
            go --threads 1 & pid=$!
            while [ ! -e "$out/set/.packing.lock" ] && kill -0 $pid 2>/dev/null; do :; done
            kill -STOP $pid && head -c 3000000 /dev/zero > "$out/filler" 2>/dev/null
            kill -CONT $pid
            wait $pid; code=$?
            rm "$out/filler"
            [ $code = 0 ] || break
        done
        [ $code = 2 ] || exit 4
        go || exit 5
        cp -r "$out/set" "$6"
    "#;
    let copy = fresh("tmpfs-copy");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(&out)
        .arg(env!("CARGO_BIN_EXE_imagenet-pack"))
        .args([&a.train, &a.val, &a.devkit])
        .arg(&copy)
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: a_full_disk: no unshare");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare") || output.status.code() == Some(77) {
        eprintln!("skipped: a_full_disk: this user may mount nothing: {said}");
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("bytes needed"), "{said}");
    assert!(said.contains("No space left") && said.contains("hint: free some space"), "{said}");
    assert!(contents(&copy) == contents(shards()));
}

#[test]
fn a_photo_that_vanishes_stops_the_run_and_its_return_goes_on() {
    let (source, out) = (fresh("vanishing"), fresh("vanished"));
    let photos = alexnet_pack::Source::open(&archives().train).unwrap();
    let mut bytes = Vec::new();
    for (i, photo) in photos.photos().iter().enumerate() {
        photos.read(i, &mut bytes).unwrap();
        let folder = source.join(photos.group_of(photo).unwrap());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&*photo.name), &bytes).unwrap();
    }
    let args = args![
        "--train",
        &source,
        "--out",
        &out,
        "--size",
        "64",
        "--quiet",
        "--threads",
        "1",
        "--shard-records",
        "8"
    ]
    .to_vec();
    let child = frozen(&out, &args);
    let last = source.join("n99000010/n99000010_12.JPEG");
    let kept = fs::read(&last).unwrap();
    fs::remove_file(&last).unwrap();
    let (code, said) = thaw(child);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("n99000010_12.JPEG") && said.contains("hint: "), "{said}");
    fs::write(&last, kept).unwrap();
    run("imagenet-pack", &args).ends(0);
    let whole = fresh("vanished-never");
    run(
        "imagenet-pack",
        args!["--train", &source, "--out", &whole, "--size", "64", "--quiet", "--shard-records", "8"],
    )
    .ends(0);
    assert!(contents(&out) == contents(&whole));
}
