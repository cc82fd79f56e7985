//! Sound JPEGs by libjpeg-turbo, no more of them than is needed: the crate's only unsafe code, and only with the
//! feature `turbojpeg`.
//!
//! Whatever the library warns of is given back undecoded: telling damage, and making the most of it, is the portable
//! decoder's part (if that sees nothing wrong, the warning is the photo's note), as are four-component JPEGs, whose colours the two turn into RGB differently. A cut picture has
//! the pixels that the whole one has there: the cut is widened by what smooth chroma upsampling reads. The entropy
//! code of rows above the cut is read, and all rows below it are decoded. The pixels do not depend on the processor: the library's vector code gives
//! what its portable code gives (its own tests hold the two to the same checksums).
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use turbojpeg_sys as raw;

use super::{Cut, Done, MAX_PIXELS, Note};
use crate::geometry::Region;

/// A pixel's chroma is read from samples up to one beside its own; with 4:1:1 that is four pixels. So much of a cut's
/// edge may be wrong.
const EDGE: u32 = 8;

/// One decompressor, made at first use.
#[derive(Debug, Default)]
pub(super) struct Turbo {
    handle: Option<Handle>,
    /// What the library warned of in the pixels of the JPEG that it last gave back.
    warning: Option<String>,
}

impl Turbo {
    /// Decodes a sound JPEG of one or three components into `rgb`: of a photo of these sides, what `needed` says,
    /// or a little more; `None` from it is all. Nothing comes back for every other JPEG; `rgb` is undefined then.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        needed: impl Fn((u32, u32)) -> Option<Region>,
        rgb: &mut Vec<u8>,
    ) -> Option<Done> {
        self.warning = None;
        if self.handle.is_none() {
            self.handle = Handle::new();
        }
        let handle = self.handle.as_mut()?;
        let header = handle.header(bytes)?;
        let photo = (header.width, header.height);
        if u64::from(photo.0) * u64::from(photo.1) > MAX_PIXELS {
            return None;
        }
        let whole = Region { left: 0, top: 0, width: photo.0, height: photo.1 };
        let region = match header.unit {
            Some(unit) => needed(photo).map_or(whole, |region| widened(region, photo, unit)),
            None => whole,
        };
        let Region { left, top, width, height } = region;
        // Every byte is written, or `rgb` is given up.
        rgb.resize(width as usize * height as usize * 3, 0);
        if handle.decompress(bytes, region, region == whole, rgb).is_none() {
            self.warning = handle.warning();
            return None;
        }
        let cut = (region != whole).then_some(Cut { width: photo.0, height: photo.1, left, top });
        Some(Done { width, height, cut, note: Note::Sound })
    }

    /// What the library warned of, if the last JPEG was given back for it: the other decoder may see nothing wrong.
    pub(super) fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }
}

/// The region with its edges' surroundings, beginning at a column where a block of `unit` pixels begins, down to the
/// photo's last row: to skip the last rows is, to the library, not to read them, and their damage would be missed.
fn widened(region: Region, photo: (u32, u32), unit: u32) -> Region {
    let left = region.left.saturating_sub(EDGE) / unit * unit;
    let top = region.top.saturating_sub(EDGE);
    let right = (region.left + region.width).saturating_add(EDGE).min(photo.0);
    Region { left, top, width: right - left, height: photo.1 - top }
}

struct Header {
    width: u32,
    height: u32,
    /// Pixels a column of blocks, where the library knows them.
    unit: Option<u32>,
}

/// A decompressor of the library; only this struct has it.
#[derive(Debug)]
struct Handle(NonNull<std::ffi::c_void>);

impl Handle {
    fn new() -> Option<Self> {
        // SAFETY: takes no memory of ours; null (out of memory) becomes `None`.
        NonNull::new(unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as c_int) }).map(Handle)
    }

    /// Reads the header; `None` unless it is 8-bit, Huffman-coded, lossy, grey, YCbCr or RGB, and without a warning.
    fn header(&mut self, bytes: &[u8]) -> Option<Header> {
        let handle = self.0.as_ptr();
        // SAFETY: `handle` is a living decompressor, used by no one else while `self` is borrowed; the library reads
        // at most `len` bytes from the pointer and keeps none of it.
        if unsafe { raw::tj3DecompressHeader(handle, bytes.as_ptr(), bytes.len() as _) } != 0 {
            return None;
        }
        // SAFETY: as above; takes numbers only.
        let get = |what: raw::TJPARAM| unsafe { raw::tj3Get(handle, what as c_int) };
        let colours = [raw::TJCS_TJCS_GRAY, raw::TJCS_TJCS_YCbCr, raw::TJCS_TJCS_RGB].map(|c| c as c_int);
        let plain = colours.contains(&get(raw::TJPARAM_TJPARAM_COLORSPACE))
            && get(raw::TJPARAM_TJPARAM_PRECISION) == 8
            && get(raw::TJPARAM_TJPARAM_LOSSLESS) == 0
            && get(raw::TJPARAM_TJPARAM_ARITHMETIC) == 0;
        let unit = match get(raw::TJPARAM_TJPARAM_SUBSAMP) as raw::TJSAMP {
            raw::TJSAMP_TJSAMP_444 | raw::TJSAMP_TJSAMP_GRAY | raw::TJSAMP_TJSAMP_440 => Some(8),
            raw::TJSAMP_TJSAMP_441 => Some(8),
            raw::TJSAMP_TJSAMP_422 | raw::TJSAMP_TJSAMP_420 => Some(16),
            raw::TJSAMP_TJSAMP_411 => Some(32),
            _ => None,
        };
        let side = |what| u32::try_from(get(what)).ok().filter(|&side| side > 0);
        let (width, height) = (side(raw::TJPARAM_TJPARAM_JPEGWIDTH)?, side(raw::TJPARAM_TJPARAM_JPEGHEIGHT)?);
        plain.then_some(Header { width, height, unit })
    }

    /// Decodes a region of the JPEG whose header was read last; `None` on an error or a warning.
    fn decompress(&mut self, bytes: &[u8], region: Region, whole: bool, rgb: &mut [u8]) -> Option<()> {
        let Region { left, top, width, height } = region;
        assert_eq!(rgb.len(), width as usize * height as usize * 3, "bytes of {width}×{height}");
        let number = |n: u32| c_int::try_from(n).ok();
        let cut = match whole {
            true => raw::tjregion { x: 0, y: 0, w: 0, h: 0 },
            false => {
                raw::tjregion { x: number(left)?, y: number(top)?, w: number(width)?, h: number(height)? }
            }
        };
        let handle = self.0.as_ptr();
        // SAFETY: `handle` is a living decompressor, used by no one else while `self` is borrowed; takes numbers only.
        if unsafe { raw::tj3SetCroppingRegion(handle, cut) } != 0 {
            return None;
        }
        let (pitch, format) = (number(width.checked_mul(3)?)?, raw::TJPF_TJPF_RGB as c_int);
        // SAFETY: as above; the library reads at most `len` bytes of the JPEG. It writes `height` rows of `pitch` bytes,
        // RGB: the region set just now, or, for the whole, the sides that it read from the same unchanged bytes. `rgb`
        // has exactly that many bytes (asserted).
        let status = unsafe {
            raw::tj3Decompress8(handle, bytes.as_ptr(), bytes.len() as _, rgb.as_mut_ptr(), pitch, format)
        };
        (status == 0).then_some(())
    }

    /// The warning that the last call ended with; `None` for an error.
    fn warning(&mut self) -> Option<String> {
        let handle = self.0.as_ptr();
        // SAFETY: `handle` is a living decompressor, used by no one else while `self` is borrowed.
        if unsafe { raw::tj3GetErrorCode(handle) } != raw::TJERR_TJERR_WARNING as c_int {
            return None;
        }
        // SAFETY: the library gives a pointer to text that ends with a zero and stays until its next call; it is
        // copied before that.
        let text = unsafe { CStr::from_ptr(raw::tj3GetErrorStr(handle)) };
        Some(text.to_string_lossy().into_owned())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: a living decompressor that no one uses after this.
        unsafe { raw::tj3Destroy(self.0.as_ptr()) };
    }
}
