//! What replicas of a run have to agree on: where they stand, with which parameters, and what they scored together.
//!
//! All of it travels as sums of float64 values, exactly: a rank puts what it tells into its own place and adds zeros to
//! the others', counts stay below 2⁵³. With one replica nothing travels.

use alexnet_load::Rank;
use alexnet_net::{Backend, BatchScore, Network, Parameters, Replica};

use crate::error::Error;
use crate::state::State;

/// A replica as the loader's rank.
pub(crate) fn rank(replica: Replica) -> Rank {
    Rank { rank: replica.rank as u32, count: replica.count as u32 }
}

/// Every rank's values, rank 0's first.
fn gather<B: Backend>(network: &mut Network<B>, own: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
    let Replica { rank, count } = network.replica();
    let mut all = vec![0.0; count * own.len()];
    all[rank * own.len()..][..own.len()].copy_from_slice(own);
    network.sum_over_replicas(&mut all)?;
    Ok(all.chunks(own.len()).map(<[f64]>::to_vec).collect())
}

/// Refuses to go on unless all replicas stand at the same update, with the same parameters and velocities, bit for bit.
pub(crate) fn agree<B: Backend>(network: &mut Network<B>, state: &State) -> Result<(), Error> {
    if network.replica().count == 1 {
        return Ok(());
    }
    let all = gather(network, &[state.step as f64, f64::from(state.epoch), state.batch as f64])?;
    if let Some(rank) = all.iter().position(|own| *own != all[0]) {
        return Err(Error::Apart(format!(
            "rank {rank} would go on from update {}, rank 0 from update {}: they do not find the same checkpoint",
            all[rank][0], all[0][0]
        )));
    }
    let names: Vec<String> = network.parameter_table().iter().map(|p| p.name.clone()).collect();
    let sums = |p: Parameters| p.iter().map(|values| f64::from(checksum(values))).collect::<Vec<_>>();
    let mut own = sums(network.parameters()?);
    own.extend(sums(network.velocity()?));
    let all = gather(network, &own)?;
    for (rank, own) in all.iter().enumerate() {
        if let Some(i) = (0..own.len()).find(|&i| own[i] != all[0][i]) {
            let what = if i < names.len() { "values" } else { "velocity" };
            let (name, step) = (&names[i % names.len()], state.step);
            return Err(Error::Apart(format!(
                "after {step} updates the {what} of {name} at rank {rank} are not those at rank 0"
            )));
        }
    }
    Ok(())
}

fn checksum(values: &[f32]) -> u32 {
    crc32c::crc32c(bytemuck::cast_slice(values))
}

/// What each batch that was not read yet scored over all replicas, and whether one of them was asked to stop.
pub(crate) fn all_scores<B: Backend>(
    network: &mut Network<B>,
    asked: bool,
) -> Result<(Vec<BatchScore>, bool), Error> {
    let mut scores = network.scores()?;
    let mut values: Vec<f64> = scores.iter().flat_map(of).collect();
    values.push(f64::from(u8::from(asked)));
    network.sum_over_replicas(&mut values)?;
    for (score, values) in scores.iter_mut().zip(values.chunks_exact(4)) {
        *score = score_of(values);
    }
    Ok((scores, values.last().is_some_and(|&all| all > 0.0)))
}

/// A score over all replicas.
pub(crate) fn summed<B: Backend>(network: &mut Network<B>, score: BatchScore) -> Result<BatchScore, Error> {
    let mut values = of(&score);
    network.sum_over_replicas(&mut values)?;
    Ok(score_of(&values))
}

fn of(score: &BatchScore) -> [f64; 4] {
    [score.loss_sum, score.top1 as f64, score.top5 as f64, score.n as f64]
}

fn score_of(values: &[f64]) -> BatchScore {
    BatchScore { loss_sum: values[0], top1: values[1] as u64, top5: values[2] as u64, n: values[3] as u64 }
}
