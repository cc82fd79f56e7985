//! Replicas as a user starts them: processes under a launcher's variables, threads of one process, and what the others do
//! when one of them is not as it should be.
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::Libraries::{All, WithNvrtc};
use crate::training::{distance, losses};
use crate::{end, fresh, installed, training, training_with};

/// Processes of a run on one machine.
struct Ranks {
    count: usize,
    port: u16,
}

impl Ranks {
    fn new(count: usize) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        Ranks { count, port }
    }

    /// As torchrun sets its variables.
    fn under(&self, rank: usize, mut train: Command) -> Command {
        let text = |n: usize| n.to_string();
        train.envs([("RANK", text(rank)), ("WORLD_SIZE", text(self.count)), ("LOCAL_RANK", text(rank))]);
        train.envs([("LOCAL_WORLD_SIZE", text(self.count)), ("MASTER_ADDR", "localhost".into())]);
        train.env("MASTER_PORT", self.port.to_string());
        train.stdout(Stdio::piped()).stderr(Stdio::piped());
        train
    }

    fn start(&self, out: &Path, more: &[&str]) -> Vec<Child> {
        let start = |rank| self.under(rank, training("cuda", out, more)).spawn().expect("train");
        (0..self.count).map(start).collect()
    }
}

/// Exit code and all that was said.
fn ended(child: Child) -> (i32, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().expect("an end");
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!said.contains("panicked"), "{said}");
    (status.code().unwrap_or(-1), said)
}

/// The run of one network, six updates.
fn alone() -> &'static Path {
    static ALONE: OnceLock<PathBuf> = OnceLock::new();
    ALONE.get_or_init(|| {
        let out = fresh("alone");
        let (code, _, err) = end(training::<&str>("cuda", &out, &[]));
        assert_eq!(code, 0, "{err}");
        out
    })
}

/// The run is the same as `alone`, but for rounding.
fn assert_near(what: &str, out: &Path, alone: &Path) {
    let (ours, theirs) = (losses(out), losses(alone));
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (step, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        assert!((a / b - 1.0).abs() <= if step == 0 { 1e-6 } else { 1e-3 }, "{what}: {ours:?}, {theirs:?}");
    }
    let distance = distance(out, alone);
    assert!(distance <= 2e-2, "{what}: {distance}");
    let validations = |run: &Path| -> Vec<[f64; 3]> {
        let log = std::fs::read_to_string(run.join("log.jsonl")).expect("a log");
        let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let of = |line: serde_json::Value| {
            ["images", "top1_error", "loss"].map(|key| line[key].as_f64().unwrap_or(-1.0))
        };
        lines.filter(|line| line.get("images").is_some()).map(of).collect()
    };
    let (ours, theirs) = (validations(out), validations(alone));
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(
            ours[..2] == theirs[..2] && (ours[2] / theirs[2] - 1.0).abs() < 1e-3,
            "{what}: {ours:?} {theirs:?}"
        );
    }
}

/// Six updates on 60 photos in batches of 16: an epoch ends in a batch of 12 and a validation, split over all.
#[test]
fn processes_and_threads_train_as_one() {
    let Some(_) = installed("replicas") else { return };
    let alone = alone();
    for count in [2, 4] {
        let out = fresh(&format!("ranks-{count}"));
        let all: Vec<_> =
            Ranks::new(count).start(&out, &["--bucket-bytes", "16384"]).into_iter().map(ended).collect();
        assert!(all.iter().all(|(code, _)| *code == 0), "{all:?}");
        assert!(all[0].1.contains(&format!("{count} replicas summed ")), "{all:?}");
        assert!(all[1..].iter().all(|(_, said)| said.is_empty()), "only rank 0 reports: {all:?}");
        assert_near(&format!("{count} processes"), &out, alone);
    }
    for (device, replicas) in [("cuda", "2"), ("cuda:1,0,3,2", "2")] {
        let out = fresh(&format!("threads-{}", device.replace([':', ','], "-")));
        let (code, said, err) = end(training(device, &out, &["--replicas", replicas]));
        assert_eq!(code, 0, "{err}");
        assert!(said.contains("2 replicas summed "), "{said}");
        assert_eq!(said.contains("the 2 devices exchanged "), device == "cuda:1,0,3,2", "{said}");
        assert_near(device, &out, alone);
    }
}

/// Two processes of two replicas each, as Slurm starts them with one pair of devices visible to each.
#[test]
fn processes_of_several_replicas_under_srun() {
    let Some(_) = installed("replicas under srun") else { return };
    let out = fresh("srun");
    let port = Ranks::new(2).port.to_string();
    let start = |rank: usize| {
        let mut train = training("cuda:0,1,2,3", &out, &["--replicas", "2"]);
        train.envs([("SLURM_PROCID", rank.to_string()), ("SLURM_LOCALID", rank.to_string())]);
        train.envs([
            ("SLURM_NTASKS", "2"),
            ("SLURM_TASKS_PER_NODE", "2"),
            ("SLURM_JOB_NODELIST", "localhost"),
        ]);
        train.env("MASTER_PORT", &port).stdout(Stdio::piped()).stderr(Stdio::piped());
        train.spawn().expect("train")
    };
    let all = [0, 1].map(start).map(ended);
    assert!(all.iter().all(|(code, _)| *code == 0), "{all:?}");
    assert!(all[0].1.contains("4 replicas summed "), "{all:?}");
    assert_near("srun", &out, alone());
}

/// A rank is killed in the middle; the others say so and end, and the same command goes on, with another number of ranks.
#[test]
fn a_rank_that_dies_ends_the_run_and_the_command_goes_on() {
    let Some(_) = installed("a rank that dies") else { return };
    let out = fresh("killed-rank");
    let more = ["--checkpoint-every", "1"];
    let mut ranks = Ranks::new(3).start(&out, &more);
    let mut last = ranks.pop().expect("the last");
    while !out.join("last.safetensors").exists() {
        assert!(last.try_wait().expect("a state").is_none(), "{:?}", ended(last));
        std::thread::sleep(Duration::from_millis(2));
    }
    last.kill().expect("a signal");
    last.wait().expect("an end");
    for (rank, child) in ranks.into_iter().enumerate() {
        let (code, said) = ended(child);
        assert!(code == 2 && said.contains("rank 2 is gone: its process has ended"), "{rank}: {code} {said}");
        assert!(said.contains("\nhint: "), "{said}");
    }
    let all: Vec<_> = Ranks::new(2).start(&out, &more).into_iter().map(ended).collect();
    assert!(all.iter().all(|(code, _)| *code == 0), "{all:?}");
    assert_near("killed", &out, alone());
}

/// Ctrl-C at any rank stops all at the same update, with a checkpoint.
#[test]
fn an_interrupt_at_one_rank_stops_all() {
    let Some(_) = installed("an interrupt") else { return };
    let out = fresh("interrupted");
    let ranks = Ranks::new(2).start(&out, &["--steps", "100000", "--checkpoint-every", "10"]);
    while !out.join("last.safetensors").exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let signal = Command::new("kill").args(["-INT", &ranks[1].id().to_string()]).status().expect("kill");
    assert!(signal.success());
    let all: Vec<_> = ranks.into_iter().map(ended).collect();
    assert!(all.iter().all(|(code, _)| *code == 1), "{all:?}");
    assert!(all[0].1.contains("stopped; the same command goes on from "), "{all:?}");
    assert!(all[1].1.starts_with("stopping at the next safe point"), "{all:?}");
}

#[test]
fn who_does_not_come_or_does_not_fit_is_named() {
    let Some(_) = installed("ranks that do not fit") else { return };
    let out = fresh("misfits");
    // Nobody else comes.
    let ranks = Ranks::new(2);
    let (code, said) =
        ended(ranks.under(0, training("cuda", &out, &["--wait", "1"])).spawn().expect("train"));
    assert!(code == 2 && said.contains("only 1 of 2 processes came to port"), "{said}");
    assert!(said.contains("missing: rank 1\nhint: ") && !out.exists(), "{said}");
    // Another seed.
    let pair = |first: &[&str], second: &[&str], outs: [&Path; 2]| {
        let ranks = Ranks::new(2);
        let start =
            |rank: usize, more| ranks.under(rank, training("cuda", outs[rank], more)).spawn().expect("train");
        [start(0, first), start(1, second)].map(ended)
    };
    for (code, said) in pair(&["--seed", "5"], &["--seed", "6"], [&out, &out]) {
        assert!(code == 2 && said.contains("rank 0's seed is 5, here 6\nhint: "), "{said}");
    }
    // A folder of its own, without the checkpoint.
    let all = pair(&[], &[], [&out, &out]);
    assert!(all.iter().all(|(code, _)| *code == 0), "{all:?}");
    let apart = fresh("apart");
    for (code, said) in pair(&[], &[], [&out, &apart]) {
        let cause =
            "rank 1 would go on from update 0, rank 0 from update 6: they do not find the same checkpoint";
        assert!(
            code == 2 && said.contains(cause) && said.contains("\nhint: all ranks need the same --out"),
            "{said}"
        );
    }
    // A failure of rank 0 alone is heard by the other: the folder is another run's.
    let all = pair(&["--seed", "9"], &["--seed", "9"], [&out, &out]);
    assert!(all.iter().all(|(code, _)| *code == 2), "{all:?}");
    assert!(all[0].1.contains("holds another run: its seed is 2012, now it would be 9"), "{all:?}");
    assert!(all[1].1.contains("rank 0 ended: ") && all[1].1.contains("holds another run"), "{all:?}");
}

#[test]
fn what_replicas_need_is_told() {
    let Some(_) = installed("what replicas need") else { return };
    let two = ["--replicas", "2"];
    let refused = |train: Command, expected: &str| {
        let (code, said, err) = end(train);
        assert!(code == 2 && err.contains(expected) && err.contains("\nhint: "), "{expected}: {said}{err}");
    };
    let out = fresh("refused");
    let without = WithNvrtc(&["libcuda.so.1", "libcublas.so.13"]);
    refused(training_with(without, "cuda", &out, &two), "(looked for libnccl.so.2, libnccl.so: ");
    refused(training("cpu", &out, &two), "--device cpu: 2 replicas");
    refused(training("cuda:0,1,2", &out, &two), "3 devices of this process for 2 replicas");
    refused(training("cuda:0,1", &out, &["--replicas", "0"]), "--replicas 0");
    refused(training("cuda:0,0", &out, &two), "NCCL: invalid usage");
    let mut half = training::<&str>("cuda", &out, &[]);
    half.env("RANK", "0");
    refused(half, "RANK is set, but LOCAL_RANK is not");
    // What NCCL finds out by itself ends the run too.
    let mut broken = training("cuda", &fresh("broken"), &two);
    broken.env("SHIM_NCCL_ERROR", "12").args(["--steps", "100000"]);
    refused(broken, "NCCL: remote process exited or there was a network error");
    let mut dry = training_with(All, "cuda", &out, &["--dry-run", "--replicas", "2"]);
    dry.env("SHIM_DEVICES", "2");
    let (code, said, err) = end(dry);
    assert!(code == 0 && said.contains("2 replicas of up to 8 samples; here on cuda:0, "), "{said}{err}");
}
