//! Raw records through the CUDA backend: the loader's bits, whatever overtakes what.
use crate::{cache, driver};
use alexnet_cuda::CudaBackend;
use alexnet_load::{Augment, HeapMemory, Layout, Memory, Output};
use alexnet_net::{Augmentation, Backend, Draw, HostMemory, Mean, RawBatch, STAGED};
use alexnet_rng::{Purpose, Stream};

const RECORD: [usize; 2] = [21, 17];
const CROP: [usize; 2] = [14, 12];
const PIXELS: usize = 3 * CROP[0] * CROP[1];

/// A batch in memory that is spoilt as soon as the backend lets go of it: a ring would fill it with the next batch.
pub struct Spoilt {
    pub memory: Box<dyn HostMemory>,
    pub draws: Vec<Draw>,
}

impl RawBatch for Spoilt {
    fn records(&self) -> &[u8] {
        self.memory.bytes()
    }
    fn draws(&self) -> &[Draw] {
        &self.draws
    }
}

impl Drop for Spoilt {
    fn drop(&mut self) {
        self.memory.bytes_mut().fill(0xee);
        // Leaked: freeing page-locked memory waits for everything, which would hide a copy that still reads it.
        std::mem::forget(std::mem::replace(&mut self.memory, Box::new(Vec::new())));
    }
}

fn means() -> [Mean; 3] {
    let image = || (0..RECORD[0] * RECORD[1] * 3).map(|i| 90.0 + (i % 50) as f32 * 0.37).collect::<Vec<_>>();
    [Mean::Channel([120.25, 110.5, 99.125]), Mean::Aligned(image()), Mean::Centre(image())]
}

fn batch(number: u64, n: usize) -> (Vec<u8>, Vec<Draw>) {
    let stream = Stream::new(8, 0, number, Purpose::Sample);
    let records = (0..n * RECORD[0] * RECORD[1] * 3).map(|i| stream.word(i as u64) as u8).collect();
    let draws = (0..n as u64).map(|i| Draw {
        left: stream.below(2 * i, 8),
        top: stream.below(2 * i + 1, 6),
        mirror: stream.coin(i),
        shift: [stream.normal(3 * i), stream.normal(3 * i + 1), stream.normal(3 * i + 2)]
            .map(|x| 9.0 * x as f32),
    });
    (records, draws.collect())
}

/// What the loader makes of the batch on the host.
fn expected(op: &Augmentation, records: &[u8], draws: &[Draw]) -> Vec<u32> {
    let augment = Augment {
        record: op.record,
        crop: op.crop,
        mean: match op.mean.clone() {
            Mean::Channel(mean) => alexnet_load::Mean::Channel(mean),
            Mean::Aligned(image) => alexnet_load::Mean::Aligned(image),
            Mean::Centre(image) => alexnet_load::Mean::Centre(image),
        },
        scale: op.scale,
        output: Output::F32,
        layout: Layout::Nchw,
    };
    let mut all = Vec::new();
    for (record, draw) in records.chunks(op.record_bytes()).zip(draws) {
        let draw = alexnet_load::Draw {
            left: draw.left,
            top: draw.top,
            mirror: draw.mirror,
            shift: draw.shift,
            part: None,
            tint: None,
            hole: None,
        };
        let mut sample = HeapMemory::new(4 * PIXELS);
        augment.apply(record, &draw, sample.bytes_mut());
        all.extend(sample.bytes().chunks(4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]])));
    }
    all
}

/// Six batches through two staging areas with nothing waited for in between, on two devices, in twenty orders.
#[test]
fn the_loaders_bits_in_any_order_of_the_queue() {
    let Some((driver, _turn)) = driver() else { return };
    for seed in 0..20 {
        let mean = means()[seed as usize % 3].clone();
        let op = Augmentation { record: RECORD, crop: CROP, mean, scale: [1.0 / 1.1, 1.0, 0.017] };
        let mut backend = CudaBackend::new(&[0, 1], &cache()).expect("devices");
        driver.seed(seed);
        backend.prepare_records(&op, 3).expect("areas");
        let sizes = [3usize, 1, 2, 3, 3, 2];
        let stage = |backend: &mut CudaBackend, number: usize| {
            let (records, draws) = batch(number as u64, sizes[number]);
            let mut memory = backend.host_memory(records.len()).expect("memory");
            memory.bytes_mut().copy_from_slice(&records);
            backend.stage(Box::new(Spoilt { memory, draws })).expect("a copy");
        };
        (0..STAGED).for_each(|number| stage(&mut backend, number));
        let mut inputs = Vec::new();
        for number in 0..sizes.len() {
            let mut x: Vec<_> = (0..2).map(|d| backend.floats(d, 3 * PIXELS).expect("memory")).collect();
            backend.augment(sizes[number], &mut x).expect("a launch");
            inputs.push(x);
            if number + STAGED < sizes.len() {
                stage(&mut backend, number + STAGED);
            }
        }
        for (number, x) in inputs.iter().enumerate() {
            let (records, draws) = batch(number as u64, sizes[number]);
            let expected = expected(&op, &records, &draws);
            for (device, x) in x.iter().enumerate() {
                let mut ours = vec![0.0f32; expected.len()];
                backend.download(device, x, 0, &mut ours).expect("a download");
                let ours: Vec<u32> = ours.into_iter().map(f32::to_bits).collect();
                assert!(ours == expected, "batch {number} on device {device}, seed {seed}");
            }
        }
    }
}

#[test]
fn new_areas_wait_for_copies_into_the_old() {
    let Some((driver, _turn)) = driver() else { return };
    let mut backend = CudaBackend::new(&[0], &cache()).expect("a device");
    for seed in 0..20 {
        driver.seed(seed);
        let mean = means()[seed as usize % 3].clone();
        let op = Augmentation { record: RECORD, crop: CROP, mean, scale: [1.0; 3] };
        backend.prepare_records(&op, 2).expect("areas");
        let (records, draws) = batch(7, 2);
        let mut memory = backend.host_memory(records.len()).expect("memory");
        memory.bytes_mut().copy_from_slice(&records);
        backend.stage(Box::new(Spoilt { memory, draws })).expect("a copy");
        backend.synchronise().expect("the computing stream");
    }
    let mut x = [backend.floats(0, 2 * PIXELS).expect("memory")];
    backend.augment(2, &mut x).expect("a launch");
    let error = backend.augment(2, &mut x).expect_err("only one was staged").to_string();
    assert!(error.contains("nothing is staged"), "{error}");
}
