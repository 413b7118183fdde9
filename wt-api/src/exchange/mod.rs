//! HTTP messages as the application sees them: the content that arrives, the content that it sends, and the
//! service that answers.
//!
//! Owns the types of `http` and `http_body` around the boxes of exchanges. It must never know connections nor
//! the driver.

mod body;
mod incoming;
mod interim;
mod service;
#[cfg(feature = "tower")]
mod tower;
mod write;

#[cfg(feature = "tower")]
pub(crate) use self::tower::Tower;
pub use body::Body;
pub use incoming::IncomingBody;
pub use interim::{Informational, OnInformational, on_informational};
pub(crate) use service::{ArcService, erase};
pub use service::{HttpService, Response};
pub(crate) use write::{Contained, Problem, write_content};
