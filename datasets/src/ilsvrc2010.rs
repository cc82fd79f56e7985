//! Facts of the official ILSVRC2010 archives: the set of the paper's first table.
//!
//! No checksum of these archives is published anywhere. Counts are those of the challenge's page and of converters
//! (`mila-iqia/fuel`, `fuel/converters/ilsvrc2010.py`), which also tells of compressed members and of the patch.

use crate::archive::Archive;

const fn unpublished(name: &'static str) -> Archive {
    Archive { name, bytes: None, md5: None }
}

/// Training photos: 1000 tars `<wnid>.tar` inside one.
pub const TRAIN: Archive = unpublished("ILSVRC2010_images_train.tar");
/// Validation photos, `val/ILSVRC2010_val_00000001.JPEG` to `…_00050000.JPEG`.
pub const VAL: Archive = unpublished("ILSVRC2010_images_val.tar");
/// Test photos, `test/ILSVRC2010_test_00000001.JPEG` to `…_00150000.JPEG`.
pub const TEST: Archive = unpublished("ILSVRC2010_images_test.tar");
/// Development kit: `devkit-1.0/data/meta.mat` and the validation ground truth.
pub const DEVKIT: Archive = unpublished("ILSVRC2010_devkit-1.0.tar.gz");
/// Photos of all splits that replace blank ones of the same names, under `patch_images/{train,val,test}/`.
pub const PATCH: Archive = unpublished("patch_images.tar");
/// Line n is the id of test photo n.
pub const TEST_TRUTH: Archive = unpublished("ILSVRC2010_test_ground_truth.txt");

/// Training photos. (At second hand.)
pub const TRAIN_PHOTOS: u64 = 1_261_406;
/// Validation photos.
pub const VAL_PHOTOS: u64 = 50_000;
/// Test photos.
pub const TEST_PHOTOS: u64 = 150_000;
/// Classes: the leaf synsets, `ILSVRC2010_ID` 1 to 1000.
pub const CLASSES: usize = 1000;
/// Inner synsets that the devkit lists behind the leaves.
pub const INNER_SYNSETS: usize = 676;
