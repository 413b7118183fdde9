//! The data exchange in a session: one stream, a stream for each line, datagrams, or streams of the server.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Split, Stdin},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use wt_api::{
    Datagrams, DatagramsReadable, DatagramsWritable, ErrorCause, ReceiveStream, SendStream,
    SendStreamOptions, WebTransport, WebTransportError,
};

use super::{
    Stop,
    sink::{Kind, Opener, Sink},
};
use crate::{args::Connect, discovery::Discovery, output, texts};

/// How long to wait for answers to the last datagrams.
const LAST_DATAGRAMS: Duration = Duration::from_secs(1);
/// How long to wait for an answer after the server has stopped reading. If there is none, nothing would ever
/// say so.
const LAST_ANSWER: Duration = Duration::from_secs(1);
/// How many datagrams may wait for standard output, whose reader may pause for a moment. The library bounds
/// their bytes.
const BUFFERED: u32 = 1 << 16;
const CHUNK: usize = 64 * 1024;

/// Prepares the session before anything is written. Data that arrives earlier would find too little room.
pub(super) fn prepare(session: &WebTransport, args: &Connect) {
    if args.datagrams {
        session.datagrams().set_incoming_max_buffered_datagrams(BUFFERED);
    }
}

/// Writes out what has arrived when a signal ends the exchange.
pub(super) async fn rest(session: &WebTransport, args: &Connect, sink: &Sink) -> Result<(), Stop> {
    if args.datagrams { waiting(&mut session.datagrams().readable, sink).await } else { Ok(()) }
}

/// Runs the whole exchange that the command line asks for.
pub(super) async fn run(session: &WebTransport, args: &Connect, sink: &Arc<Sink>) -> Result<(), Stop> {
    let own = async {
        if args.datagrams {
            datagrams(session, args.listen, sink).await
        } else if args.lines && args.uni {
            lines_one_way(session, args.streams, sink).await
        } else if args.lines {
            lines(session, args.streams, sink).await
        } else if args.uni {
            unidirectional(session, args.listen, sink).await
        } else if args.listen {
            // Nothing is sent.
            Ok(())
        } else {
            bidirectional(session, sink).await
        }
    };
    if !args.listen {
        return own.await;
    }
    let own = async {
        match own.await {
            Err(stop) => stop.unless_over(session).await,
            done => done,
        }
    };
    both(own, listen(session, sink)).await.map(|_| ())
}

/// Runs both to their ends; the first failure ends both. The end of the session is not a failure: each part
/// notices it by itself, once it has handled everything that came before.
async fn both<A, B>(
    one: impl Future<Output = Result<A, Stop>>,
    other: impl Future<Output = Result<B, Stop>>,
) -> Result<(A, B), Stop> {
    let (one, other) = tokio::try_join!(async { put_aside(one.await) }, async { put_aside(other.await) })?;
    Ok((one?, other?))
}

/// Turns the end of the session into a value that `?` does not pass on.
fn put_aside<T>(outcome: Result<T, Stop>) -> Result<Result<T, Stop>, Stop> {
    match outcome {
        Err(stop) if stop.is_of_the_session() => Ok(Err(stop)),
        outcome => outcome.map(Ok),
    }
}

/// Sends standard input on a stream, and writes out what the stream receives. Each direction ends by itself.
async fn bidirectional(session: &WebTransport, sink: &Sink) -> Result<(), Stop> {
    let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
    sink.opened(stream.id(), Kind::Bidirectional, Opener::Client).await?;
    let (readable, mut writable) = stream.split();
    // A peer that stops reading may still send something.
    let sending = async {
        match send(session, &mut writable, sink).await {
            Err(stopped @ Stop::Stopped(_)) => Ok(Some(stopped)),
            sent => sent.map(|_| None),
        }
    };
    let (stopped, _) = both(sending, receive(readable, sink)).await?;
    stopped.map_or(Ok(()), Err)
}

/// Sends standard input on a stream of this side. The server's first stream is the answer, unless all its
/// streams are written out elsewhere.
async fn unidirectional(session: &WebTransport, told_elsewhere: bool, sink: &Sink) -> Result<(), Stop> {
    let mut writable = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
    sink.opened(writable.id(), Kind::Unidirectional, Opener::Client).await?;
    let answered = Notify::new();
    let sending = async {
        let (stopped, has_enough) = match send(session, &mut writable, sink).await {
            Ok(Sent::Whole) => (delivered(&writable, sink).await, true),
            Ok(Sent::Enough) if told_elsewhere => (Ok(()), true),
            Ok(Sent::Enough) => (Err(Stop::Stopped(Some(0))), true),
            Err(stop) => (Err(stop), false),
        };
        let Err(Stop::Stopped(code)) = stopped else { return stopped.map(|()| None) };
        let stopped = Stop::Stopped(code);
        // A peer that stops reading may still send something.
        match tokio::time::timeout(LAST_ANSWER, answered.notified()).await {
            Ok(()) => Ok(Some(stopped).filter(|_| !has_enough || code != Some(0))),
            Err(_) => Err(stopped),
        }
    };
    let answer = async {
        if told_elsewhere {
            return Ok(());
        }
        let readable = session.accept_unidirectional_stream().await?;
        answered.notify_one();
        sink.opened(readable.id(), Kind::Unidirectional, Opener::Server).await?;
        receive(readable, sink).await.map(|_| ())
    };
    let (stopped, ()) = both(sending, answer).await?;
    stopped.map_or(Ok(()), Err)
}

/// How sending standard input ended.
enum Sent {
    /// Everything was sent, including the end of the stream. Or the session is over.
    Whole,
    /// The peer has enough: it stopped the stream with code 0. It depends on chance whether this is noticed
    /// between two writes or during one.
    Enough,
}

/// Sends standard input on the stream while there is a session. Nobody has to end the input after the session
/// is over.
async fn send(session: &WebTransport, writable: &mut SendStream, sink: &Sink) -> Result<Sent, Stop> {
    let mut input = tokio::io::stdin();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = tokio::select! {
            read = input.read(&mut buffer) => read.map_err(Stop::Input)?,
            Ok(code) = writable.stopped() => {
                sink.broken("stop", writable.id(), code).await?;
                return or_enough(Err(Stop::Stopped(code)));
            }
            _ = session.closed() => return Ok(Sent::Whole),
        };
        if read == 0 {
            return or_enough(finish(writable, sink).await);
        }
        match or_enough(write(writable, &buffer[..read], sink).await)? {
            Sent::Whole => {}
            Sent::Enough => return Ok(Sent::Enough),
        }
    }
}

/// STOP_SENDING with code 0 is not an error.
fn or_enough(sent: Result<(), Stop>) -> Result<Sent, Stop> {
    match sent {
        Err(Stop::Stopped(Some(0))) => Ok(Sent::Enough),
        sent => sent.map(|()| Sent::Whole),
    }
}

/// Waits until the peer has received the whole stream. Only this notices that the peer stops the stream
/// before.
async fn delivered(writable: &SendStream, sink: &Sink) -> Result<(), Stop> {
    let Ok(code) = writable.stopped().await else { return Ok(()) };
    sink.broken("stop", writable.id(), code).await?;
    Err(Stop::Stopped(code))
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

/// Handles a stream that cannot be written any more: either its peer stopped it, or something failed.
async fn refused(writable: &SendStream, error: WebTransportError, sink: &Sink) -> Result<(), Stop> {
    match error.cause() {
        ErrorCause::StreamStopped(code) => {
            sink.broken("stop", writable.id(), *code).await?;
            Err(Stop::Stopped(*code))
        }
        _ => Err(error.into()),
    }
}

/// Writes out a stream to its end. Returns its last byte.
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

/// The next line of standard input without its line end; `None` at the end of the input or of the session.
async fn next_line(
    input: &mut Split<BufReader<Stdin>>,
    session: &WebTransport,
) -> Result<Option<Vec<u8>>, Stop> {
    tokio::select! {
        line = input.next_segment() => line.map_err(Stop::Input),
        _ = session.closed() => Ok(None),
    }
}

/// Sends each line of standard input on its own unidirectional stream, at most `streams` at once.
async fn lines_one_way(session: &WebTransport, streams: usize, sink: &Arc<Sink>) -> Result<(), Stop> {
    let mut input = BufReader::new(tokio::io::stdin()).split(b'\n');
    let mut sending = JoinSet::new();
    loop {
        let line = tokio::select! {
            line = next_line(&mut input, session), if sending.len() < streams => line?,
            Some(sent) = sending.join_next() => {
                // A task that panicked has printed why.
                sent.unwrap_or(Ok(()))?;
                continue;
            }
        };
        let Some(line) = line else { break };
        let mut writable = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
        sink.opened(writable.id(), Kind::Unidirectional, Opener::Client).await?;
        let sink = Arc::clone(sink);
        sending.spawn(async move {
            send_line(&mut writable, &line, &sink).await?;
            delivered(&writable, &sink).await
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap_or(Ok(()))?;
    }
    Ok(())
}

async fn send_line(writable: &mut SendStream, line: &[u8], sink: &Sink) -> Result<(), Stop> {
    write(writable, line, sink).await?;
    finish(writable, sink).await
}

/// A line that was sent, and the stream of its answer.
struct Asked {
    readable: ReceiveStream,
    /// A single task, which ends with this value.
    sending: JoinSet<Result<(), Stop>>,
    _place: OwnedSemaphorePermit,
}

/// Sends each line of standard input on its own stream, at most `streams` at once. For people the answers are
/// written in the order of the lines, for programs as they arrive. A reset answer does not affect the others.
async fn lines(session: &WebTransport, streams: usize, sink: &Arc<Sink>) -> Result<(), Stop> {
    let at_once = if sink.tells_programs() { streams } else { 1 };
    // The semaphore bounds how many wait in it.
    let (queue, mut asked) = mpsc::unbounded_channel::<Asked>();
    let asking = async move {
        let places = Arc::new(Semaphore::new(streams));
        let mut input = BufReader::new(tokio::io::stdin()).split(b'\n');
        while let Some(line) = next_line(&mut input, session).await? {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let stream = session.create_bidirectional_stream(SendStreamOptions::new()).await?;
            sink.opened(stream.id(), Kind::Bidirectional, Opener::Client).await?;
            let (readable, mut writable) = stream.split();
            // A server that answers while it reads only continues if its answer is read.
            let (mut sending, sink) = (JoinSet::new(), Arc::clone(sink));
            sending.spawn(async move { send_line(&mut writable, &line, &sink).await });
            let _ = queue.send(Asked { readable, sending, _place: place });
        }
        Ok::<(), Stop>(())
    };
    let answering = async {
        let (mut failed, mut over) = (None, None);
        let mut receiving = JoinSet::<Result<Option<u8>, Stop>>::new();
        loop {
            tokio::select! {
                Some(received) = receiving.join_next() => match received.unwrap_or(Ok(None)) {
                    Ok(last) => sink.end_line(last).await?,
                    // Other answers were complete before.
                    Err(stop) if stop.is_of_the_session() => over = Some(stop),
                    Err(stop) => failed = Some(of_one_stream(stop, sink)?),
                },
                Some(asked) = asked.recv(), if receiving.len() < at_once => {
                    let sink = Arc::clone(sink);
                    receiving.spawn(async move { answer(asked, &sink).await });
                }
                else => break,
            }
        }
        over.or(failed.map(Stop::Failed)).map_or(Ok(()), Err)
    };
    both(asking, answering).await.map(|_| ())
}

/// Writes out the answer to a line, to its end. Returns its last byte.
async fn answer(mut asked: Asked, sink: &Sink) -> Result<Option<u8>, Stop> {
    let sent = async {
        match asked.sending.join_next().await {
            Some(Ok(Err(stop))) if !stop.is_of_the_session() && !matches!(stop, Stop::Stopped(_)) => {
                Err(stop)
            }
            // A peer that has read enough may still answer, or may have answered before the session ended.
            _ => Ok(()),
        }
    };
    tokio::try_join!(receive(asked.readable, sink), sent).map(|(last, ())| last)
}

/// Returns the error if it concerns a single stream. People are told at once, because the others continue;
/// programs have had an event.
fn of_one_stream(stop: Stop, sink: &Sink) -> Result<WebTransportError, Stop> {
    match stop {
        Stop::Failed(error) if matches!(error.cause(), ErrorCause::StreamReset(_)) => {
            if !sink.tells_programs() {
                output::tell(&format!("weft: {error}\n"));
            }
            Ok(error)
        }
        other => Err(other),
    }
}

/// Writes out what arrives on streams that the server opens, while there is a session. Programs get all
/// streams at once, people one after the other. When no more streams of one kind can come, streams of the
/// other may still wait.
async fn listen(session: &WebTransport, sink: &Arc<Sink>) -> Result<(), Stop> {
    let mut receiving = JoinSet::new();
    let mut over: [Option<WebTransportError>; 2] = [None, None];
    loop {
        let (kind, readable) = tokio::select! {
            stream = session.accept_unidirectional_stream(), if over[0].is_none() => (Kind::Unidirectional, stream),
            stream = session.accept_bidirectional_stream(), if over[1].is_none() => {
                let readable = stream.map(|stream| {
                    let (readable, mut writable) = stream.split();
                    // Dropping it would reset it. Finishing fails if the server has stopped it, or the
                    // session is over.
                    let _ = writable.finish();
                    readable
                });
                (Kind::Bidirectional, readable)
            }
            Some(received) = receiving.join_next() => {
                // A task that panicked has printed why.
                one_of_many(received.unwrap_or(Ok(None)), sink)?;
                continue;
            }
            else => break,
        };
        let readable = match readable {
            Ok(readable) => readable,
            Err(error) => {
                over[usize::from(kind == Kind::Bidirectional)] = Some(error);
                continue;
            }
        };
        sink.opened(readable.id(), kind, Opener::Server).await?;
        if sink.tells_programs() {
            let sink = Arc::clone(sink);
            receiving.spawn(async move { receive(readable, &sink).await });
        } else {
            one_of_many(receive(readable, sink).await, sink)?;
        }
    }
    let failed = |error: &WebTransportError| !matches!(error.cause(), ErrorCause::SessionClosed { .. });
    over.into_iter().flatten().find(failed).map_or(Ok(()), |error| Err(error.into()))
}

/// Reports a reset stream of the server; the others continue. So they do if the session ended before the
/// stream did.
fn one_of_many(received: Result<Option<u8>, Stop>, sink: &Sink) -> Result<(), Stop> {
    match received.map(|_| ()) {
        Err(stop) if stop.is_of_the_session() => Ok(()),
        Err(stop) => of_one_stream(stop, sink).map(|_| ()),
        received => received,
    }
}

/// Turns lines into datagrams, and datagrams into lines. What has arrived is written out, however slow
/// standard output is.
async fn datagrams(session: &WebTransport, stay: bool, sink: &Sink) -> Result<(), Stop> {
    let Datagrams { readable, writable, .. } = &mut session.datagrams();
    let (over, ended) = watch::channel(false);
    let sending = async {
        let sent = send_lines(session, writable, sink).await;
        if stay {
            let _ = session.closed().await;
        }
        over.send_replace(true);
        // Whatever ended the input, answers may still arrive.
        Ok(sent)
    };
    let (sent, ()) = tokio::try_join!(sending, receive_datagrams(readable, ended, sink))?;
    sent
}

/// Sends each line of standard input as a datagram. People are told about each one that is not sent.
async fn send_lines(
    session: &WebTransport,
    writable: &mut DatagramsWritable,
    sink: &Sink,
) -> Result<(), Stop> {
    let mut discovery = Discovery::of(session);
    let mut input = BufReader::new(tokio::io::stdin()).split(b'\n');
    let mut number = 0_u64;
    while let Some(line) = next_line(&mut input, session).await? {
        number += 1;
        discovery.room(line.len()).await;
        if let Err(error) = writable.send(line.into()).await {
            output::tell(&format!("weft: line {number} not sent: {}\n", texts::datagram(&error)));
            sink.note_unsent();
        }
    }
    Ok(())
}

/// Writes a line for each datagram, until the answers had their time after the last one sent. That time only
/// counts while no datagram waits to be written, so a slow output does not shorten it.
async fn receive_datagrams(
    readable: &mut DatagramsReadable,
    mut ended: watch::Receiver<bool>,
    sink: &Sink,
) -> Result<(), Stop> {
    let mut until = None;
    loop {
        let silence = async {
            let _ = ended.wait_for(|ended| *ended).await;
            sleep_until(*until.get_or_insert_with(|| Instant::now() + LAST_DATAGRAMS)).await;
        };
        let first = tokio::select! {
            first = readable.recv() => first?,
            () = silence => break,
        };
        let begun = Instant::now();
        // The next call returns an error again.
        sink.datagrams(first, || readable.try_recv().ok().flatten()).await?;
        if let Some(until) = &mut until {
            *until += begun.elapsed();
        }
    }
    waiting(readable, sink).await
}

/// Writes out the datagrams that have arrived. A peer that keeps sending cannot prolong this.
async fn waiting(readable: &mut DatagramsReadable, sink: &Sink) -> Result<(), Stop> {
    let mut waiting = (0..BUFFERED).map_while(|_| readable.try_recv().ok().flatten());
    while let Some(first) = waiting.next() {
        sink.datagrams(first, || waiting.next()).await?;
    }
    Ok(())
}
