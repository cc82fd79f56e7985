//! Parameters of one net put into another: pretrain, add or replace layers, fine-tune.
//!
//! Layers are matched by name and by the shapes of weight and bias; a layer is taken whole or not at all, and what
//! happened to each is said.

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::layer::Net;
use crate::parameters::Parameters;

/// What became of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The layer's name.
    pub layer: String,
    /// Why its parameters were not taken; none if they were.
    pub kept: Option<String>,
}

impl Parameters {
    /// Replaces the parameters of every layer that `checkpoint` has too, in the same shape. Gives a row for each layer
    /// with parameters of `net`, whose values these are.
    ///
    /// # Errors
    /// The values do not fit `net`, or the checkpoint's net means other things by the same weights: another dropout
    /// convention, or inputs in other units.
    pub fn adopt(&mut self, net: &Net, checkpoint: &Checkpoint) -> Result<Vec<Adoption>, Error> {
        self.check(net)?;
        let other = &checkpoint.net;
        let fail = |problem: String| Err(Error::Net { preset: net.preset.clone(), problem });
        if other.dropout != net.dropout {
            return fail(format!(
                "its dropout is {:?}, the checkpoint's {:?}: the same weights are another function",
                net.dropout, other.dropout
            ));
        }
        if other.unit != net.unit {
            return fail(format!(
                "its inputs are in units of {} grey levels, the checkpoint's of {}",
                net.unit, other.unit
            ));
        }
        let theirs = other.parameters()?;
        let mut adoptions = Vec::new();
        for (pair, own) in net.parameters()?.chunks_exact(2).enumerate() {
            let layer = own[0].name.trim_end_matches(".weight").to_owned();
            let found = theirs.iter().position(|p| p.name == own[0].name);
            let kept = match found {
                None => Some(format!("{} has none", other.preset)),
                // The bias is as long as the weight has rows.
                Some(at) if theirs[at].shape != own[0].shape => {
                    Some(format!("its weights are {:?}, here {:?}", theirs[at].shape, own[0].shape))
                }
                Some(at) => {
                    for i in 0..2 {
                        self.get_mut(2 * pair + i).copy_from_slice(checkpoint.parameters.get(at + i));
                    }
                    None
                }
            };
            adoptions.push(Adoption { layer, kept });
        }
        Ok(adoptions)
    }
}
