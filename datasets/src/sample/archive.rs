//! The sample's two photo archives, in the official layout.
//!
//! Train: a tar of one tar per WNID, each flat, named `<wnid>_<number>.JPEG`. Val: one flat tar. Headers carry no
//! time, owner or host, so the bytes depend on the photos alone. Photos are made by several threads and written in
//! their order.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::class::CLASSES;
use super::draw::Part;
use super::photo;

/// How many photos are made ahead of writing, at most.
const CHUNK: usize = 256;

/// Appends a regular file with fixed metadata.
pub fn append(tar: &mut tar::Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    tar.append_data(&mut header, name, bytes)
}

/// One photo to be made: its part, row in [`CLASSES`], number within the class.
pub type Order = (Part, usize, u32);

/// Makes the photos of `orders` on `threads` threads; `done` is told after each one.
pub fn develop(
    seed: u64,
    orders: &[Order],
    threads: usize,
    done: &mut dyn FnMut(),
) -> io::Result<Vec<Vec<u8>>> {
    let next = AtomicUsize::new(0);
    let mut photos: Vec<Vec<u8>> = vec![Vec::new(); orders.len()];
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::channel();
        for _ in 0..threads.clamp(1, orders.len().max(1)) {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&(part, class, number)) = orders.get(i) else { break };
                    if send.send((i, photo::take(seed, part, class, number))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        // Leaving early drops the receiver, which stops the threads.
        for (i, photo) in receive {
            photos[i] = photo.map_err(io::Error::other)?;
            done();
        }
        Ok(photos)
    })
}

/// Writes the train archive.
pub fn write_train(
    out: impl Write,
    seed: u64,
    per_class: u32,
    threads: usize,
    done: &mut dyn FnMut(),
) -> io::Result<()> {
    let mut outer = tar::Builder::new(out);
    for (class, row) in CLASSES.iter().enumerate() {
        let mut inner = tar::Builder::new(Vec::new());
        let orders: Vec<Order> = (0..per_class).map(|number| (Part::Train, class, number)).collect();
        for chunk in orders.chunks(CHUNK) {
            for (photo, order) in develop(seed, chunk, threads, done)?.iter().zip(chunk) {
                append(&mut inner, &format!("{}_{}.JPEG", row.wnid, order.2 + 1), photo)?;
            }
        }
        append(&mut outer, &format!("{}.tar", row.wnid), &inner.into_inner()?)?;
    }
    outer.into_inner()?.flush()
}

/// Writes the val archive: photo i is the next one of class `classes[i]`.
pub fn write_val(
    out: impl Write,
    seed: u64,
    classes: &[usize],
    threads: usize,
    done: &mut dyn FnMut(),
) -> io::Result<()> {
    let mut counts = [0u32; CLASSES.len()];
    let orders: Vec<Order> = classes
        .iter()
        .map(|&class| {
            counts[class] += 1;
            (Part::Val, class, counts[class] - 1)
        })
        .collect();
    let mut tar = tar::Builder::new(out);
    let mut number = 0;
    for chunk in orders.chunks(CHUNK) {
        for photo in develop(seed, chunk, threads, done)? {
            number += 1;
            append(&mut tar, &format!("ILSVRC2012_val_{number:08}.JPEG"), &photo)?;
        }
    }
    tar.into_inner()?.flush()
}
