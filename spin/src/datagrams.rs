//! Tasks that send and receive datagrams.

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use futures_core::Stream;
use wt_api::{
    DatagramError, Datagrams, DatagramsReadable, DatagramsWritable, DatagramsWritableOptions, WebTransport,
};

use crate::{actor::Actor, end::End, pair::Phase};

/// Starts a task that sends, and one that receives.
pub(crate) fn start(end: &Arc<End>, session: &WebTransport) {
    let shared = session.clone();
    end.start(|end| sends(end, shared));
    let shared = session.clone();
    end.start(|end| takes(end, shared));
}

async fn sends(end: Arc<End>, session: WebTransport) {
    let mut actor = Actor::new(&end, Phase::Winding);
    actor.did("WebTransport::datagrams");
    let datagrams = session.datagrams();
    while !actor.leaves() && !end.spin.stopped() {
        match actor.random.below(10) {
            0 => change(&mut actor, &datagrams),
            1 => look(&actor, &datagrams),
            _ => send_some(&mut actor, &session, &datagrams).await,
        }
        actor.pause().await;
    }
}

/// Sends some datagrams, with its own options or without.
async fn send_some(actor: &mut Actor, session: &WebTransport, datagrams: &Datagrams) {
    let mut writable = datagrams.writable.clone();
    if actor.random.chance(0.3) {
        actor.did("Datagrams::create_writable");
        if let Ok(made) = datagrams.create_writable(&options(actor, session)) {
            writable = made;
        }
    }
    if actor.random.chance(0.3) {
        rank(actor, &mut writable);
    }
    for _ in 0..actor.random.below(20) {
        send(actor, &writable).await;
    }
}

fn options(actor: &mut Actor, session: &WebTransport) -> DatagramsWritableOptions {
    actor.did("DatagramsWritableOptions::new");
    actor.did("DatagramsWritableOptions::send_order");
    let options = DatagramsWritableOptions::new().send_order(actor.random.below(5) as i64);
    match session.create_send_group() {
        Ok(group) if actor.random.chance(0.5) => {
            actor.did("DatagramsWritableOptions::send_group");
            options.send_group(&group)
        }
        _ => options,
    }
}

fn rank(actor: &Actor, writable: &mut DatagramsWritable) {
    actor.did("DatagramsWritable::set_send_order");
    actor.did("DatagramsWritable::send_order");
    actor.did("DatagramsWritable::send_group");
    actor.did("DatagramsWritable::set_send_group");
    writable.set_send_order(3);
    let group = writable.send_group();
    if writable.set_send_group(group.as_ref()).is_err() || writable.send_order() != 3 {
        actor.check(Err("a writable of datagrams does not take its own group, or its order".to_owned()));
    }
}

async fn send(actor: &mut Actor, writable: &DatagramsWritable) {
    actor.did("DatagramsWritable::max_datagram_size");
    let max = writable.max_datagram_size() as u64;
    // Sometimes one byte too many.
    let size = if actor.random.chance(0.1) { max + 1 } else { actor.random.below(max + 1) };
    let end = Arc::clone(&actor.end);
    let (payload, number) = end.pair.sent_by(end.role).make(end.pair.number, size as usize);
    let way = writable.clone();
    let result = if actor.random.chance(0.5) {
        actor.did("DatagramsWritable::try_send");
        let result = way.try_send(payload);
        if result.is_ok() {
            end.pair.sent_by(end.role).accepted(number);
        }
        Some(result)
    } else {
        // It is recorded in the same poll: if the call is dropped after that, the datagram is sent anyway.
        let work = async move {
            let result = way.send(payload).await;
            if result.is_ok() {
                end.pair.sent_by(end.role).accepted(number);
            }
            result
        };
        actor.drive_moving("DatagramsWritable::send", work).await
    };
    if let Some(Err(DatagramError::TooLarge { size, max })) = result
        && size <= max
    {
        actor.check(Err(format!("a datagram of {size} bytes is too large where {max} fit")));
    }
}

fn change(actor: &mut Actor, datagrams: &Datagrams) {
    let age = actor.random.chance(0.5).then(|| Duration::from_millis(actor.random.below(500)));
    let count = actor.random.below(40) as u32;
    match actor.random.below(4) {
        0 => {
            actor.did("Datagrams::set_incoming_max_age");
            datagrams.set_incoming_max_age(age);
        }
        1 => {
            actor.did("Datagrams::set_outgoing_max_age");
            datagrams.set_outgoing_max_age(age);
        }
        2 => {
            actor.did("Datagrams::set_incoming_max_buffered_datagrams");
            datagrams.set_incoming_max_buffered_datagrams(count);
        }
        _ => {
            actor.did("Datagrams::set_outgoing_max_buffered_datagrams");
            datagrams.set_outgoing_max_buffered_datagrams(count);
        }
    }
}

fn look(actor: &Actor, datagrams: &Datagrams) {
    actor.did("Datagrams::max_datagram_size");
    actor.did("Datagrams::incoming_max_age");
    actor.did("Datagrams::outgoing_max_age");
    actor.did("Datagrams::incoming_max_buffered_datagrams");
    actor.did("Datagrams::outgoing_max_buffered_datagrams");
    let _ = (datagrams.max_datagram_size(), datagrams.incoming_max_age(), datagrams.outgoing_max_age());
    let _ = datagrams.incoming_max_buffered_datagrams().max(datagrams.outgoing_max_buffered_datagrams());
}

/// Receives all datagrams until the session or its end is over.
async fn takes(end: Arc<End>, session: WebTransport) {
    let mut actor = Actor::new(&end, Phase::Leaving);
    loop {
        let mut readable = session.datagrams().readable;
        match take(&mut actor, &mut readable).await {
            Taken::Over => return,
            Taken::Nothing if actor.leaves() => return,
            Taken::Nothing => {}
            Taken::One(payload) => {
                actor.check(end.pair.sent_to(end.role).received(end.pair.number, &payload));
            }
        }
    }
}

enum Taken {
    One(Vec<u8>),
    Nothing,
    Over,
}

async fn take(actor: &mut Actor, readable: &mut DatagramsReadable) -> Taken {
    match actor.random.below(6) {
        0 => {
            actor.did("DatagramsReadable::try_recv");
            let taken = readable.try_recv();
            actor.pause().await;
            one(Some(taken.map(|payload| payload.map(|payload| payload.to_vec())).map_err(drop)))
        }
        1 | 2 => {
            // This size is too small for many datagrams.
            let mut buffer = vec![0; actor.random.below(2_000) as usize];
            let size = actor.drive("DatagramsReadable::recv_into", readable.recv_into(&mut buffer)).await;
            match size {
                Some(Ok(size)) => Taken::One(buffer[..size].to_vec()),
                Some(Err(DatagramError::Session(_))) => Taken::Over,
                _ => Taken::Nothing,
            }
        }
        3 => {
            let next = poll_fn(|cx| Pin::new(&mut *readable).poll_next(cx));
            match actor.drive("DatagramsReadable as Stream", next).await {
                Some(Some(payload)) => Taken::One(payload.to_vec()),
                Some(None) => Taken::Over,
                None => Taken::Nothing,
            }
        }
        _ => {
            let taken = actor.drive("DatagramsReadable::recv", readable.recv()).await;
            one(taken.map(|taken| taken.map(|payload| Some(payload.to_vec())).map_err(drop)))
        }
    }
}

fn one(taken: Option<Result<Option<Vec<u8>>, ()>>) -> Taken {
    match taken {
        Some(Ok(Some(payload))) => Taken::One(payload),
        Some(Ok(None)) | None => Taken::Nothing,
        Some(Err(())) => Taken::Over,
    }
}
