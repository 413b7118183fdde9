//! `BBRv3` on a small model of one bottleneck, in virtual time: the test cases of the draft's appendix under
//! their names, and further ones.

mod appendix;
mod link;
mod others;

use std::time::Duration;

use link::{App, Net};

use super::{model::UNBOUNDED, *};
