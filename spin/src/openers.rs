//! The streams that this end opens.

use std::sync::Arc;

use wt_api::{BidirectionalStream, SendStreamOptions, WebTransport};

use crate::{actor::Actor, ask::ask, end::End, pair::Phase, reader, writer};

/// How many tasks open streams.
const OPENERS: u64 = 3;

/// Starts the tasks that open streams one after the other.
pub(crate) fn start(end: &Arc<End>, session: &WebTransport) {
    for _ in 0..OPENERS {
        let session = session.clone();
        end.start(|end| opens(end, session));
    }
}

async fn opens(end: Arc<End>, session: WebTransport) {
    let mut actor = Actor::new(&end, Phase::Winding);
    while !actor.leaves() && !end.spin.stopped() {
        open_one(&mut actor, &session).await;
        actor.pause().await;
    }
}

fn options(actor: &mut Actor, session: &WebTransport) -> SendStreamOptions {
    let mut options = SendStreamOptions::new();
    actor.did("SendStreamOptions::new");
    if actor.random.chance(0.3) {
        actor.did("SendStreamOptions::send_order");
        options = options.send_order(actor.random.below(5) as i64 - 2);
    }
    if actor.random.chance(0.2) {
        actor.did("SendStreamOptions::wait_until_available");
        options = options.wait_until_available(false);
    }
    if actor.random.chance(0.2)
        && let Ok(group) = session.create_send_group()
    {
        actor.did("SendStreamOptions::send_group");
        options = options.send_group(&group);
    }
    options
}

async fn open_one(actor: &mut Actor, session: &WebTransport) {
    let options = options(actor, session);
    let shared = session.clone();
    let end = Arc::clone(&actor.end);
    if actor.random.chance(0.5) {
        let work = async move { shared.create_bidirectional_stream(options).await };
        match actor.drive_moving("WebTransport::create_bidirectional_stream", work).await {
            Some(Ok(stream)) => serve(&end, stream),
            Some(Err(error)) => ask(actor, &error),
            None => {}
        }
    } else {
        let work = async move { shared.create_unidirectional_stream(options).await };
        match actor.drive_moving("WebTransport::create_unidirectional_stream", work).await {
            Some(Ok(stream)) => writer::start(&end, stream),
            Some(Err(error)) => ask(actor, &error),
            None => {}
        }
    }
}

/// Opens a stream and drops the call, mostly before it settles.
pub(crate) async fn try_one(actor: &mut Actor, session: &WebTransport) {
    if *actor.end.phase().borrow() != Phase::Live {
        return;
    }
    let options = options(actor, session);
    if actor.random.chance(0.5) {
        let work = session.create_bidirectional_stream(options);
        drop(actor.drive_long("WebTransport::create_bidirectional_stream", work).await);
    } else {
        let work = session.create_unidirectional_stream(options);
        drop(actor.drive_long("WebTransport::create_unidirectional_stream", work).await);
    }
}

/// Starts a reader and a writer.
pub(crate) fn serve(end: &Arc<End>, stream: BidirectionalStream) {
    end.spin.book.count("BidirectionalStream::split");
    let (readable, writable) = stream.split();
    reader::start(end, readable);
    writer::start(end, writable);
}
