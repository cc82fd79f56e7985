//! A whole sample with all that may be drawn for it: resized or not, tinted or not, then the fused pass, then the hole.
//!
//! Samples without any of it, all samples of the paper's recipe, go straight to the [`Pass`]. The others pass through
//! a workspace that each thread keeps, so nothing is allocated for a sample here either. The order is torchvision's
//! usual one: crop, mirror, colour, numbers, erasing (colour and mirror do not mind each other).

use super::resize::Resizer;
use super::tint::{Part, Tinter};
use super::{Augment, Layout, Mean, Output, Pass, Path};
use crate::draw::Draw;
use crate::error::Error;
use crate::vary::Rect;

/// A [`Pass`], and what it takes to vary its records first.
#[derive(Clone, Debug)]
pub struct Varied {
    pass: Pass,
    /// The same for records that are crops already.
    resized: Option<Pass>,
    path: Path,
    tinter: Tinter,
}

/// What one thread needs to vary records.
pub struct Workspace {
    picture: Vec<u8>,
    resizer: Option<Resizer>,
}

impl Varied {
    /// On the fastest path; `resized` says whether draws may resize.
    ///
    /// # Errors
    /// Those of [`Augment::check`], and [`Error::Vary`] for resized crops under an aligned mean image, which has no
    /// pixel for theirs.
    pub fn new(augment: Augment, resized: bool) -> Result<Self, Error> {
        Varied::on(Path::best(), augment, resized)
    }

    /// On a path of one's choice.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn on(path: Path, augment: Augment, resized: bool) -> Result<Self, Error> {
        let pass = Pass::on(path, augment)?;
        let resized = (resized && pass.augment().output != Output::Raw)
            .then(|| {
                let augment = pass.augment();
                let mean = match &augment.mean {
                    Mean::Channel(mean) => Mean::Channel(*mean),
                    Mean::Centre(image) => Mean::Centre(centre(image, augment.record, augment.crop)),
                    Mean::Aligned(_) => {
                        let cause =
                            "resized crops have no place in an aligned mean image; take centre or channel";
                        return Err(Error::Vary(cause.into()));
                    }
                };
                Pass::on(path, Augment { record: augment.crop, mean, ..augment.clone() })
            })
            .transpose()?;
        Ok(Varied { pass, resized, path, tinter: Tinter::on(path) })
    }

    /// A workspace for one thread.
    pub fn workspace(&self) -> Workspace {
        let Augment { record, crop, .. } = *self.pass.augment();
        Workspace {
            picture: vec![0; record[0] * record[1] * 3],
            resizer: self.resized.as_ref().map(|_| Resizer::new(self.path, record, crop)),
        }
    }

    /// Makes one sample.
    ///
    /// # Panics
    /// As [`Pass::apply`], and if the draw resizes where that was not announced.
    pub fn apply(&self, record: &[u8], draw: &Draw, out: &mut [u8], workspace: &mut Workspace) {
        let augment = self.pass.augment();
        if augment.output == Output::Raw || (draw.part.is_none() && draw.tint.is_none()) {
            self.pass.apply(record, draw, out);
        } else if let Some(part) = draw.part {
            let announced = "resized crops were announced";
            let resized = self.resized.as_ref().expect(announced);
            let resizer = workspace.resizer.as_mut().expect(announced);
            let [width, height] = augment.crop;
            let picture = &mut workspace.picture[..width * height * 3];
            resizer.run(record, augment.record[0], part, picture, width);
            if let Some(tint) = &draw.tint {
                let width = width * 3;
                self.tinter.run(tint, picture, Part { first: 0, stride: width, width, rows: height });
            }
            resized.apply(picture, &Draw { left: 0, top: 0, ..*draw }, out);
        } else if let Some(tint) = &draw.tint {
            // Tinted where it lies, so that an aligned mean finds its place.
            let [width, height] = [augment.crop[0] * 3, augment.crop[1]];
            let stride = augment.record[0] * 3;
            let first = draw.top as usize * stride + draw.left as usize * 3;
            for row in 0..height {
                let start = first + row * stride;
                workspace.picture[start..start + width].copy_from_slice(&record[start..start + width]);
            }
            self.tinter.run(tint, &mut workspace.picture, Part { first, stride, width, rows: height });
            self.pass.apply(&workspace.picture, draw, out);
        }
        if augment.output != Output::Raw
            && let Some(hole) = draw.hole
        {
            erase(augment, hole, out);
        }
    }
}

/// The centre crop of a mean image, as an image of the crop's size.
fn centre(image: &[f32], [width, height]: [usize; 2], [crop_width, crop_height]: [usize; 2]) -> Vec<f32> {
    let (left, top) = ((width - crop_width) / 2, (height - crop_height) / 2);
    let row = |y: usize| {
        let start = ((top + y) * width + left) * 3;
        &image[start..start + crop_width * 3]
    };
    (0..crop_height).flat_map(row).copied().collect()
}

/// Zeros in a rectangle of a finished sample; in every element type zero is all zero bits.
fn erase(augment: &Augment, hole: Rect, out: &mut [u8]) {
    let ([width, height], bytes) = (augment.crop, augment.output.bytes());
    let (planes, pixel) = match augment.layout {
        Layout::Nchw => (3, bytes),
        Layout::Nhwc => (1, 3 * bytes),
    };
    for plane in 0..planes {
        for row in hole.top..hole.top + hole.height {
            let start = ((plane * height + row as usize) * width + hole.left as usize) * pixel;
            out[start..start + hole.width as usize * pixel].fill(0);
        }
    }
}
