//! The harness of tests with other implementations: certificates, processes, a page, two browsers.
//!
//! Every wait is bounded, and only processes that a test started are ended, by their handles. The tests are
//! `#[ignore]`d, since not every machine has the programs; `cargo xtask test` finds or installs them and runs the tests.
#![forbid(unsafe_code)]

pub mod aioquic;
pub mod browser;
pub mod certificate;
pub mod chromium;
pub mod firefox;
mod folders;
pub mod marionette;
pub mod page;
mod place;
pub mod process;
mod programs;
pub mod scenarios;
mod wait;
pub mod weft;

pub use folders::{scratch, target};
pub use programs::program;
pub use wait::{LIMIT, within};
