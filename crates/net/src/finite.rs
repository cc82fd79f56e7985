//! Where a pass went wrong: the first tensor, from the input on, that holds an infinity or a NaN.

use crate::backend::Backend;
use crate::error::Error;
use crate::network::Network;

impl<B: Backend> Network<B> {
    /// The first place of the last forward pass with a value that is not finite, in words; none if all are finite.
    /// For a run that diverged: it reads back every activation.
    ///
    /// # Errors
    /// A device failed.
    pub fn first_not_finite(&mut self) -> Result<Option<String>, Error> {
        let finite = |values: &[f32]| values.iter().all(|x| x.is_finite());
        let mut pixels = vec![0.0; self.n * self.net.input_shape().len()];
        self.backend.download(0, &self.tensors[0][0], 0, &mut pixels)?;
        if !finite(&pixels) {
            return Ok(Some("the input".to_owned()));
        }
        for row in 0..self.net.layers.len() {
            if !finite(&self.activation(row)?) {
                return Ok(Some(format!("the output of {}", self.place(row))));
            }
        }
        Ok(None)
    }

    /// A row of the table by the layer with parameters it belongs to.
    fn place(&self, row: usize) -> String {
        let label = self.net.layers[row].label();
        let owner = self.net.layers[..=row].iter().rev().find_map(|l| l.name()).unwrap_or_default();
        if owner == label { label.to_owned() } else { format!("{label} behind {owner}") }
    }
}
