//! What goes back and forth in a session: one stream, a stream for each line, datagrams, streams of the server.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Split, Stdin},
    sync::mpsc,
    task::JoinSet,
};
use wt_api::{ErrorCause, ReceiveStream, SendStream, SendStreamOptions, WebTransport, WebTransportError};

use super::{
    Stop,
    sink::{Kind, Opener, Sink},
};
use crate::{args::Connect, output};

/// How long answers to the last datagrams are waited for.
const LAST_DATAGRAMS: Duration = Duration::from_secs(1);
const CHUNK: usize = 64 * 1024;

/// Everything that the command line asks for, to its end.
pub(super) async fn run(session: &WebTransport, args: &Connect, sink: &Arc<Sink>) -> Result<(), Stop> {
    let own = async {
        if args.datagrams {
            datagrams(session, args.listen, sink).await
        } else if args.lines {
            lines(session, args, sink).await
        } else if args.uni {
            unidirectional(session, args.listen, sink).await
        } else if args.listen {
            // Nothing is sent.
            Ok(())
        } else {
            bidirectional(session, sink).await
        }
    };
    if args.listen { tokio::try_join!(own, listen(session, sink)).map(|_| ()) } else { own.await }
}

/// Standard input to a stream, and what comes on it out. Each direction ends by itself.
async fn bidirectional(session: &WebTransport, sink: &Sink) -> Result<(), Stop> {
    let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    sink.opened(stream.id(), Kind::Bidirectional, Opener::Client).await?;
    let (readable, writable) = stream.split();
    // A peer that reads no more may still have something to say.
    let sending = async {
        match send(session, writable, sink).await {
            Err(stopped @ Stop::Stopped(_)) => Ok(Some(stopped)),
            sent => sent.map(|()| None),
        }
    };
    let (stopped, _) = tokio::try_join!(sending, receive(readable, sink))?;
    stopped.map_or(Ok(()), Err)
}

/// Standard input to a stream of this side's; the first one of the server is the answer, unless all of them are told.
async fn unidirectional(session: &WebTransport, told_elsewhere: bool, sink: &Sink) -> Result<(), Stop> {
    let writable = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
    sink.opened(writable.id(), Kind::Unidirectional, Opener::Client).await?;
    let answer = async {
        if told_elsewhere {
            return Ok(());
        }
        let readable = session.accept_unidirectional_stream().await?;
        sink.opened(readable.id(), Kind::Unidirectional, Opener::Server).await?;
        receive(readable, sink).await.map(|_| ())
    };
    tokio::try_join!(send(session, writable, sink), answer).map(|_| ())
}

/// Standard input to the stream, as long as there is a session: nobody has to end the input of one that is over.
async fn send(session: &WebTransport, mut writable: SendStream, sink: &Sink) -> Result<(), Stop> {
    let mut input = tokio::io::stdin();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = tokio::select! {
            read = input.read(&mut buffer) => read.map_err(Stop::Input)?,
            Ok(code) = writable.stopped() => {
                sink.broken("stop", writable.id(), code).await?;
                // Nothing was on its way: with code 0 the peer has all that it wants.
                return if code == Some(0) { Ok(()) } else { Err(Stop::Stopped(code)) };
            }
            _ = session.closed() => return Ok(()),
        };
        if read == 0 {
            return finish(&mut writable, sink).await;
        }
        write(&mut writable, &buffer[..read], sink).await?;
    }
}

async fn write(writable: &mut SendStream, data: &[u8], sink: &Sink) -> Result<(), Stop> {
    match writable.write_all(data).await {
        Ok(()) => Ok(()),
        Err(error) => refused(writable, error, sink).await,
    }
}

async fn finish(writable: &mut SendStream, sink: &Sink) -> Result<(), Stop> {
    match writable.finish() {
        Ok(()) => Ok(()),
        Err(error) => refused(writable, error, sink).await,
    }
}

/// A stream takes no more: whether its peer stopped it, or worse.
async fn refused(writable: &SendStream, error: WebTransportError, sink: &Sink) -> Result<(), Stop> {
    match error.cause() {
        ErrorCause::StreamStopped(code) => {
            sink.broken("stop", writable.id(), *code).await?;
            Err(Stop::Stopped(*code))
        }
        _ => Err(error.into()),
    }
}

/// A stream out, to its end; its last byte.
async fn receive(mut readable: ReceiveStream, sink: &Sink) -> Result<Option<u8>, Stop> {
    let (id, mut last) = (readable.id(), None);
    loop {
        match readable.read_chunk(CHUNK).await {
            Ok(Some(chunk)) => {
                last = chunk.last().copied().or(last);
                sink.data(id, &chunk).await?;
            }
            Ok(None) => {
                sink.fin(id).await?;
                return Ok(last);
            }
            Err(error) => {
                if let ErrorCause::StreamReset(code) = error.cause() {
                    sink.broken("reset", id, *code).await?;
                }
                return Err(error.into());
            }
        }
    }
}

/// The next line of standard input without its end; `None` when there is no more, or no session.
async fn next_line(
    input: &mut Split<BufReader<Stdin>>,
    session: &WebTransport,
) -> Result<Option<Vec<u8>>, Stop> {
    tokio::select! {
        line = input.next_segment() => line.map_err(Stop::Input),
        _ = session.closed() => Ok(None),
    }
}

/// A stream for each line of standard input, so many at once. For people the answers come out in the order of the lines, for
/// programs as they come. One that is reset does not keep the others from coming.
async fn lines(session: &WebTransport, args: &Connect, sink: &Arc<Sink>) -> Result<(), Stop> {
    let (waiting, at_once) = if sink.tells_streams_apart() { (1, args.streams) } else { (args.streams, 1) };
    let (queue, mut answers) = mpsc::channel::<ReceiveStream>(waiting);
    let asking = async move {
        let mut input = BufReader::new(tokio::io::stdin()).split(b'\n');
        while let Some(line) = next_line(&mut input, session).await? {
            if args.uni {
                let mut writable = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
                sink.opened(writable.id(), Kind::Unidirectional, Opener::Client).await?;
                write(&mut writable, &line, sink).await?;
                finish(&mut writable, sink).await?;
                continue;
            }
            // No more than can wait for their turn are opened.
            let Ok(place) = queue.reserve().await else { break };
            let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
            sink.opened(stream.id(), Kind::Bidirectional, Opener::Client).await?;
            let (readable, mut writable) = stream.split();
            let sent = match write(&mut writable, &line, sink).await {
                Ok(()) => finish(&mut writable, sink).await,
                stopped => stopped,
            };
            match sent {
                // Who has read enough may answer all the same.
                Ok(()) | Err(Stop::Stopped(_)) => {}
                Err(stop) => return Err(stop),
            }
            place.send(readable);
        }
        Ok::<(), Stop>(())
    };
    let answering = async {
        let mut failed = None;
        let mut receiving = JoinSet::new();
        loop {
            tokio::select! {
                Some(received) = receiving.join_next() => match received.unwrap_or(Ok(None)) {
                    Ok(last) => sink.end_line(last).await?,
                    Err(stop) => failed = Some(of_one_stream(stop, sink)?),
                },
                Some(readable) = answers.recv(), if receiving.len() < at_once => {
                    let sink = Arc::clone(sink);
                    receiving.spawn(async move { receive(readable, &sink).await });
                }
                else => break,
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    };
    tokio::try_join!(asking, answering).map(|_| ())
}

/// The error if one stream alone has it. People are told at once, for the others go on; programs were told.
fn of_one_stream(stop: Stop, sink: &Sink) -> Result<WebTransportError, Stop> {
    match stop {
        Stop::Failed(error) if matches!(error.cause(), ErrorCause::StreamReset(_)) => {
            if !sink.tells_streams_apart() {
                output::tell(&format!("weft: {error}\n"));
            }
            Ok(error)
        }
        other => Err(other),
    }
}

/// What comes on streams that the server opens, as long as there is a session: all at once for programs, one stream after
/// the other for people.
async fn listen(session: &WebTransport, sink: &Arc<Sink>) -> Result<(), Stop> {
    let mut receiving = JoinSet::new();
    loop {
        let (kind, readable) = tokio::select! {
            stream = session.accept_unidirectional_stream() => (Kind::Unidirectional, stream),
            stream = session.accept_bidirectional_stream() => {
                // Dropped, the half to send on would be reset.
                let halves = stream.and_then(|stream| {
                    let (readable, mut writable) = stream.split();
                    writable.finish().map(|()| readable)
                });
                (Kind::Bidirectional, halves)
            }
            Some(received) = receiving.join_next() => {
                // A task that panicked has said why.
                one_of_many(received.unwrap_or(Ok(None)), sink)?;
                continue;
            }
        };
        let readable = match readable {
            Err(error) if matches!(error.cause(), ErrorCause::SessionClosed { .. }) => break,
            readable => readable?,
        };
        sink.opened(readable.id(), kind, Opener::Server).await?;
        if sink.tells_streams_apart() {
            let sink = Arc::clone(sink);
            receiving.spawn(async move { receive(readable, &sink).await });
        } else {
            one_of_many(receive(readable, sink).await, sink)?;
        }
    }
    while let Some(received) = receiving.join_next().await {
        one_of_many(received.unwrap_or(Ok(None)), sink)?;
    }
    Ok(())
}

/// A stream of the server that was reset is told, and the others go on.
fn one_of_many(received: Result<Option<u8>, Stop>, sink: &Sink) -> Result<(), Stop> {
    match received.map(|_| ()) {
        Err(Stop::Failed(error)) if matches!(error.cause(), ErrorCause::SessionClosed { .. }) => Ok(()),
        Err(stop) => of_one_stream(stop, sink).map(|_| ()),
        received => received,
    }
}

/// Lines to datagrams, datagrams to lines.
async fn datagrams(session: &WebTransport, stay: bool, sink: &Sink) -> Result<(), Stop> {
    let mut datagrams = session.datagrams();
    let sending = async {
        let mut input = BufReader::new(tokio::io::stdin()).split(b'\n');
        while let Some(line) = next_line(&mut input, session).await? {
            if let Err(error) = datagrams.writable.send(line.into()).await {
                output::tell(&format!("weft: datagram not sent: {error}\n"));
            }
        }
        if stay {
            let _ = session.closed().await;
        } else {
            tokio::time::sleep(LAST_DATAGRAMS).await;
        }
        Ok(())
    };
    let receiving = async {
        loop {
            sink.datagram(&datagrams.readable.recv().await?).await?;
        }
    };
    tokio::select! {
        result = sending => result,
        result = receiving => result,
    }
}
