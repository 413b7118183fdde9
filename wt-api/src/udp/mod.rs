//! UDP as the tools of this workspace share it with the driver: a socket that does without what the system refuses, and
//! trains of datagrams of which nothing is lost when a send is refused; and what `localhost` is. Not part of the API: it may change at any time.
//!
//! Lowest first: `refusal` names what the system answers, `reports` what the network does, `trains` decides what to do about it, `socket` asks the
//! system.

mod localhost;
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
