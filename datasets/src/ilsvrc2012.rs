//! Facts of the official ILSVRC2012 archives.
//!
//! Sizes and the first three MD5s are those that torchvision checks (`torchvision/datasets/imagenet.py`) and that
//! several independent download lists repeat; facts known at second hand are marked so.

use crate::archive::Archive;

/// Training photos: 1000 tars `<wnid>.tar` inside one, none compressed.
pub const TRAIN: Archive = Archive {
    name: "ILSVRC2012_img_train.tar",
    bytes: Some(147_897_477_120),
    md5: Some("1d675b47d978889d74fa0da5fadfb00e"),
};

/// Validation photos: one flat tar, `ILSVRC2012_val_00000001.JPEG` to `…_00050000.JPEG`.
pub const VAL: Archive = Archive {
    name: "ILSVRC2012_img_val.tar",
    bytes: Some(6_744_924_160),
    md5: Some("29b22e2961454d5413ddabcf34fc5622"),
};

/// Development kit of tasks 1 and 2: `data/meta.mat` and the validation ground truth. (Size at second hand.)
pub const DEVKIT: Archive = Archive {
    name: "ILSVRC2012_devkit_t12.tar.gz",
    bytes: Some(2_568_634),
    md5: Some("fa75699e90414af021442c21a62c3abf"),
};

/// Test photos with the patch of October 2019; their labels were never published. (At second hand.)
pub const TEST: Archive = Archive {
    name: "ILSVRC2012_img_test_v10102019.tar",
    bytes: None,
    md5: Some("e1b8681fff3d63731c599df9b4b6fc02"),
};

/// Boxes of the training photos; not needed to classify. (At second hand.)
pub const BOXES: Archive = Archive {
    name: "ILSVRC2012_bbox_train_v2.tar.gz",
    bytes: None,
    md5: Some("9271167e2176350e65cfe4e546f14b17"),
};

/// Archives of other tasks that are taken for these by mistake: dog breeds.
pub const OTHER_TASKS: [&str; 2] = ["ILSVRC2012_img_train_t3.tar", "ILSVRC2012_devkit_t3.tar.gz"];

/// Training photos.
pub const TRAIN_PHOTOS: u64 = 1_281_167;
/// Validation photos.
pub const VAL_PHOTOS: u64 = 50_000;
/// Test photos.
pub const TEST_PHOTOS: u64 = 100_000;
/// Classes: the leaf synsets of the devkit, `ILSVRC2012_ID` 1 to 1000.
pub const CLASSES: usize = 1000;
/// Inner synsets that the devkit lists behind the leaves.
pub const INNER_SYNSETS: usize = 860;
/// Fewest and most training photos of a class.
pub const PHOTOS_PER_CLASS: (u32, u32) = (732, 1300);

/// The one training photo that is a PNG under the name of a JPEG.
pub const PNG: &str = "n02105855_2933.JPEG";

/// The training photos with four components (CMYK or YCCK). From `cytsai/ilsvrc-cmyk-image-list`, which the
/// converter of TensorFlow Datasets (`datasets/imagenet2012`) repeats.
pub const CMYK: [&str; 22] = [
    "n01739381_1309.JPEG",
    "n02077923_14822.JPEG",
    "n02447366_23489.JPEG",
    "n02492035_15739.JPEG",
    "n02747177_10752.JPEG",
    "n03018349_4028.JPEG",
    "n03062245_4620.JPEG",
    "n03347037_9675.JPEG",
    "n03467068_12171.JPEG",
    "n03529860_11437.JPEG",
    "n03544143_17228.JPEG",
    "n03633091_5218.JPEG",
    "n03710637_5125.JPEG",
    "n03961711_5286.JPEG",
    "n04033995_2932.JPEG",
    "n04258138_17003.JPEG",
    "n04264628_27969.JPEG",
    "n04336792_7448.JPEG",
    "n04371774_5854.JPEG",
    "n04596742_4225.JPEG",
    "n07583066_647.JPEG",
    "n13037406_4650.JPEG",
];

/// What is known to be odd about the file of that name (without folders), if anything.
pub fn known_oddity(name: &str) -> Option<&'static str> {
    if name == PNG {
        Some("a PNG under the name of a JPEG")
    } else if CMYK.binary_search(&name).is_ok() {
        Some("a JPEG with four components")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oddities_are_found_by_name() {
        assert!(CMYK.is_sorted());
        assert!(CMYK.iter().all(|name| known_oddity(name) == Some("a JPEG with four components")));
        assert!(known_oddity(PNG).is_some());
        assert_eq!(known_oddity("n01440764_10026.JPEG"), None);
    }

    #[test]
    fn archives_are_whole_tar_blocks() {
        for archive in [TRAIN, VAL] {
            assert_eq!(archive.bytes.map(|bytes| bytes % 10_240), Some(0), "{}", archive.name);
        }
        for archive in [TRAIN, VAL, DEVKIT, TEST] {
            assert!(archive.md5.is_some(), "{}", archive.name);
        }
    }
}
