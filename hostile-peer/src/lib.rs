//! A QUIC peer with real TLS and real keys that breaks rules on purpose.
//!
//! Lowest first: [`wire`] writes frames, honest or not. [`keys`] and [`packet`] protect any packet with the
//! keys of any level and generation. [`peer`] takes part in a handshake as far as a test wants, and decrypts
//! everything that comes back. [`world`] puts it in front of a real endpoint, in memory and with its own
//! clock. At the end of every test it checks that nothing is left of the connection.
//!
//! [`heap`] puts the peer in front of the whole stack with sessions, and checks after each step what the
//! stack holds.
//!
//! The tests in `tests/` are the rows of the conformance table, named by their IDs. [`ROWS`] has all rows,
//! and [`PENDING`] those whose feature does not exist yet. A test compares both with the existing tests.
#![forbid(unsafe_code)]

mod app;
pub mod cases;
mod check;
pub mod ground;
pub mod heap;
pub mod keys;
mod meter;
pub mod packet;
pub mod peer;
mod rows;
pub mod steps;
pub mod tamper;
pub mod udp;
pub mod wire;
pub mod world;

pub use app::App;
pub use packet::Packet;
pub use peer::{Close, Peer, Seen};
pub use rows::{PENDING, Pending, ROWS};
pub use world::{Options, Stage, World};

/// Makes a test for each role under test: `name::server` and `name::client`.
#[macro_export]
macro_rules! both {
    ($($(#[$doc:meta])* fn $name:ident($w:ident: $stage:ident) $body:block)*) => {
        $($(#[$doc])* mod $name {
            use super::*;
            fn run(mut world: $crate::World) {
                let $w = &mut world;
                $body
            }
            #[test]
            fn server() {
                run($crate::World::at(Side::Server, $crate::Stage::$stage));
            }
            #[test]
            fn client() {
                run($crate::World::at(Side::Client, $crate::Stage::$stage));
            }
        })*
    };
}

/// Makes a test for each role under test, for rows with many cases. Each case makes its own worlds.
#[macro_export]
macro_rules! both_sides {
    ($($(#[$doc:meta])* fn $name:ident($side:ident) $body:block)*) => {
        $($(#[$doc])* mod $name {
            use super::*;
            fn run($side: Side) $body
            #[test]
            fn server() {
                run(Side::Server);
            }
            #[test]
            fn client() {
                run(Side::Client);
            }
        })*
    };
}
