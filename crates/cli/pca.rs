//! `imagenet-pca`: mean, spread and principal axes of the training photos' colours.

use std::path::PathBuf;

use alexnet_datasets::statistics::{FB_RESNET, KRIZHEVSKY, Published};
use alexnet_load::{Drawer, Lighting, View};
use alexnet_pack::pca::Statistics;
use alexnet_pack::portrait;
use alexnet_shard::{Access, Moments, ShardSet, Split, SplitSet};
use anyhow::Context;
use clap::Parser;

use crate::messages::{Exit, Refusal, say};
use crate::progress::Progress;

/// RGB mean, covariance, eigenvalues and eigenvectors of a packed set's training photos, from exact integer sums.
#[derive(Parser)]
#[command(name = "imagenet-pca", version)]
pub struct Args {
    /// Folder of a packed set
    shards: PathBuf,
    /// Sum over all pixels again instead of taking the sums stored with the shards; the result is the same
    #[arg(long)]
    scan: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Write the mean image as a PNG
    #[arg(long, value_name = "FILE")]
    mean_image: Option<PathBuf>,
    /// Draw the colour cloud with its principal axes, and a photo under eleven lights of the 2012 code's strength
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Record that is shown under them
    #[arg(long, value_name = "RECORD", default_value_t = 0, requires = "picture")]
    photo: u64,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

/// Runs the program.
pub fn run(args: Args) -> anyhow::Result<Exit> {
    let set = ShardSet::open(&args.shards, Access::Read)?;
    let Some(split) = set.split(Split::Train).filter(|s| !s.is_empty()) else {
        let cause = format!("{} has no training photos", args.shards.display());
        return Err(Refusal::new(cause, "pack a set with --train").into());
    };
    let moments = if args.scan { scan(split, args.quiet)? } else { split.moments() };
    let statistics = Statistics::from_moments(&moments).context("the set has no pixels")?;
    if let Some(path) = &args.mean_image {
        let photos = split.len();
        let pixels = split.pixel_sums()?.iter().map(|sum| ((sum + photos / 2) / photos) as u8).collect();
        let (width, height) = (split.width() as u32, split.height() as u32);
        image::RgbImage::from_raw(width, height, pixels)
            .context("the mean image has another size than the records")?
            .save(path)
            .with_context(|| format!("{}", path.display()))?;
    }
    if let Some(path) = &args.picture {
        let lighting = Lighting::by_standard_deviation(statistics.eigenvectors, statistics.eigenvalues);
        let drawer =
            Drawer { seed: 0, slack: [0, 0], view: View::Random, lighting: Some(lighting), vary: None };
        let shifts: Vec<[f32; 3]> = (0..11).map(|position| drawer.draw(0, position).shift).collect();
        portrait(split, &statistics, args.photo, &shifts, path)?;
    }
    if args.json {
        say(serde_json::to_string_pretty(&statistics)?)?;
    } else {
        print(&statistics, split.len())?;
    }
    Ok(Exit::Done)
}

/// Sums over every pixel of every record, checking each record on the way.
fn scan(split: &SplitSet, quiet: bool) -> anyhow::Result<Moments> {
    let progress = Progress::new("scanning", "records", split.len(), quiet);
    let mut total = Moments::default();
    let mut scratch = Vec::new();
    for i in 0..split.len() {
        split.check_record(i)?;
        total = total.merge(&Moments::of(split.record(i, &mut scratch)?));
        progress.at(i + 1, "");
    }
    progress.finish();
    Ok(total)
}

fn print(s: &Statistics, photos: u64) -> anyhow::Result<()> {
    say(format_args!("{photos} training photos, {} pixels, grey levels 0..255", s.count))?;
    say(format_args!("{:<31}{:>10}{:>10}{:>10}", "", "red", "green", "blue"))?;
    let row = |name: &str, v: [f64; 3], digits: usize| {
        say(format_args!("{name:<31}{:>10.digits$}{:>10.digits$}{:>10.digits$}", v[0], v[1], v[2]))
    };
    row("mean", s.mean, 3)?;
    row("standard deviation", s.std, 3)?;
    for (name, covariance) in ["covariance with red", "… with green", "… with blue"].iter().zip(s.covariance)
    {
        row(name, covariance, 2)?;
    }
    say("")?;
    say(format_args!("{:<31}{:>10}{:>10}{:>10}", "principal axis", "1", "2", "3"))?;
    let total: f64 = s.eigenvalues.iter().sum();
    row("eigenvalue", s.eigenvalues, 2)?;
    row("share of variance, %", s.eigenvalues.map(|v| 100.0 * v / total), 2)?;
    row("√eigenvalue", s.sigmas(), 3)?;
    for (c, name) in ["red", "green", "blue"].iter().enumerate() {
        row(name, s.eigenvectors.map(|vector| vector[c]), 5)?;
    }
    for (name, published) in [("Krizhevsky's", &KRIZHEVSKY), ("fb.resnet.torch's", &FB_RESNET)] {
        say("")?;
        compare(name, published, s)?;
    }
    say("")?;
    say("what lighting adds, RMS grey levels")?;
    let rms = |lighting: Lighting| {
        let mut squares = [0.0f64; 3];
        for (vector, amplitude) in lighting.vectors.iter().zip(lighting.amplitudes) {
            for (sum, component) in squares.iter_mut().zip(vector) {
                *sum += (amplitude * component).powi(2);
            }
        }
        squares.map(f64::sqrt)
    };
    let deviation = rms(Lighting::by_standard_deviation(s.eigenvectors, s.eigenvalues));
    row("0.1 · √eigenvalue", deviation, 3)?;
    row("  ÷ 1.1, as pixels in 2012", deviation.map(|shift| shift / 1.1), 3)?;
    row("0.1 · eigenvalue, [0,1]", rms(Lighting::by_eigenvalue(s.eigenvectors, s.eigenvalues)), 3)
}

fn compare(name: &str, published: &Published, s: &Statistics) -> anyhow::Result<()> {
    let row = |label: &str, v: [f64; 3], digits: usize| {
        say(format_args!("{label:<31}{:>10.digits$}{:>10.digits$}{:>10.digits$}", v[0], v[1], v[2]))
    };
    row(&format!("{name} √eigenvalue"), published.deviations, 3)?;
    let sigmas = s.sigmas();
    row("  ours / theirs", std::array::from_fn(|i| sigmas[i] / published.deviations[i]), 4)?;
    row("  angle, degrees", s.angles_to(published), 2)
}
