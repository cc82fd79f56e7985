//! Photos a second of wall time: a bare loop of decoder and resizer beside packing, on so many threads.
//!
//! ```sh
//! cargo run --release -p alexnet-pack --example rate -- ILSVRC2012_img_train.tar OUT THREADS ROUNDS
//! ```
//!
//! The loops alternate; each line is one pass over all photos. The bare loops have the photos in memory and keep nothing.
//! "whole" decodes and resizes whole photos, as the decoder and the resizer come; "bare" does no more than the squares
//! need, which is exactly packing's share of it. With the feature `turbojpeg` the decoder is libjpeg-turbo. Packing is
//! all of it: reading, decoding, resizing, sums, checksums, writing and syncing a set in OUT, which must not exist.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use alexnet_pack::decode::Decoder;
use alexnet_pack::resize::Squarer;
use alexnet_pack::{Filter, Geometry, Inputs, Options, Plan, Run, Source, pack};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

const SIZE: u32 = 256;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, out, threads, rounds] = &arguments[..] else {
        return Err("usage: rate ARCHIVE OUT THREADS ROUNDS".into());
    };
    let (threads, rounds): (usize, usize) = (threads.parse()?, rounds.parse()?);
    let source = Source::open(Path::new(path))?;
    let mut photos = vec![Vec::new(); source.photos().len()];
    for (i, bytes) in photos.iter_mut().enumerate() {
        source.read(i, bytes)?;
    }
    let count = photos.len() as f64;
    for _ in 0..rounds {
        for (name, pass) in [("whole", whole as fn(&[Vec<u8>], usize)), ("bare", bare)] {
            let start = Instant::now();
            pass(&photos, threads);
            println!("{name} {threads} {:.1}", count / start.elapsed().as_secs_f64());
        }
        let plan = Plan::new(
            Inputs { train: Some(Source::open(Path::new(path))?), ..Inputs::default() },
            Options::default(),
        )?;
        let start = Instant::now();
        pack(&plan, &Run { threads, ..Run::new(out) }, &())?;
        println!("pack {threads} {:.1}", count / start.elapsed().as_secs_f64());
        std::fs::remove_dir_all(out)?;
    }
    Ok(())
}

fn whole(photos: &[Vec<u8>], threads: usize) {
    let next = AtomicUsize::new(0);
    let one = || {
        let (mut decoder, mut resized, mut resizer) = (Decoder::new(), Vec::new(), Resizer::new());
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        while let Some(bytes) = photos.get(next.fetch_add(1, Ordering::Relaxed)) {
            let picture = decoder.decode(bytes).expect("a sound photo");
            let g = Geometry::new(picture.width, picture.height, SIZE);
            resized.resize((g.width * g.height * 3) as usize, 0);
            let from =
                TypedImageRef::<U8x3>::from_buffer(picture.width, picture.height, picture.rgb).expect("RGB");
            let mut to = TypedImage::<U8x3>::from_buffer(g.width, g.height, &mut resized).expect("RGB");
            resizer.resize_typed(&from, &mut to, &options).expect("sides above 0");
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(one))));
}

fn bare(photos: &[Vec<u8>], threads: usize) {
    let next = AtomicUsize::new(0);
    let one = || {
        let (mut decoder, mut squarer) =
            (Decoder::for_squares(SIZE, Filter::Bilinear), Squarer::new(SIZE, Filter::Bilinear));
        let mut record = vec![0; (SIZE * SIZE * 3) as usize];
        while let Some(bytes) = photos.get(next.fetch_add(1, Ordering::Relaxed)) {
            let picture = decoder.decode(bytes).expect("a sound photo");
            squarer.square(&picture, &mut record).expect("a square");
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(one))));
}
