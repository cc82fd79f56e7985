//! Whether the other processes are still there: a connection between rank 0 and each of them, for the length of a run.
//!
//! A sum over replicas waits for ever for a process that is gone, and says nothing. So each process beats twice in a few
//! seconds, says why it ends if it fails, and takes leave if it does not; a connection that ends without either, or is
//! silent, is a failure. Rank 0 tells all others. What to do about a failure is left to who asks ([`Lifeline::failure`]).

use std::io::ErrorKind;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::frame::{Frame, Kind};

const BEAT: Duration = Duration::from_secs(2);
/// Silence that means an end: a machine that has lost its power closes no connection. Counted in parts, so that a process
/// that was itself stopped for longer does not take its own absence for theirs.
const SILENCE: Duration = Duration::from_secs(30);
const PARTS: u32 = 10;
/// How long the others may take to answer a leave.
const LEAVE: Duration = Duration::from_secs(2);

struct Shared {
    rank: usize,
    others: Vec<(usize, TcpStream)>,
    /// The first failure, of whomever.
    failure: Mutex<Option<String>>,
    /// This process has taken leave.
    over: AtomicBool,
}

/// The connections of this process.
pub struct Lifeline {
    shared: Arc<Shared>,
    stop: Option<Sender<()>>,
    readers: Vec<JoinHandle<()>>,
    beats: Option<JoinHandle<()>>,
}

impl Shared {
    fn fail(&self, reason: &str) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() && !self.over.load(Ordering::Acquire) {
            *failure = Some(reason.to_owned());
            self.tell(&Frame::text(Kind::Failed, reason));
        }
    }

    fn tell(&self, frame: &Frame) {
        for (_, stream) in &self.others {
            let _ = frame.write(stream); // one that is gone is told of by its reader
        }
    }

    /// Listens to one other until it ends.
    fn listen(&self, rank: usize, stream: &TcpStream) {
        let mut silent = 0;
        loop {
            // What comes is waited for in parts, what has begun to come at once.
            match stream.peek(&mut [0]).and_then(|_| Frame::read(stream)) {
                Ok(Frame { kind: Kind::Beat, .. }) => silent = 0,
                Ok(Frame { kind: Kind::Done, .. }) => {
                    let _ = stream.shutdown(Shutdown::Write); // tells it that its leave has come
                    return;
                }
                Ok(frame) if frame.kind == Kind::Failed => return self.fail(&frame.words()),
                // A process that was stopped and goes on is interrupted, without a signal of its own.
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    silent += 1;
                    if silent < PARTS {
                        continue;
                    }
                    let silence = SILENCE.as_secs();
                    return self
                        .fail(&format!("rank {rank} is gone: nothing was heard of it for {silence} s"));
                }
                Ok(_) | Err(_) => return self.fail(&format!("rank {rank} is gone: its process has ended")),
            }
        }
    }
}

impl Lifeline {
    /// Of process `rank`, to others by their ranks.
    pub(crate) fn new(rank: usize, others: Vec<(usize, TcpStream)>) -> Result<Lifeline, Error> {
        let refused = |e: std::io::Error| Error::Launch {
            cause: format!("rank {rank} cannot watch the others: {e}"),
            hint: "give the process more threads".into(),
        };
        let shared =
            Arc::new(Shared { rank, others, failure: Mutex::new(None), over: AtomicBool::new(false) });
        let (stop, stopped) = channel::<()>();
        let spawn = |name: String, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name).spawn(work).map_err(refused)
        };
        let mut readers = Vec::new();
        for place in 0..shared.others.len() {
            let shared = shared.clone();
            shared.others[place].1.set_read_timeout(Some(SILENCE / PARTS)).map_err(refused)?;
            let listen = move || {
                let (rank, stream) = &shared.others[place];
                shared.listen(*rank, stream);
            };
            readers.push(spawn(format!("lifeline-{place}"), Box::new(listen))?);
        }
        let own = shared.clone();
        let beat = move || {
            while stopped.recv_timeout(BEAT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                own.tell(&Frame::text(Kind::Beat, ""));
            }
        };
        let beats = Some(spawn("lifeline".to_owned(), Box::new(beat))?);
        Ok(Lifeline { shared, stop: Some(stop), readers, beats })
    }

    /// Why the run cannot go on, if a process has failed: with its rank.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells all that this process has failed.
    pub fn fail(&self, reason: &str) {
        self.shared.fail(&format!("rank {} ended: {reason}", self.shared.rank));
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(beats) = self.beats.take() {
            let _ = beats.join(); // it does not panic
        }
        if self.failure().is_none() {
            self.shared.over.store(true, Ordering::Release);
            self.shared.tell(&Frame::text(Kind::Done, ""));
        }
        // A connection that is closed with something unread in it takes back what was said last: the others close it.
        let end = Instant::now() + LEAVE;
        while Instant::now() < end && !self.readers.iter().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(2));
        }
        for (_, stream) in &self.shared.others {
            let _ = stream.shutdown(Shutdown::Both);
        }
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}
