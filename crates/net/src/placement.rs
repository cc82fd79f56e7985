//! Which columns and which part of every parameter each device owns.
//!
//! Columns are logical, devices physical: device `d` of `D` owns columns `⌊d·C/D⌋ .. ⌊(d+1)·C/D⌋`. Its parameters
//! lie in one flat buffer, so that an update is one pass; each starts at a multiple of 64 values (256 bytes), and
//! the gaps stay zero.

use std::ops::Range;

use crate::error::Error;
use crate::layer::Net;
use crate::parameters::Parameter;

const ALIGNMENT: usize = 64;

/// A device's part of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterRange {
    /// Where it lies in the device's flat buffer.
    pub flat: Range<usize>,
    /// Where it lies among the parameter's own values.
    pub global: Range<usize>,
}

/// How a net's columns and parameters are spread over devices.
#[derive(Clone, Debug)]
pub struct Placement {
    columns: usize,
    devices: usize,
    parameters: Vec<Parameter>,
    ranges: Vec<Vec<ParameterRange>>,
}

impl Placement {
    /// Spreads `net` over `devices` devices.
    ///
    /// # Errors
    /// [`Error::Devices`] if there are more devices than columns or none; those of [`Net::shapes`].
    pub fn new(net: &Net, devices: usize) -> Result<Self, Error> {
        let parameters = net.parameters()?;
        if devices == 0 || devices > net.columns {
            return Err(Error::Devices { devices, columns: net.columns });
        }
        let mut placement = Placement { columns: net.columns, devices, parameters, ranges: Vec::new() };
        for device in 0..devices {
            let mut start = 0;
            let mut ranges = Vec::new();
            for parameter in &placement.parameters {
                let row = parameter.len() / parameter.rows();
                let rows = placement.share(device, parameter.rows());
                let flat = start..start + rows.len() * row;
                start = flat.end.next_multiple_of(ALIGNMENT);
                ranges.push(ParameterRange { flat, global: rows.start * row..rows.end * row });
            }
            placement.ranges.push(ranges);
        }
        Ok(placement)
    }

    /// Number of devices.
    pub fn devices(&self) -> usize {
        self.devices
    }

    /// The columns that `device` owns.
    pub fn columns(&self, device: usize) -> Range<usize> {
        device * self.columns / self.devices..(device + 1) * self.columns / self.devices
    }

    /// The part of `units` maps or units that `device` owns.
    pub fn share(&self, device: usize, units: usize) -> Range<usize> {
        let columns = self.columns(device);
        columns.start * units / self.columns..columns.end * units / self.columns
    }

    /// The parameters, in global order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The device's part of each parameter, in global order.
    pub fn ranges(&self, device: usize) -> &[ParameterRange] {
        &self.ranges[device]
    }

    /// Length of the device's flat buffer.
    pub fn flat_len(&self, device: usize) -> usize {
        self.ranges[device].last().map_or(0, |range| range.flat.end.next_multiple_of(ALIGNMENT))
    }
}
