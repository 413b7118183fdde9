//! A client of the application's own: its sockets, its resolver, its defaults.

mod builder;
mod handle;

pub use builder::ClientBuilder;
pub use handle::Client;
