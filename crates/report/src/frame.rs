//! A record of a TFRecord file: length, its checksum, the bytes, their checksum.
//!
//! Lengths are u64 and checksums u32, little-endian; a checksum is CRC-32C, rotated right by 15 bits, plus a constant,
//! so that checksums of data that holds checksums are not weak (TensorFlow, `tensorflow/core/lib/io/record_writer.h`).

const MASK: u32 = 0xa282_ead8;

fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK)
}

/// `bytes` as one record.
pub fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(bytes);
    record.extend(masked(bytes).to_le_bytes());
    record
}
