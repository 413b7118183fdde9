//! Modelled TCP: flows that share a bottleneck with other transports, without a TCP stack.
//!
//! The model has what decides how a flow treats others: a congestion window by RFC 5681 (Reno) or RFC 9438
//! (CUBIC, with the delay part of HyStart), ACK clocking, selective acknowledgments with the loss detection
//! of RFC 6675 in the order of sending, proportional rate reduction (RFC 9937), a retransmission timer
//! (RFC 6298, at least 200 ms beyond the round trip), and delayed acknowledgments. It has no pacing, no tail
//! loss probe, no ECN and no undo, and the receiver's window is never full. A segment is an IP packet of
//! 1,500 bytes on a link whose overhead is that of IP and UDP, 28 bytes.
//!
//! Lowest first: `window` is congestion control, `demand` the data to send, `wire` the encoding of segments,
//! `receiver` and `sender` the ends.

mod demand;
mod receiver;
mod segment;
mod sender;
#[cfg(test)]
mod tests;
mod window;
mod wire;

pub use demand::Demand;
pub use receiver::TcpReceiver;
pub use segment::SEGMENT;
pub use sender::{TcpConfig, TcpSender};
pub use window::Flavour;
