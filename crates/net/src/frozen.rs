//! Layers that stand still: no gradient is computed that no update would use.
//!
//! A parameter whose rate is 0 needs no gradient, and where every layer up to some height stands still the backward pass
//! ends above it. The 2012 code ran conv1 so for a fifth of its training. What moves gets the bits that it would have got
//! anyway. The gradient buffers of frozen parameters hold zeros, so that sums over replicas and whoever reads them find
//! nothing there.

use crate::backend::Backend;
use crate::error::Error;
use crate::network::Network;
use crate::program::Step;
use crate::update::UpdateRule;

impl<B: Backend> Network<B> {
    /// Leaves out, from the next training batch on, the gradients of parameters that `rule` freezes; [`Network::update`]
    /// refuses a rule that moves one of them.
    ///
    /// # Errors
    /// The rule does not fit the net, gradients wait for an update, or a device failed.
    pub fn freeze_by(&mut self, rule: &UpdateRule) -> Result<(), Error> {
        let frozen = rule.frozen(self.placement.parameters())?;
        if frozen == self.frozen {
            return Ok(());
        }
        if self.accumulated {
            let problem = "layers can't be frozen or freed between a batch and its update".to_owned();
            return Err(Error::Rule { problem });
        }
        let newly = (0..frozen.len()).filter(|&i| frozen[i] && !self.frozen[i]);
        for number in newly {
            for device in 0..self.placement.devices() {
                let range = self.placement.ranges(device)[number].flat.clone();
                self.backend.upload(
                    device,
                    &vec![0.0; range.len()],
                    &mut self.gradient[device],
                    range.start,
                )?;
            }
        }
        self.frozen = frozen;
        Ok(())
    }

    /// Every parameter that `rule` moves has a gradient.
    pub(crate) fn check_gradients(&self, rule: &UpdateRule) -> Result<(), Error> {
        let still = rule.frozen(self.placement.parameters())?;
        match (0..still.len()).find(|&i| self.frozen[i] && !still[i]) {
            Some(i) => {
                let name = &self.placement.parameters()[i].name;
                Err(Error::Rule {
                    problem: format!("{name} moves, but was frozen when the batch was trained on"),
                })
            }
            None => Ok(()),
        }
    }

    /// The lowest step whose parameters move; the backward pass goes no further down. One past the last if none does.
    pub(crate) fn lowest_moving(&self) -> usize {
        let moves = |step: &Step| step.weight().is_some_and(|weight| !self.frozen[weight]);
        self.program.steps.iter().position(moves).unwrap_or(self.program.steps.len())
    }
}
