//! The laboratory of congestion control: scenarios, whole endpoints on simulated bottlenecks, figures and pictures.
//!
//! Lowest first: [`units`] reads quantities, [`node`] is what the laboratory knows of any endpoint, `flow` and [`scenario`] read
//! files, [`catalog`] has those that come with it. `agent` is what
//! connections of ours do, [`packets`] logs what they send, [`weft`] makes endpoints of them, `cross` of netsim's models. `link` and
//! `world` make a world of a scenario, `figures` measures it, [`run`] lets it run, [`batch`] runs many, [`report`] tells what they gave, [`plots`] and [`html`] show it.
//! `real` does on devices of the system what [`run`] does in virtual time.

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
