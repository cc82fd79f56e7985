//! Where the processes of a run find each other: rank 0 waits at a TCP port until all have come and shows each what it
//! trains; then it gives all the same word (NCCL's ids) and the connections stay as [`Lifeline`]s.
//!
//! A process that trains something else is refused with what differs, and so are all others then; whoever is no process of
//! a run is ignored. Nobody waits longer than he was told to.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::folder::difference;
use crate::frame::{Frame, Kind};
use crate::lifeline::Lifeline;
use crate::world::World;

/// How long a connection may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// What a process says when it comes.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    program: String,
    rank: usize,
    count: usize,
    /// All that has to be the same in all processes.
    run: Value,
}

fn program() -> String {
    format!("train {}", env!("CARGO_PKG_VERSION"))
}

/// Meets the other processes of `world`: `run` is what has to be the same in all of them, `word` is what rank 0 tells
/// all. Gives that, and the connections.
///
/// # Errors
/// Not all come within `patience`, they train different things, or the port cannot be used.
pub fn meet(
    world: &World,
    run: &Value,
    word: Vec<u8>,
    patience: Duration,
) -> Result<(Vec<u8>, Option<Lifeline>), Error> {
    let Some((host, port)) = &world.meeting else { return Ok((word, None)) };
    let end = Instant::now() + patience;
    if world.rank == 0 {
        receive(world, *port, run, word, end, patience)
    } else {
        visit(world, (host, *port), run, end, patience)
    }
}

fn launch(cause: String, hint: &str) -> Error {
    Error::Launch { cause, hint: hint.to_owned() }
}

/// Rank 0 of several.
fn receive(
    world: &World,
    port: u16,
    run: &Value,
    word: Vec<u8>,
    end: Instant,
    patience: Duration,
) -> Result<(Vec<u8>, Option<Lifeline>), Error> {
    // All of both kinds of addresses, where the system has both.
    let listener = TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)));
    let unusable = |e: std::io::Error| {
        launch(
            format!("rank 0 cannot wait for the others at port {port}: {e}"),
            "set MASTER_PORT to a port that is free",
        )
    };
    let listener = listener.map_err(unusable)?;
    listener.set_nonblocking(true).map_err(unusable)?;
    let mut come: Vec<Option<TcpStream>> = (0..world.count).map(|_| None).collect();
    while come.iter().flatten().count() + 1 < world.count {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                ) =>
            {
                if Instant::now() > end {
                    return Err(missing(world, &come, port, patience));
                }
                std::thread::sleep(PAUSE);
                continue;
            }
            Err(e) => return Err(unusable(e)),
        };
        // Whoever says nothing of use is somebody else.
        let Some((rank, stream, refusal)) = greeted(stream, world, run, &come) else { continue };
        if let Some(refusal) = refusal {
            for stream in come.iter().flatten().chain([&stream]) {
                let _ = Frame::text(Kind::Refused, &refusal).write(stream); // its own end tells it too
            }
            return Err(launch(refusal, "start all processes with the same program, set and options"));
        }
        come[rank] = Some(stream);
    }
    let accepted = Frame { kind: Kind::Accepted, payload: word.clone() };
    let mut others = Vec::new();
    for (rank, stream) in come.into_iter().enumerate() {
        let Some(stream) = stream else { continue };
        accepted
            .write(&stream)
            .map_err(|e| launch(format!("rank {rank} is gone: {e}"), "see what it said itself"))?;
        others.push((rank, stream));
    }
    Ok((word, Some(Lifeline::new(0, others)?)))
}

/// Who came, and why it cannot be taken.
fn greeted(
    stream: TcpStream,
    world: &World,
    run: &Value,
    come: &[Option<TcpStream>],
) -> Option<(usize, TcpStream, Option<String>)> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(GREETING)).ok()?;
    stream.set_nodelay(true).ok()?;
    let frame = Frame::read(&stream).ok().filter(|frame| frame.kind == Kind::Hello)?;
    let hello: Hello = serde_json::from_slice(&frame.payload).ok()?;
    let rank = hello.rank;
    let refusal = if hello.program != program() {
        Some(format!("rank {rank} runs {}, rank 0 {}", hello.program, program()))
    } else if hello.count != world.count || rank == 0 || rank >= world.count {
        Some(format!("rank {rank} of {} came to a run of {} processes", hello.count, world.count))
    } else if come[rank].is_some() {
        Some(format!("two processes say that they are rank {rank}"))
    } else {
        difference("", run, &hello.run).map(|d| {
            let d = d.replace("its ", "rank 0's ").replace("now it would be", "here");
            format!("rank {rank} trains something else than rank 0: {d}")
        })
    };
    Some((rank, stream, refusal))
}

fn missing(world: &World, come: &[Option<TcpStream>], port: u16, patience: Duration) -> Error {
    let absent: Vec<String> =
        (1..world.count).filter(|&r| come[r].is_none()).map(|r| r.to_string()).collect();
    let cause = format!(
        "only {} of {} processes came to port {port} within {} s; missing: rank {}",
        world.count - absent.len(),
        world.count,
        patience.as_secs(),
        absent.join(", ")
    );
    launch(
        cause,
        "see what the missing ranks said; --launcher none trains in one process, --wait gives them longer",
    )
}

/// Any other rank.
fn visit(
    world: &World,
    (host, port): (&str, u16),
    run: &Value,
    end: Instant,
    patience: Duration,
) -> Result<(Vec<u8>, Option<Lifeline>), Error> {
    let hello = Hello { program: program(), rank: world.rank, count: world.count, run: run.clone() };
    let hello = serde_json::to_vec(&hello).expect("plain data");
    let hello = Frame { kind: Kind::Hello, payload: hello };
    loop {
        let answer = connect(host, port).and_then(|stream| {
            hello.write(&stream)?;
            // Rank 0 answers when all have come.
            stream.set_read_timeout(Some(end.saturating_duration_since(Instant::now()).max(PAUSE)))?;
            Ok((Frame::read(&stream)?, stream))
        });
        let failure = match answer {
            Ok((Frame { kind: Kind::Accepted, payload }, stream)) => {
                return Ok((payload, Some(Lifeline::new(world.rank, vec![(0, stream)])?)));
            }
            Ok((frame, _)) if frame.kind == Kind::Refused => {
                return Err(launch(
                    frame.words(),
                    "start all processes with the same program, set and options",
                ));
            }
            Ok(_) => "what listens there is no rank 0 of a run".to_owned(),
            Err(e) => e.to_string(),
        };
        // Rank 0 may start later than this.
        if Instant::now() + PAUSE > end {
            let (rank, count, seconds) = (world.rank, world.count, patience.as_secs());
            let cause = format!(
                "rank {rank} of {count} did not meet rank 0 at {host}:{port} within {seconds} s: {failure}"
            );
            return Err(launch(
                cause,
                "see what rank 0 said; MASTER_ADDR and MASTER_PORT name where it waits",
            ));
        }
        std::thread::sleep(PAUSE);
    }
}

fn connect(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let mut failure = std::io::Error::from(ErrorKind::AddrNotAvailable);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, GREETING) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(e) => failure = e,
        }
    }
    Err(failure)
}
