//! The laboratory of congestion control: scenarios, whole endpoints on simulated bottlenecks, figures and pictures.
//!
//! Lowest first: [`units`] reads quantities, [`scenario`] files, `agent` is what connections do, [`run`] makes a world of a
//! scenario and measures it, [`report`] tells what many runs gave, [`plots`] and [`html`] show
//! it.

mod agent;
pub mod batch;
pub mod html;
pub mod plots;
pub mod report;
pub mod run;
pub mod scenario;
#[cfg(test)]
mod tests;
pub mod units;
