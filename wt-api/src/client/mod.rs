//! An application's own client, with its sockets, resolver and defaults.

mod builder;
mod handle;

pub use builder::ClientBuilder;
pub use handle::Client;
