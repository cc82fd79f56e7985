//! Processes that meet, and what the others hear when one of them ends. Here they are threads.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use alexnet_train::{Error, Launcher, Lifeline, World, meet};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn world(rank: usize, count: usize, port: u16) -> World {
    World {
        launcher: Launcher::Torchrun,
        rank,
        count,
        local: None,
        meeting: Some(("127.0.0.1".into(), port)),
    }
}

type Met = Result<(Vec<u8>, Option<Lifeline>), Error>;

fn come(rank: usize, count: usize, port: u16, run: Value, patience: Duration) -> JoinHandle<Met> {
    spawn(move || meet(&world(rank, count, port), &run, vec![7; 300], patience))
}

fn run() -> Value {
    json!({"seed": 3, "net": {"columns": 2}})
}

/// The processes of a run that has met.
fn met(count: usize) -> Vec<Lifeline> {
    let port = free_port();
    let threads: Vec<_> = (0..count).rev().map(|rank| come(rank, count, port, run(), PATIENCE)).collect();
    let all = threads.into_iter().rev().map(|thread| {
        let (word, lifeline) = thread.join().unwrap().unwrap();
        assert_eq!(word, vec![7; 300]);
        lifeline.expect("a connection")
    });
    all.collect()
}

fn heard(lifeline: &Lifeline) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        match lifeline.failure() {
            Some(reason) => return reason,
            None if Instant::now() > end => panic!("nothing was heard"),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn cause(met: Met) -> String {
    let error = met.map(drop).expect_err("it cannot go on");
    assert!(error.hint().is_some());
    error.to_string()
}

#[test]
fn a_failure_is_heard_by_all_with_its_reason() {
    let mut all = met(3);
    all[2].fail("the disk is full");
    for lifeline in &all {
        assert_eq!(heard(lifeline), "rank 2 ended: the disk is full");
    }
    all[1].fail("something later");
    all.truncate(1);
    assert_eq!(heard(&all[0]), "rank 2 ended: the disk is full", "the first reason stays");
}

#[test]
fn who_takes_leave_is_no_failure() {
    let mut all = met(3);
    drop(all.remove(1));
    let (last, first) = (all.pop().unwrap(), all.pop().unwrap());
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!((first.failure(), last.failure()), (None, None));
    drop(first);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(last.failure(), None);
}

/// A process that is killed closes its connections and says nothing.
#[test]
fn a_process_that_is_gone_is_a_failure_for_all() {
    let port = free_port();
    let others = [0, 1].map(|rank| come(rank, 3, port, run(), PATIENCE));
    let mut killed = loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            break stream;
        }
    };
    let hello = json!({"program": format!("train {}", env!("CARGO_PKG_VERSION")), "rank": 2, "count": 3, "run": run()});
    let hello = hello.to_string();
    killed.write_all(b"h").unwrap();
    killed.write_all(&(hello.len() as u32).to_le_bytes()).unwrap();
    killed.write_all(hello.as_bytes()).unwrap();
    let others = others.map(|thread| thread.join().unwrap().unwrap().1.unwrap());
    drop(killed);
    for lifeline in &others {
        assert_eq!(heard(lifeline), "rank 2 is gone: its process has ended");
    }
}

#[test]
fn what_differs_is_named_to_all() {
    let port = free_port();
    let other = json!({"seed": 4, "net": {"columns": 2}});
    let first = [0, 1].map(|rank| come(rank, 3, port, run(), PATIENCE));
    std::thread::sleep(Duration::from_millis(200)); // so that they have met
    let last = come(2, 3, port, other, PATIENCE);
    for met in first.into_iter().chain([last]) {
        let cause = cause(met.join().unwrap());
        assert_eq!(cause, "rank 2 trains something else than rank 0: rank 0's seed is 3, here 4");
    }
}

#[test]
fn another_number_of_processes_and_a_rank_twice_are_refused() {
    for (rank, count, expected) in
        [(1, 2, "rank 1 of 2 came to a run of 3 processes"), (2, 3, "two processes say that they are rank 2")]
    {
        let port = free_port();
        let first = [0, 2].map(|rank| come(rank, 3, port, run(), PATIENCE));
        std::thread::sleep(Duration::from_millis(200));
        let last = come(rank, count, port, run(), PATIENCE);
        for met in first.into_iter().chain([last]) {
            assert_eq!(cause(met.join().unwrap()), expected);
        }
    }
}

#[test]
fn who_does_not_come_is_named_after_the_time_that_was_given() {
    let (port, short) = (free_port(), Duration::from_millis(1200));
    // A stranger is no process of the run.
    let waiting = [0, 2].map(|rank| come(rank, 4, port, run(), short));
    std::thread::sleep(Duration::from_millis(100));
    let mut stranger = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stranger.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let [first, second] = waiting.map(|thread| cause(thread.join().unwrap()));
    let expected = format!("only 2 of 4 processes came to port {port} within 1 s; missing: rank 1, 3");
    assert_eq!(first, expected);
    assert!(second.starts_with(&format!("rank 2 of 4 did not meet rank 0 at 127.0.0.1:{port}")), "{second}");
    let alone = cause(come(1, 2, free_port(), run(), short).join().unwrap());
    assert!(alone.contains("within 1 s: "), "{alone}");
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let cause = cause(come(0, 2, port, run(), PATIENCE).join().unwrap());
    assert!(cause.starts_with(&format!("rank 0 cannot wait for the others at port {port}: ")), "{cause}");
}

#[test]
fn one_process_meets_nobody() {
    let (word, lifeline) = meet(&World::ALONE, &run(), vec![1], PATIENCE).unwrap();
    assert!(word == [1] && lifeline.is_none());
}
