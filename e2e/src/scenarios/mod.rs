//! What a browser does with a WebTransport server, whichever it is.
//!
//! A server that plays along has `/echo` (each stream and datagram comes back, a unidirectional stream on a new one)
//! and `/close` (closed by the server at once with code 7 and reason "bye"), and refuses every other path with 404. The
//! scenarios in the modules below know our own server, which has more paths.

pub mod datagrams;
pub mod session;
pub mod streams;

use serde_json::{Value, json};

use crate::browser::Browser;
pub use crate::place::Place;

/// Bidirectional and unidirectional streams carry what was written, and their end.
///
/// # Panics
/// If they do not.
pub async fn streams_both_ways(browser: &impl Browser, place: &Place) {
    let body = "
        const session = await connected(args.url, args.hash);
        const incoming = session.incomingUnidirectionalStreams.getReader();
        const long = 'x'.repeat(300000);
        const bidirectional = await echo(session, 'hello');
        const same = (await echo(session, long)) === long;
        await writeAll(await session.createUnidirectionalStream(), 'one way');
        const unidirectional = await readAll((await incoming.read()).value);
        session.close();
        return { bidirectional, same, unidirectional };";
    let result = browser.run("streams both ways", body, place.args("/echo")).await;
    assert_eq!(result, json!({ "bidirectional": "hello", "same": true, "unidirectional": "one way" }));
}

/// Datagrams come back, up to 1100 bytes: a server whose packets are smaller than the browser's cannot return the
/// largest that the browser sends.
///
/// # Panics
/// If they do not.
pub async fn datagrams(browser: &impl Browser, place: &Place) {
    // A datagram may be lost, even on this machine: each size is sent until it came back.
    let body = "
        const session = await connected(args.url, args.hash);
        const writable = session.datagrams.writable ?? session.datagrams.createWritable();
        const writer = writable.getWriter(), reader = session.datagrams.readable.getReader();
        const sizes = [1, 100, Math.min(1100, session.datagrams.maxDatagramSize)], seen = new Set();
        const timer = setInterval(() => {
            for (const size of sizes) if (!seen.has(size)) writer.write(new Uint8Array(size)).catch(() => {});
        }, 50);
        while (sizes.some((size) => !seen.has(size))) seen.add((await reader.read()).value.length);
        clearInterval(timer);
        session.close();
        return sizes[2];";
    let largest = browser.run("datagrams", body, place.args("/echo")).await;
    assert!(largest.as_u64().is_some_and(|largest| largest >= 1000), "maxDatagramSize is {largest}");
}

/// The page closes with code and reason, and learns its own.
///
/// # Panics
/// If it does not.
pub async fn close_by_the_page(browser: &impl Browser, place: &Place, code: u32, reason: &str) {
    let body = "
        const session = await connected(args.url, args.hash);
        session.close({ closeCode: args.code, reason: args.reason });
        return await session.closed;";
    let mut args = place.args("/echo");
    args["code"] = json!(code);
    args["reason"] = json!(reason);
    let result = browser.run("close by the page", body, args).await;
    assert_eq!(result, json!({ "closeCode": code, "reason": reason }));
}

/// The server closes, and the page learns code and reason.
///
/// # Panics
/// If it does not.
pub async fn close_by_the_server(browser: &impl Browser, place: &Place) {
    let body = "
        const session = open(args.url, args.hash);
        session.ready.catch(() => {});
        return await session.closed;";
    let result = browser.run("close by the server", body, place.args("/close")).await;
    assert_eq!(result, json!({ "closeCode": 7, "reason": "bye" }));
}

/// The page resets a stream with this code, and the session lives on: a close could overtake what the
/// server is to see.
///
/// # Panics
/// If it does not.
pub async fn reset_by_the_page(browser: &impl Browser, place: &Place, code: u32) {
    let body = "
        const session = await connected(args.url, args.hash);
        const stream = await session.createBidirectionalStream();
        const writer = stream.writable.getWriter();
        await writer.write(bytes('to be broken off'));
        await stream.readable.getReader().read();
        await writer.abort(new WebTransportError({ message: 'off', streamErrorCode: args.code }));
        const answer = await echo(session, 'alive');
        kept.push(session);
        return answer;";
    let mut args = place.args("/echo");
    args["code"] = json!(code);
    assert_eq!(browser.run("reset by the page", body, args).await, json!("alive"));
}

/// The page asks for no more of a stream, with this code, and the session lives on: a close could overtake what the
/// server is to see.
///
/// # Panics
/// If it does not.
pub async fn stop_by_the_page(browser: &impl Browser, place: &Place, code: u32) {
    let body = "
        const session = await connected(args.url, args.hash);
        const stream = await session.createBidirectionalStream();
        await stream.writable.getWriter().write(bytes('no answer, please'));
        const reader = stream.readable.getReader();
        await reader.read();
        await reader.cancel(new WebTransportError({ message: 'enough', streamErrorCode: args.code }));
        const answer = await echo(session, 'alive');
        kept.push(session);
        return answer;";
    let mut args = place.args("/echo");
    args["code"] = json!(code);
    assert_eq!(browser.run("stop by the page", body, args).await, json!("alive"));
}

/// A path that the server refuses: `ready` and `closed` are rejected.
///
/// # Panics
/// If they are not.
pub async fn refused(browser: &impl Browser, place: &Place, path: &str) {
    let body = "
        const session = open(args.url, args.hash);
        const [ready, closed] = await Promise.all([outcome(session.ready), outcome(session.closed)]);
        return [ready, closed];";
    let result = browser.run("refused", body, place.args(path)).await;
    for outcome in result.as_array().expect("two outcomes") {
        assert_eq!(
            (&outcome["rejected"], &outcome["source"]),
            (&json!("WebTransportError"), &json!("session"))
        );
    }
}

/// Two hundred bidirectional streams at once, none of which waits for another.
///
/// # Panics
/// If any does not come back.
pub async fn two_hundred_streams_at_once(browser: &impl Browser, place: &Place) {
    let body = "
        const session = await connected(args.url, args.hash);
        const numbers = Array.from({ length: 200 }, (_, number) => number);
        const streams = await Promise.all(numbers.map(() => session.createBidirectionalStream()));
        await Promise.all(numbers.map((n) => writeAll(streams[n].writable, `stream ${n}`)));
        const answers = await Promise.all(numbers.map((n) => readAll(streams[n].readable)));
        session.close();
        return answers.filter((answer, n) => answer === `stream ${n}`).length;";
    assert_eq!(browser.run("two hundred streams at once", body, place.args("/echo")).await, json!(200));
}

/// A server that resets one stream and stops another with this code (`/reset/CODE`): what the page learns of each.
/// On two streams, for Chromium drops a stream of which both halves end before it has told the page of the stop.
///
/// # Panics
/// If it learns nothing.
pub async fn reset_by_the_server(browser: &impl Browser, place: &Place, code: u32) -> [Value; 2] {
    let body = "
        const session = await connected(args.url, args.hash);
        const reset = await session.createBidirectionalStream();
        await reset.writable.getWriter().write(bytes('r'));
        const read = await outcome(reset.readable.getReader().read());
        const stop = await session.createBidirectionalStream();
        const writer = stop.writable.getWriter();
        await writer.write(bytes('s'));
        const stopped = await outcome(writer.closed);
        session.close();
        return [read, stopped];";
    let result = browser.run("reset by the server", body, place.args(&format!("/reset/{code}"))).await;
    serde_json::from_value(result).expect("two outcomes")
}
