//! The application's interface to a server.

mod build;
mod builder;
mod handle;
mod keys;
mod metrics;
mod request;
mod ways;

pub use builder::ServerBuilder;
pub use handle::Server;
pub use keys::ServerKeys;
pub use metrics::{Metric, MetricKind};
pub use request::{AcceptOptions, Request};
