//! How many photos the published data sets have, beside those that a plan's sources hold.
//!
//! An archive that lacks members, or a folder that lost some, is as sound as a subset; only the count tells.

use alexnet_datasets::{ilsvrc2010, ilsvrc2012};
use alexnet_shard::Split;

use crate::plan::{Plan, SplitPlan};
use crate::source::{is_wnid, official_number, official_year};

/// A split whose source holds another number of photos than the data set that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The split.
    pub split: Split,
    /// Year of the challenge.
    pub year: u32,
    /// Photos of the source.
    pub photos: u64,
    /// Photos published.
    pub published: u64,
}

/// The splits of a plan that are of a known data set by their names and classes, and not all of it. None where the plan
/// leaves photos out by its options.
pub fn differences(plan: &Plan) -> Vec<Difference> {
    let options = plan.options();
    if options.limit.is_some() || options.classes.is_some() || plan.classes().classes().len() != 1000 {
        return Vec::new();
    }
    let difference = |split: &SplitPlan| {
        let year = year(plan, split)?;
        let (photos, published) = (split.source().photos().len() as u64, published(year, split.split())?);
        (photos != published).then_some(Difference { split: split.split(), year, photos, published })
    };
    plan.splits().iter().filter_map(difference).collect()
}

/// The challenge that a split is of. Training photos say none themselves: their devkit, archive or other splits do.
fn year(plan: &Plan, split: &SplitPlan) -> Option<u32> {
    let source = split.source();
    if split.split() != Split::Train {
        return of_names(split);
    }
    // Fewer classes are a subset, more are another set.
    if source.groups().len() != 1000 || !source.groups().iter().all(|group| is_wnid(group)) {
        return None;
    }
    let file = source.path().file_name().and_then(|name| official_year(name.to_str()?));
    plan.year().or(file).or_else(|| plan.splits().iter().find_map(of_names))
}

/// The year in the names of validation or test photos.
fn of_names(split: &SplitPlan) -> Option<u32> {
    let photos = split.source().photos().iter();
    let of_split = |name: &str| official_number(name).is_some_and(|(of, _)| of == split.split());
    photos.map(|photo| &*photo.name).filter(|name| of_split(name)).find_map(official_year)
}

fn published(year: u32, split: Split) -> Option<u64> {
    Some(match (year, split) {
        (2010, Split::Train) => ilsvrc2010::TRAIN_PHOTOS,
        (2010, Split::Val) => ilsvrc2010::VAL_PHOTOS,
        (2010, Split::Test) => ilsvrc2010::TEST_PHOTOS,
        (2012, Split::Train) => ilsvrc2012::TRAIN_PHOTOS,
        (2012, Split::Val) => ilsvrc2012::VAL_PHOTOS,
        (2012, Split::Test) => ilsvrc2012::TEST_PHOTOS,
        _ => return None,
    })
}
