//! The laboratory of congestion control: scenarios, whole endpoints on simulated bottlenecks, figures and
//! pictures.
//!
//! Lowest first: [`units`] reads quantities, [`node`] is the interface of endpoints, `flow` and [`scenario`]
//! read scenario files, [`catalog`] has those that come with the laboratory. `agent` is the application of
//! our connections, [`packets`] logs what they send, [`weft`] makes endpoints of them, and `cross` makes
//! endpoints of netsim's models. `link` and `world` build a scenario, `figures` measures it, [`run`] runs it,
//! [`batch`] runs many, [`report`] summarizes the results, [`plots`] and [`html`] show them. `real` runs
//! scenarios on devices of the system, as [`run`] does in virtual time.

mod agent;
pub mod batch;
pub mod catalog;
mod cross;
mod figures;
pub mod flow;
pub mod html;
mod link;
pub mod node;
pub mod packets;
pub mod plots;
#[cfg(target_os = "linux")]
pub mod real;
pub mod report;
pub mod run;
pub mod scenario;
#[cfg(test)]
mod tests;
pub mod units;
pub mod weft;
mod world;
