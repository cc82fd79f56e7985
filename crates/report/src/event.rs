//! An event of TensorBoard as a protocol buffer, written by hand: the few fields a scalar needs.
//!
//! From `tensorflow/core/util/event.proto` and `summary.proto`: Event { 1: double wall_time, 2: int64 step,
//! 3: string file_version, 5: Summary { 1: repeated Value { 1: string tag, 2: float simple_value } } }. Fields that are
//! zero or empty are left out, as every writer of this form does.

/// A number with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// Such as `train/loss`.
    pub tag: String,
    /// Its value; TensorBoard keeps f32.
    pub value: f32,
}

/// What happened at a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Seconds since 1970.
    pub time: f64,
    /// Updates done.
    pub step: u64,
    /// The numbers.
    pub scalars: Vec<Scalar>,
}

// Kinds of fields on the wire.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// A message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn time(&mut self, time: f64) {
        if time != 0.0 {
            self.key(1, FIXED64);
            self.0.extend(time.to_le_bytes());
        }
    }
}

/// The event that must open a file.
pub(crate) fn version(time: f64) -> Vec<u8> {
    let mut event = Message::default();
    event.time(time);
    event.bytes(3, b"brain.Event:2");
    event.0
}

impl Event {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut summary = Message::default();
        for scalar in &self.scalars {
            let mut value = Message::default();
            value.bytes(1, scalar.tag.as_bytes());
            // A member of a oneof is written even if it is zero.
            value.key(2, FIXED32);
            value.0.extend(scalar.value.to_le_bytes());
            summary.bytes(1, &value.0);
        }
        let mut event = Message::default();
        event.time(self.time);
        if self.step != 0 {
            event.key(2, VARINT);
            event.varint(self.step);
        }
        event.bytes(5, &summary.0);
        event.0
    }
}
