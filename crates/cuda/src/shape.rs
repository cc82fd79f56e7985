//! The plain structs that kernels take, laid out as in their files.
#![allow(unsafe_code)]

use alexnet_net::Draw;
use cudarc::driver::DeviceRepr;

/// `AugmentDraw` of augment.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct AugmentDraw {
    pub left: i32,
    pub top: i32,
    pub mirror: i32,
    pub shift: [f32; 3],
}

impl From<&Draw> for AugmentDraw {
    /// The draw must lie inside a record, whose sides fit into an i32.
    fn from(draw: &Draw) -> Self {
        AugmentDraw {
            left: draw.left as i32,
            top: draw.top as i32,
            mirror: i32::from(draw.mirror),
            shift: draw.shift,
        }
    }
}

/// `AugmentSource` of augment.cu: addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct AugmentSource {
    pub records: u64,
    pub draws: u64,
}

/// `AugmentShape` of augment.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct AugmentShape {
    pub batch: i32,
    pub record_stride: i32,
    pub record_height: i32,
    pub record_width: i32,
    pub height: i32,
    pub width: i32,
    pub mean_mode: i32,
    pub scale: [f32; 3],
}

/// `ColumnShape` of im2col.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnShape {
    pub batch: i32,
    pub groups: i32,
    pub channels: i32,
    pub height: i32,
    pub width: i32,
    pub out_height: i32,
    pub out_width: i32,
    pub kernel: i32,
    pub stride: i32,
    pub pad: i32,
    pub row: i32,
}

/// `ConvolveShape` of convolve.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvolveShape {
    pub batch: i32,
    pub groups: i32,
    pub channels: i32,
    pub maps: i32,
    pub height: i32,
    pub width: i32,
    pub out_height: i32,
    pub out_width: i32,
    pub kernel: i32,
    pub stride: i32,
    pub pad: i32,
    pub row: i32,
    pub relu: i32,
}

/// `FoldShape` of operand.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoldShape {
    pub batch: i32,
    pub channels: i32,
    pub height: i32,
    pub width: i32,
    pub fold: i32,
    pub pad: i32,
    pub out_height: i32,
    pub out_width: i32,
}

/// `FilterShape` of operand.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilterShape {
    pub outputs: i32,
    pub channels: i32,
    pub kernel: i32,
    pub fold: i32,
    pub side: i32,
    pub row: i32,
}

/// `PoolShape` of pool.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolShape {
    pub batch: i32,
    pub channels: i32,
    pub height: i32,
    pub width: i32,
    pub out_height: i32,
    pub out_width: i32,
    pub size: i32,
    pub stride: i32,
}

/// `WithinMapShape` of within_map.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithinMapShape {
    pub batch: i32,
    pub height: i32,
    pub width: i32,
    pub channels: i32,
    pub half: i32,
    pub k: f32,
    pub alpha: f32,
}

/// `DropoutKey` of dropout.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct DropoutKey {
    pub seed: u64,
    pub first_position: u64,
    pub threshold: u64,
    pub epoch: u32,
    pub purpose: u32,
    pub units: i32,
    pub first_unit: i32,
    pub scale: f32,
    pub batch: i32,
}

/// `Segment` of update.cu.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpdateSegment {
    pub begin: u32,
    pub end: u32,
    pub rate: f32,
    pub decay: f32,
}

/// `Sources` of exchange.cu: addresses, zero where there is no device.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources(pub [u64; Sources::MAX]);

impl Sources {
    /// `ALX_DEVICES`.
    pub const MAX: usize = 8;
}

/// The bytes of values.
pub(crate) fn bytes<T: DeviceRepr>(values: &[T]) -> &[u8] {
    // SAFETY: what kernels take are numbers and structs of numbers without padding: every byte is written.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

// SAFETY: plain structs of numbers without padding, with the layout of their namesakes in kernels/.
unsafe impl DeviceRepr for ColumnShape {}
// SAFETY: as above.
unsafe impl DeviceRepr for ConvolveShape {}
// SAFETY: as above.
unsafe impl DeviceRepr for FoldShape {}
// SAFETY: as above.
unsafe impl DeviceRepr for FilterShape {}
// SAFETY: as above.
unsafe impl DeviceRepr for AugmentDraw {}
// SAFETY: as above.
unsafe impl DeviceRepr for AugmentSource {}
// SAFETY: as above.
unsafe impl DeviceRepr for AugmentShape {}
// SAFETY: as above.
unsafe impl DeviceRepr for PoolShape {}
// SAFETY: as above.
unsafe impl DeviceRepr for WithinMapShape {}
// SAFETY: as above.
unsafe impl DeviceRepr for DropoutKey {}
// SAFETY: as above.
unsafe impl DeviceRepr for UpdateSegment {}
// SAFETY: as above.
unsafe impl DeviceRepr for Sources {}
