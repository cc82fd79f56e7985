//! `imagenet-pack check`: downloads against the published checksums.

use std::path::PathBuf;

use alexnet_pack::{Verdict, check};
use clap::Parser;

use crate::messages::{Exit, say};
use crate::progress::{Progress, size};

/// Compare archives with the published MD5s. Only this finds damage inside a photo that still decodes: JPEG has no
/// checksum. It cannot say where the damage is, and of ILSVRC2010 and Fall 2011 no checksums are published.
/// Exits with 0 only if each archive is sound, under whatever name; with 1 also for those that nothing can be said of.
#[derive(Parser)]
pub struct Args {
    /// Archives as downloaded
    #[arg(required = true)]
    archives: Vec<PathBuf>,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let (mut bad, mut unknown) = (0, 0);
    for path in &args.archives {
        let total = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let progress = Progress::new(&format!("hashing {name}"), "bytes", total, args.quiet);
        let checked = check(path, &|done| progress.at(done, &size(done)));
        progress.finish();
        let checked = checked?;
        let md5 = checked.md5.unwrap_or_default();
        let verdict = match checked.verdict {
            Verdict::Sound(archive) if archive.name == name => "sound".to_owned(),
            Verdict::Sound(archive) => format!("sound: it is {} under another name", archive.name),
            Verdict::Damaged(archive) => {
                bad += 1;
                let published = archive.md5.unwrap_or_default();
                let what = match archive.name == name {
                    true => String::new(),
                    false => format!("it has the length of {}; ", archive.name),
                };
                format!("DAMAGED: {what}MD5 is {md5}, published is {published}; fetch it again")
            }
            Verdict::WrongLength(archive) => {
                bad += 1;
                let expected = archive.bytes.unwrap_or_default();
                format!("DAMAGED: {} bytes where {expected} belong; fetch it again", checked.bytes)
            }
            Verdict::Unpublished(_) => {
                unknown += 1;
                format!("cannot be told: no MD5 of this archive is published; this one's is {md5}")
            }
            Verdict::OtherTask => {
                bad += 1;
                "WRONG FILE: it belongs to the task of dog breeds (t3)".to_owned()
            }
            Verdict::Unknown => {
                unknown += 1;
                format!("cannot be told: neither name nor length nor MD5 is known ({md5})")
            }
        };
        say(format_args!("{}: {verdict}", path.display()))?;
    }
    if unknown > 0 {
        say("packing finds what is cut and photos that no longer decode; other damage it cannot find")?;
    }
    Ok(if bad + unknown > 0 { Exit::Complaints } else { Exit::Done })
}
