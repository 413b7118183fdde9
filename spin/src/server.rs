//! The server: it accepts requests, ends, and restarts.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use netsim::Random;
use tokio::sync::watch;
use wt_api::{Admission, CloseInfo, CongestionControl, Connection, ConnectionAttempt, Request, Server};

use crate::{
    constructors::{accept_options, builder, kind},
    course,
    end::End,
    pair::Role,
    place::Place,
    plan::ServerEnd,
    spin::{Address, Spin, fields},
};

/// How many tasks accept.
const ACCEPTORS: usize = 2;

/// Serves until the time is up, or as the plan says.
pub(crate) async fn serve(spin: Arc<Spin>, place: Place) {
    let mut random = spin.random();
    let mut ends = spin.plan.server_end;
    loop {
        let Some(server) = build(&spin, &place, &mut random).await else { return };
        let server = Arc::new(server);
        let dropped = watch::Sender::new(false);
        for _ in 0..ACCEPTORS {
            let (shared, spin_, place_) = (Arc::clone(&server), Arc::clone(&spin), place.clone());
            task(&spin, &place, accepts(spin_, place_, shared, dropped.subscribe()));
        }
        look(&spin, &server);
        if ends == ServerEnd::Stays {
            spin.until_stopped().await;
            shut_down(&spin, &place, &server, spin.plan.patience()).await;
            return;
        }
        tokio::select! { () = place.sleep(spin.plan.when) => {}, () = spin.until_stopped() => {} }
        match std::mem::replace(&mut ends, ServerEnd::Stays) {
            ServerEnd::ShutsDown(deadline, again) => {
                if random.chance(0.3) {
                    // The call is dropped and made again.
                    let given_up = server.shutdown(deadline);
                    let _ = place.within(Duration::from_millis(50), given_up).await;
                }
                if random.chance(0.3) {
                    spin.book.count("Server::close_sessions");
                    server.close_sessions(CloseInfo::new(random.next_u64() as u32, "the server ends"));
                }
                shut_down(&spin, &place, &server, deadline).await;
                if !again {
                    return;
                }
            }
            // The last acceptor drops the server.
            ServerEnd::Dropped | ServerEnd::Stays => {
                dropped.send_replace(true);
                return;
            }
        }
    }
}

/// Checks a client before its handshake, and asks every other one to validate its address.
fn admit(spin: &Spin, attempt: &ConnectionAttempt<'_>) -> Admission {
    let names = [
        "ConnectionAttempt::is_validated",
        "ConnectionAttempt::load",
        "ConnectionAttempt::local_address",
        "ConnectionAttempt::remote_address",
        "ConnectionAttempt::server_name",
    ];
    names.into_iter().for_each(|name| spin.book.count(name));
    let named = attempt.server_name().is_none_or(|name| !name.is_empty());
    let load = attempt.load();
    if !named || attempt.local_address().is_none() || load.memory_used > load.memory_limit {
        spin.book.fail(format!("a client is not what it was: {attempt:?}"));
    }
    match attempt.remote_address().port() % 2 {
        0 if !attempt.is_validated() => Admission::Retry,
        _ => Admission::Accept,
    }
}

fn task(spin: &Arc<Spin>, place: &Place, work: impl Future<Output = ()> + Send + 'static) {
    let running = spin.book.running();
    place.spawn(async move {
        work.await;
        drop(running);
    });
}

/// A server at the address of the one before.
async fn build(spin: &Arc<Spin>, place: &Place, random: &mut Random) -> Option<Server> {
    for _ in 0..50 {
        let builder = builder(spin, random);
        spin.book.count("ServerBuilder::admission");
        let watching = Arc::clone(spin);
        let builder = builder.admission(move |attempt| admit(&watching, attempt));
        spin.book.count("ServerBuilder::listen");
        let address = if place.is_virtual() { ([0, 0, 0, 0], 443) } else { ([127, 0, 0, 1], 0) };
        let builder = builder.listen(address.into());
        spin.book.count("Server::builder");
        match builder.build() {
            Ok(server) => {
                spin.book.count("Server::local_addresses");
                let base = match server.local_addresses().first() {
                    Some(address) if !place.is_virtual() => format!("https://{address}"),
                    _ => "https://server".to_owned(),
                };
                spin.serve_at(Address { base, hash: spin.identity.certificate_hash() });
                return Some(server);
            }
            // The one before may still be closing.
            Err(_) => place.sleep(Duration::from_millis(100)).await,
        }
    }
    spin.book.fail("a server cannot be built where another one was");
    None
}

fn look(spin: &Spin, server: &Server) {
    spin.book.count("Server::certificate_hash");
    spin.book.count("Server::certificate_hashes");
    spin.book.count("Server::set_identity");
    spin.book.count("Server::set_identity_for");
    let again = server.set_identity(spin.identity.clone());
    let named = server.set_identity_for("third.example", &spin.identity);
    let hash = server.certificate_hash();
    if again.is_err()
        || named.is_err()
        || hash.is_none_or(|hash| !server.certificate_hashes().contains(&hash))
    {
        spin.book.fail("a server does not know its own certificate");
    }
}

async fn shut_down(spin: &Spin, place: &Place, server: &Server, deadline: Duration) {
    let _ticket = spin.book.enter("Server::shutdown", None, place.now());
    let limit = deadline + spin.plan.patience();
    if place.within(limit, server.shutdown(deadline)).await.is_none() {
        spin.book.fail(format!("shutdown({deadline:?}) takes longer than {limit:?}"));
    }
}

/// Accepts until the server is shut down, or its handle is to be dropped.
async fn accepts(spin: Arc<Spin>, place: Place, server: Arc<Server>, mut dropped: watch::Receiver<bool>) {
    let mut random = spin.random();
    while !*dropped.borrow() {
        let _ticket = spin.book.enter("Server::accept", None, place.now());
        if random.chance(0.2) {
            survey(&spin, &place, &server).await;
        }
        let request = if random.chance(0.5) {
            match place.within(Duration::from_millis(1 + random.below(500)), server.accept()).await {
                None => continue,
                Some(request) => request,
            }
        } else {
            tokio::select! {
                biased;
                request = server.accept() => request,
                // Only if a value was sent: if the sender is gone, the server continues.
                Ok(_) = dropped.wait_for(|dropped| *dropped) => return,
            }
        };
        let Some(request) = request else { return };
        let (spin_, place_) = (Arc::clone(&spin), place.clone());
        task(&spin, &place, answer(spin_, place_, request));
    }
}

async fn answer(spin: Arc<Spin>, place: Place, request: Request) {
    let mut random = spin.random();
    look_at(&spin, &request);
    watch(&spin, &place, request.connection(), kind(&mut random)).await;
    let pair = spin.pair_of(request.path());
    if random.chance(0.3) {
        place.sleep(Duration::from_millis(random.below(300))).await;
    }
    let did = |name| spin.book.count(name);
    if !random.chance(spin.plan.refused)
        && let Some(pair) = pair
    {
        did("Request::accept");
        if let Ok(session) = request.accept(accept_options(&spin, &mut random)).await {
            course::run(End::new(&spin, pair, Role::Server, place), session).await;
        }
        return;
    }
    match random.below(6) {
        0 => {
            did("Request::reject");
            request.reject(StatusCode::FORBIDDEN).await;
        }
        1 => {
            did("Request::reject_with");
            request.reject_with(StatusCode::SERVICE_UNAVAILABLE, fields(&mut random)).await;
        }
        2 => {
            did("Request::reject_unsupported");
            request.reject_unsupported(&[Method::GET]).await;
        }
        3 => {
            did("Request::too_many_requests");
            request.too_many_requests().await;
        }
        4 => {
            did("Request::refuse");
            request.refuse().await;
        }
        _ => drop(request),
    }
}

/// Checks the functions of a connection, which may be over.
async fn watch(spin: &Spin, place: &Place, connection: &Connection, wanted: CongestionControl) {
    let names = [
        "Connection::id",
        "Connection::remote_address",
        "Connection::local_address",
        "Connection::parameters",
        "Connection::negotiated_draft",
        "Connection::close_error",
        "Connection::congestion_control",
        "Connection::set_congestion_control",
    ];
    names.into_iter().for_each(|name| spin.book.count(name));
    let known = connection.id() > 0
        && connection.local_address().is_some()
        && connection.parameters().is_some_and(|agreed| agreed.alpn == "h3")
        && connection.negotiated_draft().is_some();
    let over = connection.close_error().is_some();
    connection.set_congestion_control(wanted);
    let ticket = spin.book.enter("Connection::stats", None, place.now());
    let counts = connection.stats().await;
    drop(ticket);
    if !known || (counts.is_err() && !over && connection.close_error().is_none()) {
        spin.book.fail(format!("a connection does not know itself: {connection:?}"));
    }
}

/// Checks the server's statistics.
async fn survey(spin: &Spin, place: &Place, server: &Server) {
    let ticket = spin.book.enter("Server::connections", None, place.now());
    let connections = server.connections().await;
    drop(ticket);
    let ticket = spin.book.enter("Server::stats", None, place.now());
    let stats = server.stats().await;
    drop(ticket);
    spin.book.count("ServerStats::metrics");
    spin.book.count("ServerStats::to_prometheus");
    let text = stats.to_prometheus();
    if stats.metrics().iter().any(|metric| !text.contains(metric.name))
        || connections.len() as u64 > stats.connections_total
    {
        spin.book.fail(format!("a server does not know what it did: {stats:?}"));
    }
}

fn look_at(spin: &Spin, request: &Request) {
    let names = [
        "Request::authority",
        "Request::path",
        "Request::origin",
        "Request::headers",
        "Request::protocols",
        "Request::dialect",
        "Request::dialect_reason",
        "Request::remote_address",
        "Request::connection",
        "Request::local_address",
        "Request::query",
        "Request::client_certificates",
    ];
    names.into_iter().for_each(|name| spin.book.count(name));
    if request.authority().is_empty()
        || request.dialect().is_empty()
        || request.dialect_reason().is_empty()
        || request.remote_address().port() == 0
        || request.connection().remote_address() != request.remote_address()
        || request.local_address().is_none()
        || request.query().is_some()
        || !request.client_certificates().is_empty()
        || request.origin() != Some("https://origin.example")
        || request.headers().len() > 20
        || request.protocols().len() > 2
    {
        spin.book.fail(format!("a request is not what was asked: {request:?}"));
    }
}
