//! From the flags of packing to its sources.

use alexnet_pack::{Devkit, Inputs, Layout, Source};

use super::Pack;
use crate::messages::{Refusal, say};

/// Opens what the flags name; with `--from`, what is found in that folder and no flag names.
pub(super) fn inputs(args: &Pack) -> anyhow::Result<Inputs> {
    let found = args.from.as_deref().map(Layout::look).transpose()?.unwrap_or_default();
    let named = |flag: &Option<_>, found: Option<_>| flag.clone().or(found);
    let (train, val) = (named(&args.train, found.train), named(&args.val, found.val));
    let (test, devkit) = (named(&args.test, found.test), named(&args.devkit, found.devkit));
    let (patch, truth) = (named(&args.patch, found.patch), named(&args.test_truth, found.test_truth));
    if !args.quiet && !args.json && args.from.is_some() {
        let parts = [
            ("train", &train),
            ("val", &val),
            ("test", &test),
            ("devkit", &devkit),
            ("patch", &patch),
            ("test truth", &truth),
        ];
        say(format_args!("{}:", found.name))?;
        for (what, path) in parts {
            if let Some(path) = path {
                say(format_args!("  {what:<10} {}", path.display()))?;
            }
        }
    }
    if train.is_none() && val.is_none() && test.is_none() {
        let hint = "name ILSVRC2012_img_train.tar with --train, ILSVRC2012_img_val.tar with --val, or both; or the \
                    folder that has them with --from";
        return Err(
            Refusal::new("nothing to pack: neither --train nor --val nor --test is given", hint).into()
        );
    }
    let mut devkit = devkit.as_deref().map(Devkit::read).transpose()?;
    match (&mut devkit, &truth) {
        (Some(devkit), Some(truth)) => devkit.read_test_truth(truth)?,
        // One that was only found beside other splits' photos does no harm.
        (None, Some(truth)) if test.is_some() || args.test_truth.is_some() => {
            let cause = format!("{}: its lines are the ids of a devkit, and none is given", truth.display());
            let hint = "name ILSVRC2010_devkit-1.0.tar.gz with --devkit";
            return Err(Refusal::new(cause, hint).into());
        }
        _ => {}
    }
    let open = |path: Option<std::path::PathBuf>| path.as_deref().map(Source::open).transpose();
    let mut inputs = Inputs { train: open(train)?, val: open(val)?, test: open(test)?, devkit };
    if let Some(patch) = patch {
        let mut replaced = 0;
        for source in [&mut inputs.train, &mut inputs.val, &mut inputs.test].into_iter().flatten() {
            replaced += source.patch(&patch)?;
        }
        if replaced == 0 {
            let cause = format!("{}: no photo of this patch is in the sources", patch.display());
            return Err(
                Refusal::new(cause, "patch_images.tar belongs to ILSVRC2010; leave --patch away").into()
            );
        }
        if !args.quiet && !args.json {
            say(format_args!("{replaced} photos are taken from {}", patch.display()))?;
        }
    }
    Ok(inputs)
}
