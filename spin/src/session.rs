//! Calls the functions of a session, and starts the tasks that wait for its events.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use futures_core::Stream;
use wt_api::{BidirectionalStream, ReceiveStream, WebTransport, wait_idle};

use crate::{
    actor::Actor,
    ask::ask,
    end::End,
    openers,
    pair::{Phase, Role},
    reader,
};

/// Starts the tasks that every session has from the beginning.
pub(crate) fn start(end: &Arc<End>, session: &WebTransport) {
    let shared = session.clone();
    end.start(|end| waits(end, shared));
    let shared = session.clone();
    end.start(|end| asks(end, shared));
    let shared = session.clone();
    end.start(|end| takes_bidi(end, shared));
    let shared = session.clone();
    end.start(|end| takes_uni(end, shared));
}

/// Waits for all events of a session, until its end.
async fn waits(end: Arc<End>, session: WebTransport) {
    let mut actor = Actor::new(&end, Phase::Leaving);
    let _ = actor.wait("WebTransport::ready", session.ready()).await;
    let _ = actor.wait("WebTransport::draining", session.draining()).await;
    let mut sizes = session.datagrams().watch_max_datagram_size();
    actor.did("Datagrams::watch_max_datagram_size");
    while let Some(Some(size)) = actor.wait("MaxDatagramSize::changed", sizes.changed()).await {
        actor.did("MaxDatagramSize::current");
        if sizes.current() != size {
            actor.check(Err(format!("a size of {size} was told, {} is the current one", sizes.current())));
        }
    }
    let next = poll_fn(|cx| Pin::new(&mut sizes).poll_next(cx));
    let _ = actor.wait("MaxDatagramSize as Stream", next).await;
    if let Some(closed) = actor.wait("WebTransport::closed", session.closed()).await {
        end.spin.book.closed(end.number, end.place.now());
        actor.did("WebTransport::close_outcome");
        if closed.is_err() && session.close_outcome().is_some() {
            actor.check(Err("a session that failed has an outcome of its close".to_owned()));
        }
        if let Err(error) = closed {
            ask(&actor, &error);
        }
    }
}

/// Calls various functions.
async fn asks(end: Arc<End>, session: WebTransport) {
    let mut actor = Actor::new(&end, Phase::Leaving);
    while !actor.leaves() && !end.spin.stopped() {
        ask_once(&mut actor, &session).await;
        actor.pause().await;
    }
}

async fn ask_once(actor: &mut Actor, session: &WebTransport) {
    let shared = session.clone();
    match actor.random.below(16) {
        0 => drop(actor.drive_long("WebTransport::closed", session.closed()).await),
        1 => drop(actor.drive_long("WebTransport::draining", session.draining()).await),
        2 => drop(actor.drive_moving("WebTransport::ready", async move { shared.ready().await }).await),
        3 | 4 => {
            drop(
                actor.drive_moving("WebTransport::get_stats", async move { shared.get_stats().await }).await,
            );
        }
        5 => export(actor, session).await,
        6 => group(actor, session).await,
        7 if actor.random.chance(0.1) => {
            actor.did("WebTransport::drain");
            session.drain();
        }
        8 => anticipate(actor, session),
        // This task may itself be one that is waited for.
        9 => drop(actor.drive_long("wait_idle", wait_idle()).await),
        10 => look(actor, session),
        // The last calls on a session that is closed early.
        11 if actor.random.chance(0.05) && actor.end.pair.pooled => {
            actor.did("WebTransport::close");
            session.close(wt_api::CloseInfo::default());
        }
        _ => openers::try_one(actor, session).await,
    }
}

async fn export(actor: &mut Actor, session: &WebTransport) {
    let label = vec![b'l'; actor.random.below(260) as usize];
    let mut out = vec![0; actor.random.below(100) as usize];
    let work = session.export_keying_material(&label, b"context", &mut out);
    let exported = actor.drive("WebTransport::export_keying_material", work).await;
    if matches!(exported, Some(Ok(()))) && (label.len() > 255 || out.is_empty()) {
        actor.check(Err("keying material was exported against the limits".to_owned()));
    }
}

async fn group(actor: &mut Actor, session: &WebTransport) {
    actor.did("WebTransport::create_send_group");
    let Ok(group) = session.create_send_group() else { return };
    let shared = group.clone();
    let stats = actor.drive_moving("SendGroup::get_stats", async move { shared.get_stats().await }).await;
    if let Some(stats) = stats
        && stats.bytes_written > 0
    {
        actor.check(Err(format!("a group without streams has counts: {stats:?}")));
    }
}

/// Small numbers, so that streams must wait.
fn anticipate(actor: &mut Actor, session: &WebTransport) {
    let streams = [None, Some(actor.random.below(8) as u16)][actor.random.below(2) as usize];
    if actor.random.chance(0.5) {
        actor.did("WebTransport::set_anticipated_concurrent_incoming_bidirectional_streams");
        session.set_anticipated_concurrent_incoming_bidirectional_streams(streams);
    } else {
        actor.did("WebTransport::set_anticipated_concurrent_incoming_unidirectional_streams");
        session.set_anticipated_concurrent_incoming_unidirectional_streams(streams);
    }
}

fn look(actor: &Actor, session: &WebTransport) {
    actor.did("WebTransport::anticipated_concurrent_incoming_bidirectional_streams");
    actor.did("WebTransport::anticipated_concurrent_incoming_unidirectional_streams");
    let _ = session.anticipated_concurrent_incoming_bidirectional_streams();
    let _ = session.anticipated_concurrent_incoming_unidirectional_streams();
    actor.did("WebTransport::congestion_control");
    actor.did("WebTransport::reliability");
    actor.did("WebTransport::negotiated_draft");
    actor.did("WebTransport::protocol");
    actor.did("WebTransport::response_headers");
    actor.did("WebTransport::request_headers");
    let _ = (session.congestion_control(), session.reliability(), session.protocol());
    let told = session.negotiated_draft().is_some();
    if told != session.response_headers().is_some() && actor.end.role == Role::Server {
        actor.check(Err("a session at the server has a draft and no response, or the other way".to_owned()));
    }
    let _ = session.request_headers().len();
    actor.did("WebTransport::authority");
    actor.did("WebTransport::path");
    actor.did("WebTransport::query");
    actor.did("WebTransport::remote_address");
    actor.did("WebTransport::local_address");
    actor.did("WebTransport::connection");
    let _ = (session.query(), session.local_address());
    let connected = session.connection().is_some();
    if told && !connected {
        actor.check(Err("a session without a connection".to_owned()));
    }
    let lies_somewhere = !session.authority().is_empty() && session.path().starts_with('/');
    if !lies_somewhere || told != session.remote_address().is_some() && actor.end.role == Role::Server {
        actor.check(Err("a session without a place, or at the server without a peer".to_owned()));
    }
}

async fn takes_bidi(end: Arc<End>, session: WebTransport) {
    let mut actor = Actor::new(&end, Phase::Leaving);
    loop {
        actor.did("WebTransport::incoming_bidirectional_streams");
        let mut incoming = session.incoming_bidirectional_streams();
        let polled = actor.random.chance(0.3);
        let next = if polled {
            let next = poll_fn(|cx| Pin::new(&mut incoming).poll_next(cx));
            actor.drive_long("IncomingBidirectionalStreams as Stream", next).await
        } else {
            actor.wait("IncomingBidirectionalStreams::next", incoming.next()).await
        };
        match next {
            Some(Some(Ok(stream))) => take_bidi(&end, stream),
            Some(Some(Err(error))) => return ask(&actor, &error),
            Some(None) => return,
            None if actor.leaves() => return,
            None => {}
        }
    }
}

fn take_bidi(end: &Arc<End>, stream: BidirectionalStream) {
    openers::serve(end, stream);
}

async fn takes_uni(end: Arc<End>, session: WebTransport) {
    let mut actor = Actor::new(&end, Phase::Leaving);
    loop {
        actor.did("WebTransport::incoming_unidirectional_streams");
        let mut incoming = session.incoming_unidirectional_streams();
        let polled = actor.random.chance(0.3);
        let next = if polled {
            let next = poll_fn(|cx| Pin::new(&mut incoming).poll_next(cx));
            actor.drive_long("IncomingUnidirectionalStreams as Stream", next).await
        } else {
            actor.wait("IncomingUnidirectionalStreams::next", incoming.next()).await
        };
        match next {
            Some(Some(Ok(stream))) => take_uni(&end, stream),
            Some(Some(Err(error))) => return ask(&actor, &error),
            Some(None) => return,
            None if actor.leaves() => return,
            None => {}
        }
    }
}

fn take_uni(end: &Arc<End>, stream: ReceiveStream) {
    reader::start(end, stream);
}
