//! Modelled TCP: flows that other transports share a bottleneck with, without a TCP stack.
//!
//! A model has what decides how a flow treats others: a window that opens and closes as RFC 5681 (Reno) or RFC 9438 (CUBIC, with
//! the delay part of HyStart) says, the clock of acknowledgments, selective acknowledgments with the loss detection
//! of RFC 6675 in the order of sending, a proportional reduction after a loss (RFC 9937), a retransmission timer (RFC 6298, at least 200 ms beyond the round trip), and delayed acknowledgments. It has no
//! pacing, no tail loss probe, no ECN, no undo, and the receiver's window is never full. A segment takes 1,500 bytes as an IP packet
//! on a link whose overhead is that of IP and UDP, 28 bytes.
//!
//! Lowest first: `window` is congestion control, `demand` what there is to send, `wire` what travels, `receiver` and `sender` the ends.

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
