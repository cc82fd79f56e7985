//! Replicas in threads of one process, on NCCL's stand-in: they end where one network does, in any order of the queue.
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alexnet_cuda::{Among, CudaBackend, Gate, Health, UniqueId};
use alexnet_load::{Order, Plan, Rank, Subset};
use alexnet_net::{Backend, DropoutKey, Error, LostReplica, Net, Network, Parameters, Replica, UpdateRule};
use alexnet_rng::{Purpose, Stream};

use crate::{cache, driver, net};

const SIDE: usize = 64;
const CLASSES: u32 = 10;
/// Samples of each global batch: even shares, uneven ones, and ranks that get none.
const BATCHES: [u64; 3] = [8, 5, 2];

/// What a replica ends with.
#[derive(Clone, Debug, PartialEq)]
struct End {
    losses: Vec<f64>,
    parameters: Parameters,
    velocity: Parameters,
}

/// `count` replicas of `devices` devices.
fn among(count: usize, devices: usize) -> Among {
    Among {
        replica: Replica { rank: 0, count },
        ids: (0..devices).map(|_| UniqueId::new().expect("NCCL's stand-in")).collect(),
        health: Arc::new(|| None),
        gate: Arc::new(Gate::new(count)),
        // So small that a narrow net has several.
        bucket_bytes: 16 << 10,
    }
}

/// The backend of one of them.
fn backend(rank: usize, among: &Among) -> CudaBackend {
    let (devices, count) = (among.ids.len(), among.replica.count);
    let ordinals: Vec<usize> = (rank * devices..(rank + 1) * devices).collect();
    let backend = CudaBackend::new(&ordinals, &cache()).expect("devices");
    if count == 1 {
        return backend;
    }
    let replica = Replica { rank, count };
    backend.among(&Among { replica, ..among.clone() }).expect("the others")
}

/// Trains on this rank's part of each batch.
fn train<B: Backend>(backend: B, net: &Net, rank: Rank) -> End {
    let mut network = Network::new(backend, net, BATCHES[0] as usize).expect("a net");
    network.set_parameters(&Parameters::initial(net, 3).expect("parameters")).expect("an upload");
    if rank.count > 1 {
        assert!(network.buckets()[0] >= 3, "{:?}", network.buckets());
    }
    let mut losses = Vec::new();
    for (step, &size) in BATCHES.iter().enumerate() {
        let subset = Subset::all(size);
        let plan = Plan { seed: 0, subset, order: Order::Sequential, batch: size as u32, rank };
        let positions = plan.positions(0);
        let mut pixels = Vec::new();
        for position in positions.clone() {
            let mut sample = vec![0.0; 3 * SIDE * SIDE];
            Stream::new(5, step as u32, position, Purpose::Sample).fill_normal(60.0, &mut sample);
            pixels.append(&mut sample);
        }
        let labels: Vec<u32> = positions.clone().map(|p| (p as u32 * 3 + step as u32) % CLASSES).collect();
        let key = DropoutKey { seed: 9, epoch: step as u32, first_position: positions.start };
        network.train_batch(&pixels, &labels, Some(key)).expect("a step");
        let rule = UpdateRule::paper(1e-3, size as usize, network.parameter_table().len());
        network.update(&rule).expect("an update");
        let score = network.score().expect("a score");
        let mut sums = [score.loss_sum, score.n as f64];
        network.sum_over_replicas(&mut sums).expect("a sum");
        assert_eq!(sums[1], size as f64);
        losses.push(sums[0] / sums[1]);
    }
    End {
        losses,
        parameters: network.parameters().expect("a download"),
        velocity: network.velocity().expect("a download"),
    }
}

/// What all replicas end with: the same, bit for bit.
fn replicas(net: &Net, count: usize, devices: usize) -> End {
    let among = among(count, devices);
    let ends: Vec<End> = std::thread::scope(|scope| {
        let one = |rank: usize| {
            let among = &among;
            let place = Rank { rank: rank as u32, count: count as u32 };
            scope.spawn(move || train(backend(rank, among), net, place))
        };
        let threads: Vec<_> = (0..count).map(one).collect();
        threads.into_iter().map(|thread| thread.join().expect("a replica")).collect()
    });
    for (rank, end) in ends.iter().enumerate() {
        assert!(*end == ends[0], "replica {rank} of {count} is not the first");
    }
    ends.into_iter().next().expect("the first")
}

fn assert_near(what: &str, ours: &End, theirs: &End) {
    for (a, b) in ours.losses.iter().zip(&theirs.losses) {
        assert!((a / b - 1.0).abs() < 1e-5, "{what}: {:?}, {:?}", ours.losses, theirs.losses);
    }
    for (name, ours, theirs) in
        [("parameters", &ours.parameters, &theirs.parameters), ("velocity", &ours.velocity, &theirs.velocity)]
    {
        for (i, (a, b)) in ours.iter().zip(theirs.iter()).enumerate() {
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
            let far = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
            let whole = norm(&mut b.iter().map(|&b| f64::from(b)));
            assert!(far <= 1e-3 * whole + 1e-12, "{what}: {name} {i}: {far:e} of {whole:e}");
        }
    }
}

/// One, two and four replicas, and two of two devices each, on batches of which some give a replica nothing.
#[test]
fn replicas_end_where_one_network_does() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(2);
    let net = net("original", 2, SIDE);
    let alone = replicas(&net, 1, 1);
    for (count, devices) in [(2, 1), (4, 1), (2, 2)] {
        assert_near(&format!("{count} of {devices}"), &replicas(&net, count, devices), &alone);
    }
}

/// A wait that is missing gives other values with some order of the queue.
#[test]
fn any_order_of_the_queue_gives_replicas_the_same_bits() {
    let Some((driver, _turn)) = driver() else { return };
    let net = net("paper", 1, SIDE);
    driver.seed(0);
    let first = replicas(&net, 2, 1);
    for seed in 1..9 {
        driver.seed(seed);
        assert!(replicas(&net, 2, 1) == first, "seed {seed}");
    }
}

/// Freeing page-locked memory waits for all work of the process: for the others' sums too, unless they wait for the replica
/// that frees. Between two updates of an epoch as well, when the loader is done and its last batches go.
#[test]
fn a_replica_that_frees_memory_late_is_waited_for() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(2);
    let net = net("paper", 1, SIDE);
    let begin = Instant::now();
    // Else the test would never end.
    let health: Health = Arc::new(move || {
        (begin.elapsed() > Duration::from_secs(60)).then(|| "replicas wait for each other".to_owned())
    });
    let among = Among { health, ..among(2, 1) };
    std::thread::scope(|scope| {
        for rank in 0..2 {
            let (net, among) = (&net, &among);
            scope.spawn(move || {
                let mut network = Network::new(backend(rank, among), net, 2).expect("a net");
                let (pixels, rule) =
                    (vec![1.0; 3 * SIDE * SIDE], UpdateRule::paper(1e-3, 2, network.parameter_table().len()));
                let mut slots: Vec<_> = (0..3).map(|_| network.host_memory(4096).expect("memory")).collect();
                for _ in 0..3 {
                    network.train_batch(&pixels, &[1], None).expect("a step");
                    network.update(&rule).expect("an update");
                    if rank == 1 {
                        std::thread::sleep(Duration::from_millis(200)); // the other has long gone on
                        slots.pop();
                    }
                    network.score().expect("a score");
                }
            });
        }
    });
}

/// A replica that is gone ends the others' waiting, with what is known of it: for its sums, if it was of another process,
/// else at the gate before them.
#[test]
fn a_replica_that_is_gone_ends_the_others() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(2);
    for here in [1, 2] {
        waits_no_longer(here);
    }
}

fn waits_no_longer(here: usize) {
    let net = net("paper", 1, SIDE);
    let gone = Arc::new(Mutex::new(None));
    let health: Health = {
        let gone = gone.clone();
        Arc::new(move || gone.lock().expect("a state").clone())
    };
    let among = Among { health, gate: Arc::new(Gate::new(here)), ..among(2, 1) };
    let begin = Instant::now();
    let error = std::thread::scope(|scope| {
        let (among, net) = (&among, &net);
        let survivor = scope.spawn(move || {
            let mut network = Network::new(backend(0, among), net, 2).expect("a net");
            let pixels = vec![1.0; 3 * SIDE * SIDE];
            let rule = UpdateRule::paper(1e-3, 2, network.parameter_table().len());
            let queued = network.train_batch(&pixels, &[1], None);
            assert_eq!(queued.is_ok(), here == 1, "sums are queued unless there is a gate before them");
            let step = queued.and_then(|()| network.update(&rule));
            let done = step.and_then(|()| network.score()).and_then(|_| network.parameters());
            done.expect_err("the other is gone")
        });
        let other = backend(1, among);
        std::thread::sleep(Duration::from_millis(300));
        *gone.lock().expect("a state") = Some("rank 1 ended".to_owned());
        let error = survivor.join().expect("an end");
        drop(other);
        error
    });
    let Error::Device(error) = error else { panic!("{error}") };
    assert_eq!(error.cause.downcast_ref(), Some(&LostReplica("rank 1 ended".to_owned())), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

/// A second batch before the update would be summed on top of sums.
#[test]
fn replicas_take_one_batch_an_update() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(2);
    let (net, among) = (net("paper", 1, SIDE), among(2, 1));
    std::thread::scope(|scope| {
        for rank in 0..2 {
            let (net, among) = (&net, &among);
            scope.spawn(move || {
                let backend = backend(rank, among);
                let mut network = Network::new(backend, net, 2).expect("a net");
                let pixels = vec![1.0; 3 * SIDE * SIDE];
                network.train_batch(&pixels, &[1], None).expect("a step");
                let error = network.train_batch(&pixels, &[1], None).expect_err("it is the second");
                assert!(error.to_string().contains("one batch for each update"), "{error}");
                network.gradients().expect("sums");
            });
        }
    });
}

/// NCCL allows a device once.
#[test]
fn two_replicas_on_one_device_are_refused() {
    let Some((driver, _turn)) = driver() else { return };
    driver.seed(2);
    let among = among(2, 1);
    std::thread::scope(|scope| {
        for rank in 0..2 {
            let among = Among { replica: Replica { rank, count: 2 }, ..among.clone() };
            scope.spawn(move || {
                let backend = CudaBackend::new(&[1], &cache()).expect("a device");
                let error = backend.among(&among).map(drop).expect_err("it is taken").to_string();
                assert!(error.contains("invalid usage"), "{error}");
            });
        }
    });
}
