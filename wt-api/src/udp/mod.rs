//! UDP for the driver and for the tools of this workspace: a socket that does without the features that the
//! system refuses, trains of datagrams without loss when a send is refused, and the addresses of `localhost`.
//! This module is not part of the API and may change at any time.
//!
//! Lowest first: `refusal` classifies the system's errors, and `reports` those of the network. `trains`
//! decides how to react. `polled` has the runtime watch the socket, and `socket` calls the system.

mod localhost;
mod polled;
mod refusal;
mod reports;
mod socket;
#[cfg(all(test, target_os = "linux"))]
mod tests_socket;
#[cfg(all(test, target_os = "linux"))]
mod tests_trains;
mod trains;

pub use localhost::loopback;
pub(crate) use refusal::is_answer_unreachable;
pub use reports::NetworkReport;
pub use socket::{SocketOptions, UdpSocket};
pub use trains::{Progress, SendTrouble, Train, TrainSocket, Trains};
