//! What one photo costs on one thread, stage by stage, beside a bare loop of the same decoder and resizer.
//!
//! ```sh
//! cargo run --release -p alexnet-pack --example stages -- ILSVRC2012_img_train.tar [ROUNDS]
//! ```
//!
//! The photos are read into memory first. Rounds of both loops alternate and the fastest of each photo's times counts, so
//! that a busy machine disturbs little; times are the thread's own.

use std::path::Path;

use alexnet_pack::decode::Decoder;
use alexnet_pack::resize::Squarer;
use alexnet_pack::{Filter, Geometry, Source};
use alexnet_shard::{Class, Digest, Moments, Recipe, ShardPlan, ShardWriter, Split, record_crc};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

const SIZE: u32 = 256;
const STAGES: [&str; 7] = ["bare decode", "bare resize", "decode", "square", "moments", "crc", "write"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("an archive of photos is needed")?;
    let rounds = arguments.next().map_or(Ok(5), |n| n.parse::<usize>())?;
    let source = Source::open(Path::new(&path))?;
    let mut photos = Vec::new();
    for i in 0..source.photos().len() {
        let mut bytes = Vec::new();
        source.read(i, &mut bytes)?;
        photos.push(bytes);
    }
    let mut best = vec![[f64::INFINITY; STAGES.len()]; photos.len()];
    for _ in 0..rounds {
        bare(&photos, &mut best)?;
        ours(&photos, &mut best)?;
    }
    let mean = |stage: usize| best.iter().map(|times| times[stage]).sum::<f64>() / photos.len() as f64 * 1e6;
    println!("{} photos, {rounds} rounds, µs a photo", photos.len());
    for (stage, name) in STAGES.iter().enumerate() {
        println!("{name:<12} {:>8.1}", mean(stage));
    }
    let (bare, ours): (f64, f64) = ((0..2).map(mean).sum(), (2..STAGES.len()).map(mean).sum());
    println!("bare loop    {bare:>8.1}   {:.0} photos/s", 1e6 / bare);
    println!("all of ours  {ours:>8.1}   {:.0} photos/s, {:.3} of the bare loop", 1e6 / ours, bare / ours);
    Ok(())
}

/// Seconds this thread has run.
fn now() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

struct Clock(f64);

impl Clock {
    fn new() -> Self {
        Clock(now())
    }

    /// Notes the time since the last call as this stage's, if it is the shortest.
    fn note(&mut self, best: &mut f64) {
        *best = best.min(now() - self.0);
        self.0 = now();
    }
}

fn bare(photos: &[Vec<u8>], best: &mut [[f64; 7]]) -> Result<(), Box<dyn std::error::Error>> {
    let (mut rgb, mut resized, mut resizer) = (Vec::new(), Vec::new(), Resizer::new());
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    for (bytes, best) in photos.iter().zip(best) {
        let mut clock = Clock::new();
        let decoding = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&bytes[..]), decoding);
        decoder.decode_headers()?;
        let info = decoder.info().ok_or("no header")?;
        let (width, height) = (u32::from(info.width), u32::from(info.height));
        let length = (width * height * 3) as usize;
        if rgb.len() < length {
            rgb.resize(length, 0);
        }
        decoder.decode_into(&mut rgb[..length])?;
        clock.note(&mut best[0]);
        let g = Geometry::new(width, height, SIZE);
        resized.resize((g.width * g.height * 3) as usize, 0);
        let from = TypedImageRef::<U8x3>::from_buffer(width, height, &rgb[..length])?;
        let mut to = TypedImage::<U8x3>::from_buffer(g.width, g.height, &mut resized)?;
        resizer.resize_typed(&from, &mut to, &options)?;
        clock.note(&mut best[1]);
    }
    Ok(())
}

fn ours(photos: &[Vec<u8>], best: &mut [[f64; 7]]) -> Result<(), Box<dyn std::error::Error>> {
    let classes = [Class { wnid: "n00000000".into(), words: String::new() }];
    let recipe = Recipe {
        format: alexnet_shard::FORMAT,
        size: [SIZE, SIZE],
        filter: "bilinear".into(),
        geometry: Geometry::NAME.into(),
        label_order: "wnid".into(),
        decoder: alexnet_pack::decode::DECODER.into(),
        resizer: Filter::Bilinear.resizer().into(),
        classes: alexnet_shard::class_table_digest(&classes),
        source: Digest::default(),
        shuffle_seed: None,
        shard_records: 4096,
        options: Default::default(),
    };
    let dir = tempfile::tempdir()?;
    let entries = photos.len() as u64;
    let plan = ShardPlan {
        split: Split::Train,
        number: 0,
        split_entries: entries,
        recipe: &recipe,
        classes: &classes,
    };
    let mut writer = ShardWriter::create(dir.path(), plan)?;
    let (mut decoder, mut squarer) =
        (Decoder::for_squares(SIZE, Filter::Bilinear), Squarer::new(SIZE, Filter::Bilinear));
    let mut record = vec![0; (SIZE * SIZE * 3) as usize];
    for (entry, (bytes, best)) in (0..).zip(photos.iter().zip(best)) {
        let mut clock = Clock::new();
        let picture = decoder.decode(bytes).map_err(|refusal| refusal.0)?;
        clock.note(&mut best[2]);
        squarer.square(&picture, &mut record).map_err(|refusal| refusal.0)?;
        clock.note(&mut best[3]);
        let moments = Moments::of(&record);
        clock.note(&mut best[4]);
        let crc = record_crc(&record);
        clock.note(&mut best[5]);
        writer.push(0, entry, "photo", &record, &moments, crc)?;
        clock.note(&mut best[6]);
    }
    Ok(())
}
