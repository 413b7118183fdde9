//! Buffers that know bytes and offsets but nothing of connections: ranges of numbers, reassembly of received
//! data, retention of sent data. The lowest layer above `base`.

mod assembler;
mod page;
mod range_set;
mod send_buffer;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_memory;

pub(crate) use assembler::{Assembler, INSERT_RESERVE, cost};
pub(crate) use range_set::RangeSet;
pub(crate) use send_buffer::{Held, SendBuffer};
