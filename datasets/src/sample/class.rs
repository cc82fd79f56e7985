//! The table of the sample's classes: invented WNIDs, words, and what makes each one itself.
//!
//! A class is an [`Outline`] with a [`Pattern`]; everything else in a photo is nuisance. Every class is its own
//! mirror image and has no upright position. The WNIDs begin with `n99`, which ImageNet does not use.

use super::outline::Outline;
use super::pattern::Pattern;

/// One class of the sample.
#[derive(Clone, Copy, Debug)]
pub struct SampleClass {
    /// Invented WordNet identifier; rows of [`CLASSES`] are sorted by it.
    pub wnid: &'static str,
    /// `ILSVRC2012_ID` in the sample's devkit, 1 ..= 10, in another order than the WNIDs, as in the real one.
    pub id: u16,
    /// Synonyms, separated by a comma and a blank.
    pub words: &'static str,
    /// One-line description.
    pub gloss: &'static str,
    pub(super) outline: Outline,
    pub(super) pattern: Pattern,
}

impl SampleClass {
    /// Whether the class has no pattern and is known by its outline alone.
    pub fn is_plain(&self) -> bool {
        self.pattern == Pattern::Plain
    }
}

/// The ten classes, sorted by WNID.
pub const CLASSES: [SampleClass; 10] = [
    SampleClass {
        wnid: "n99000001",
        id: 7,
        words: "checkerboard, chequered tile",
        gloss: "a square tile with a pattern of alternating light and dark squares",
        outline: Outline::Square,
        pattern: Pattern::Checks,
    },
    SampleClass {
        wnid: "n99000002",
        id: 3,
        words: "striped ball",
        gloss: "a ball with straight parallel stripes",
        outline: Outline::Disc,
        pattern: Pattern::Stripes,
    },
    SampleClass {
        wnid: "n99000003",
        id: 10,
        words: "spotted egg",
        gloss: "an egg covered with round spots",
        outline: Outline::Egg,
        pattern: Pattern::Dots,
    },
    SampleClass {
        wnid: "n99000004",
        id: 1,
        words: "ring, torus",
        gloss: "a plain ring with a round section and nothing inside",
        outline: Outline::Ring,
        pattern: Pattern::Plain,
    },
    SampleClass {
        wnid: "n99000005",
        id: 8,
        words: "star, five-pointed star",
        gloss: "a plain star of five points",
        outline: Outline::Star,
        pattern: Pattern::Plain,
    },
    SampleClass {
        wnid: "n99000006",
        id: 5,
        words: "cross, Greek cross",
        gloss: "a plain cross of four equal arms",
        outline: Outline::Cross,
        pattern: Pattern::Plain,
    },
    SampleClass {
        wnid: "n99000007",
        id: 2,
        words: "wavy triangle",
        gloss: "a triangular plate with a pattern of waves",
        outline: Outline::Triangle,
        pattern: Pattern::Waves,
    },
    SampleClass {
        wnid: "n99000008",
        id: 9,
        words: "target, bull's-eye",
        gloss: "a round board with concentric rings",
        outline: Outline::Board,
        pattern: Pattern::Rings,
    },
    SampleClass {
        wnid: "n99000009",
        id: 4,
        words: "wheel, spoked wheel",
        gloss: "a plain wheel whose background shows between the spokes",
        outline: Outline::Wheel,
        pattern: Pattern::Plain,
    },
    SampleClass {
        wnid: "n99000010",
        id: 6,
        words: "honeycomb",
        gloss: "a hexagonal plate of six-sided cells",
        outline: Outline::Hexagon,
        pattern: Pattern::Cells,
    },
];

#[cfg(test)]
mod tests {
    use super::CLASSES;

    #[test]
    fn sorted_numbered_and_not_imagenet_s() {
        assert!(CLASSES.is_sorted_by_key(|class| class.wnid));
        assert!(CLASSES.iter().all(|class| class.wnid.len() == 9 && class.wnid.starts_with("n99")));
        let mut ids: Vec<u16> = CLASSES.iter().map(|class| class.id).collect();
        assert!(!ids.is_sorted(), "the devkit's order must differ from the order of the WNIDs");
        ids.sort_unstable();
        assert_eq!(ids, (1..=10).collect::<Vec<u16>>());
    }
}
