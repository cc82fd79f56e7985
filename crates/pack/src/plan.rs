//! What will be packed: which photo becomes which entry of which split, with which label.
//!
//! A plan is made from the header walk alone, before any photo is read, and decides everything that the bytes of a
//! set depend on; the [`Recipe`] names it. Order: that of the source (archive order; folders by name), which for
//! ImageNet's training archive is class after class; with a shuffle seed the training entries are permuted
//! (`alexnet_rng::Permutation`, purpose `PackOrder`), so that reading them in order is already mixed. Other
//! entries keep the source's order.

use alexnet_rng::{Permutation, Purpose};
use alexnet_shard::{Digest, FORMAT, Recipe, Split, UNKNOWN_LABEL, class_table_digest};
use sha2::{Digest as _, Sha256};

use crate::classes::{ClassTable, LabelOrder};
use crate::decode::DECODER;
use crate::devkit::Devkit;
use crate::error::Error;
use crate::geometry::Geometry;
use crate::resize::Filter;
use crate::source::{Photo, Source, official_number, official_year};

/// Everything besides the sources that the bytes of a set depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Width and height of a record in pixels, 1 to 8,192.
    pub size: u32,
    /// How photos are resized.
    pub filter: Filter,
    /// How classes are numbered.
    pub label_order: LabelOrder,
    /// Only these classes (WNIDs); their labels are their places among themselves.
    pub classes: Option<Vec<String>>,
    /// Planned entries a shard, 1 to 2²⁰.
    pub shard_records: u64,
    /// Seed of the order of the training entries; `None` keeps the source's order.
    pub shuffle_seed: Option<u64>,
    /// Only so many entries of each split, the first in planned order: the same records as the first of the whole set.
    pub limit: Option<u64>,
}

impl Default for Options {
    /// 256×256, bilinear, WNID order, all classes, 4,096 entries a shard, the source's order.
    fn default() -> Self {
        Options {
            size: 256,
            filter: Filter::default(),
            label_order: LabelOrder::default(),
            classes: None,
            shard_records: 4096,
            shuffle_seed: None,
            limit: None,
        }
    }
}

/// Where photos and labels come from. At least one of the sources is needed.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Training photos, filed under their classes.
    pub train: Option<Source>,
    /// Validation photos, filed under their classes or named by the number of their ground truth.
    pub val: Option<Source>,
    /// Test photos. Without a ground truth for them they are packed without labels.
    pub test: Option<Source>,
    /// The class table and the ground truth of the validation and perhaps the test photos.
    pub devkit: Option<Devkit>,
}

/// A photo of the source, and the label its record will have.
#[derive(Clone, Copy, Debug)]
struct Planned {
    photo: u32,
    /// [`UNKNOWN_LABEL`] if it is packed without one, [`NO_LABEL`] if it will be refused.
    label: u32,
}

/// Photos that cannot be given the label they must have.
const NO_LABEL: u32 = UNKNOWN_LABEL - 1;

/// The entries of one split in planned order.
#[derive(Debug)]
pub struct SplitPlan {
    split: Split,
    source: Source,
    planned: Vec<Planned>,
    /// How many of the planned are packed.
    entries: u64,
    order: Option<Permutation>,
    left_out: u64,
}

impl SplitPlan {
    /// Which split this is.
    pub fn split(&self) -> Split {
        self.split
    }

    /// Where its photos come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// How many entries are planned.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many photos are of classes that were not chosen.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How many entries have no label and will be refused.
    pub fn unlabelled(&self) -> u64 {
        (0..self.entries).filter(|&entry| self.entry(entry).1.is_none()).count() as u64
    }

    /// The place in [`Source::photos`] and the label of an entry. `None` as label: it has none and will be refused;
    /// [`UNKNOWN_LABEL`]: nobody knows the labels of this split, and it is packed without.
    ///
    /// # Panics
    /// If `entry` is not below [`entries`](Self::entries).
    pub fn entry(&self, entry: u64) -> (usize, Option<u32>) {
        let place = self.order.map_or(entry, |order| order.at(entry));
        let Planned { photo, label } = self.planned[place as usize];
        (photo as usize, (label != NO_LABEL).then_some(label))
    }

    /// Encoded bytes of all entries.
    pub fn encoded_bytes(&self) -> u64 {
        (0..self.entries).map(|entry| self.source.photos()[self.entry(entry).0].length).sum()
    }
}

/// Which photo becomes which entry of which split, and the recipe that names it.
#[derive(Debug)]
pub struct Plan {
    splits: Vec<SplitPlan>,
    classes: ClassTable,
    devkit: Option<Devkit>,
    options: Options,
    recipe: Recipe,
}

impl Plan {
    /// Plans the packing of these sources.
    ///
    /// # Errors
    /// If there is no source, an option is out of range, or options and sources contradict each other.
    pub fn new(inputs: Inputs, options: Options) -> Result<Plan, Error> {
        let Inputs { train, val, test, devkit } = inputs;
        let sources: Vec<(Split, Source)> = [(Split::Train, train), (Split::Val, val), (Split::Test, test)]
            .into_iter()
            .filter_map(|(s, o)| Some((s, o?)))
            .collect();
        if sources.is_empty() {
            return Err(Error::Options {
                reason: "neither training nor validation nor test photos are given".into(),
                hint: "give --train, --val, --test, or a folder with the archives".into(),
            });
        }
        for (split, source) in &sources {
            of_one_year(*split, source, devkit.as_ref())?;
        }
        let groups = sources.iter().flat_map(|(_, source)| source.groups()).map(String::as_str);
        let classes =
            ClassTable::new(devkit.as_ref(), groups, options.label_order, options.classes.as_deref())?;
        if classes.classes().is_empty() {
            return Err(Error::Options {
                reason: "no photo is filed under a class, and there is no devkit".into(),
                hint:
                    "add --devkit ILSVRC2012_devkit_t12.tar.gz, which tells the classes of validation photos"
                        .into(),
            });
        }
        let labels = Labels { classes: &classes, devkit: devkit.as_ref() };
        let splits: Vec<SplitPlan> =
            sources.into_iter().map(|(split, source)| labels.plan(split, source, &options)).collect();
        if splits.iter().all(|split| split.entries == 0) {
            let photos: usize = splits.iter().map(|split| split.source.photos().len()).sum();
            return Err(Error::Options {
                reason: match options.limit {
                    Some(0) => "a limit of 0 photos leaves nothing to pack".into(),
                    _ => format!("none of the {photos} photos is of a chosen class"),
                },
                hint: "give a larger --limit, or --classes that these archives hold".into(),
            });
        }
        let recipe = recipe(&splits, &classes, &options);
        if let Some(problem) = recipe.problem() {
            return Err(Error::Options { reason: problem, hint: "choose a value inside the range".into() });
        }
        Ok(Plan { splits, classes, devkit, options, recipe })
    }

    /// The splits that have a source: train, val, test.
    pub fn splits(&self) -> &[SplitPlan] {
        &self.splits
    }

    /// The class table.
    pub fn classes(&self) -> &ClassTable {
        &self.classes
    }

    /// The options the plan was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What names the bytes of the set.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The challenge that the devkit is of.
    pub(crate) fn year(&self) -> Option<u32> {
        self.devkit.as_ref().and_then(|devkit| devkit.year)
    }

    /// Why a photo of a split has no label.
    pub(crate) fn why_unlabelled(&self, split: &SplitPlan, photo: &Photo) -> String {
        let labels = Labels { classes: &self.classes, devkit: self.devkit.as_ref() };
        match labels.class(split.split, split.source.group_of(photo), photo) {
            Ok(wnid) => format!("its class {wnid} is not in the class table"),
            Err(reason) => reason,
        }
    }
}

/// Photos and devkit are of the same challenge: those of 2010 and 2012 have the same numbers, and other classes.
fn of_one_year(split: Split, source: &Source, devkit: Option<&Devkit>) -> Result<(), Error> {
    let Some(year) = devkit.and_then(|devkit| devkit.year).filter(|_| split != Split::Train) else {
        return Ok(());
    };
    let other = source.photos().iter().find_map(|photo| {
        official_number(&photo.name)?;
        official_year(&photo.name).filter(|&of| of != year)
    });
    other.map_or(Ok(()), |of| {
        Err(Error::Options {
            reason: format!("the {split} photos are of ILSVRC{of}, the devkit of ILSVRC{year}"),
            hint: format!("give the devkit of ILSVRC{of}: their numbers mean other classes in each"),
        })
    })
}

/// The rule that gives a photo its class.
struct Labels<'a> {
    classes: &'a ClassTable,
    devkit: Option<&'a Devkit>,
}

impl<'a> Labels<'a> {
    fn plan(&self, split: Split, source: Source, options: &Options) -> SplitPlan {
        let mut planned = Vec::with_capacity(source.photos().len());
        let mut left_out = 0;
        // The labels of ILSVRC2012's test photos were never published.
        let secret = split == Split::Test && self.devkit.is_none_or(|devkit| devkit.test_truth.is_empty());
        for (photo, index) in source.photos().iter().zip(0..) {
            let class = self.class(split, source.group_of(photo), photo);
            if class.as_ref().is_ok_and(|wnid| self.classes.is_unchosen(wnid)) {
                left_out += 1;
                continue;
            }
            let label = match class {
                Ok(wnid) => self.classes.label(wnid).unwrap_or(NO_LABEL),
                Err(_) if secret => UNKNOWN_LABEL,
                Err(_) => NO_LABEL,
            };
            planned.push(Planned { photo: index, label });
        }
        let seed = options.shuffle_seed.filter(|_| split == Split::Train);
        let order = seed.map(|seed| Permutation::new(seed, 0, Purpose::PackOrder, planned.len() as u64));
        let all = planned.len() as u64;
        let entries = options.limit.map_or(all, |limit| limit.min(all));
        SplitPlan { split, source, planned, entries, order, left_out }
    }

    /// The WNID of a photo: what it is filed under and, for other photos than training, the ground truth of its number.
    fn class<'s>(&'s self, split: Split, group: Option<&'s str>, photo: &Photo) -> Result<&'s str, String> {
        let number = official_number(&photo.name).filter(|&(of, _)| of == split).map(|(_, number)| number);
        let truth = match (self.devkit, number) {
            (Some(devkit), Some(number)) => devkit.synset_of(split, number).map(|s| s.wnid.as_str()),
            _ => None,
        };
        match (group, truth) {
            (Some(group), Some(truth)) if group != truth => {
                Err(format!("it is filed under {group}, but the ground truth says {truth}"))
            }
            (Some(wnid), _) | (None, Some(wnid)) => Ok(wnid),
            (None, None) => Err(match (number, self.devkit) {
                (Some(_), None) => "its class is unknown without a devkit".into(),
                (Some(number), Some(devkit)) => {
                    let lines = devkit.truth(split).len();
                    format!(
                        "its class is unknown: the ground truth has {lines} lines, none for number {number}"
                    )
                }
                (None, _) => "its class is unknown: it is filed under none and its name tells none".into(),
            }),
        }
    }
}

fn recipe(splits: &[SplitPlan], classes: &ClassTable, options: &Options) -> Recipe {
    // Besides what the walks saw, the labels: two devkits may agree on the classes and differ in the ground truth.
    let mut source = Sha256::new();
    for split in splits {
        source.update(split.split.as_str());
        source.update(split.source.digest());
        source.update((split.planned.len() as u64).to_le_bytes());
        for Planned { photo, label } in &split.planned {
            source.update(photo.to_le_bytes());
            source.update(label.to_le_bytes());
        }
    }
    Recipe {
        format: FORMAT,
        size: [options.size, options.size],
        filter: options.filter.to_string(),
        geometry: Geometry::NAME.into(),
        label_order: options.label_order.to_string(),
        decoder: DECODER.into(),
        resizer: options.filter.resizer().into(),
        classes: class_table_digest(classes.classes()),
        source: Digest(source.finalize().into()),
        shuffle_seed: options.shuffle_seed,
        shard_records: options.shard_records,
        options: options.limit.map(|limit| ("limit".to_owned(), limit.to_string())).into_iter().collect(),
    }
}
