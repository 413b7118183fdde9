//! quinn-proto and noq-proto in the laboratory of congestion control (`benches::lab`), with the same links,
//! scenario files, figures and tables.
//!
//! `foreign.rs` drives a library with quinn's interface in virtual time; `quinn.rs` and `noq.rs` have the
//! differences. They only send bytes: scenarios with frames or datagrams are refused ([`refusal`]).

mod foreign;
pub mod noq;
pub mod quinn;
mod tls;

use benches::lab::{flow::Kind, node::Stack, scenario::Scenario};

/// A library's stack with one of its controllers.
pub type Peer = Box<dyn Stack + Sync>;

/// All libraries with all their controllers.
#[must_use]
pub fn all() -> Vec<Peer> {
    let quinn = quinn::Controller::ALL.map(|controller| Box::new(quinn::Quinn::new(controller)) as Peer);
    let noq = noq::Controller::ALL.map(|controller| Box::new(noq::Noq::new(controller)) as Peer);
    quinn.into_iter().chain(noq).collect()
}

/// Why the libraries cannot run a scenario, if they cannot.
#[must_use]
pub fn refusal(scenario: &Scenario) -> Option<String> {
    let is_plain = |kind| matches!(kind, Kind::Bulk | Kind::Transfer);
    let refused = scenario.flows.iter().find(|flow| {
        flow.controller.is_none()
            && !flow.kind.is_modelled()
            && (!is_plain(flow.kind) || flow.audio.is_some())
    })?;
    let kind = refused.kind.name();
    Some(format!(
        "{}: a flow of kind {kind:?} has frames or datagrams, which only our endpoints send here",
        scenario.id
    ))
}
