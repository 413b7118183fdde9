//! Making a session, its members, and its end.

use serde_json::{Value, json};

use super::Place;
use crate::browser::Browser;

/// What a promise that fails with the session comes to.
#[must_use]
pub fn session_error() -> Value {
    json!({ "rejected": "WebTransportError", "code": null, "source": "session" })
}

/// URLs that the constructor objects to at once.
///
/// # Panics
/// If it does not.
pub async fn urls_that_are_refused(browser: &impl Browser, place: &Place) {
    let body = "
        const urls = ['', '/echo', 'https://[', args.url.replace('https', 'http'), `${args.url}#fragment`];
        return urls.map((url) => thrown(() => new WebTransport(url)));";
    let names = browser.run("URLs", body, place.args("/echo")).await;
    assert_eq!(names, json!(vec!["SyntaxError"; 5]));
}

/// A session is trusted exactly if one of the hashes with a known algorithm is the certificate's.
///
/// # Panics
/// If it is otherwise.
pub async fn certificate_hashes(browser: &impl Browser, place: &Place) {
    let body = "
        const value = fromHex(args.hash), wrong = fromHex(args.hash);
        wrong[0] ^= 1;
        const right = { algorithm: 'sha-256', value }, unknown = { algorithm: 'sha-512', value };
        const mistaken = { algorithm: 'sha-256', value: wrong };
        const results = [];
        for (const hashes of [[mistaken], [unknown], [], [mistaken, right], [unknown, right]]) {
            const session = new WebTransport(args.url, { serverCertificateHashes: hashes });
            const closed = outcome(session.closed);
            const ready = await outcome(session.ready.then(() => 'ready'));
            session.close();
            results.push([ready, await closed]);
        }
        return results;";
    let failed = json!([session_error(), session_error()]);
    let closed = json!([{ "resolved": "ready" }, { "resolved": { "closeCode": 0, "reason": "" } }]);
    let results = browser.run("certificate hashes", body, place.args("/echo")).await;
    assert_eq!(results, json!([failed, failed, failed, closed, closed]));
}

/// A close before the session stands: `ready` and `closed` are rejected.
///
/// # Panics
/// If they are not.
pub async fn close_while_connecting(browser: &impl Browser, place: &Place) {
    let body = "
        const session = open(args.url, args.hash);
        const outcomes = Promise.all([outcome(session.ready), outcome(session.closed)]);
        session.close({ closeCode: 3, reason: 'early' });
        return await outcomes;";
    let outcomes = browser.run("close while connecting", body, place.args("/echo")).await;
    assert_eq!(outcomes, json!([session_error(), session_error()]));
}

/// What is left of a session that the page closed with code 1 and 600 times `ä`, and again with another: the first close
/// counts, everything pending has ended, nothing can be begun. Returns what a pending read and a write come to.
///
/// # Panics
/// If it is otherwise.
pub async fn after_the_close(browser: &impl Browser, place: &Place) -> Value {
    let body = "
        const session = await connected(args.url, args.hash);
        const stream = await session.createBidirectionalStream();
        const writer = stream.writable.getWriter();
        const read = outcome(stream.readable.getReader().read());
        const written = outcome(writer.closed);
        const incoming = [session.incomingBidirectionalStreams, session.incomingUnidirectionalStreams];
        const ended = incoming.map((streams) => streams.getReader().read().then(({ done }) => done));
        session.close({ closeCode: 1, reason: '\u{e4}'.repeat(600) });
        session.close({ closeCode: 2, reason: 'again' });
        const { closeCode } = await session.closed;
        return {
            closeCode,
            ended: await Promise.all(ended),
            created: [await outcome(session.createBidirectionalStream()),
                await outcome(session.createUnidirectionalStream())],
            pending: [await read, await written],
        };";
    let mut result = browser.run("after the close", body, place.args("/echo")).await;
    let pending = result["pending"].take();
    let invalid = json!({ "rejected": "InvalidStateError", "code": null, "source": null });
    let expected =
        json!({ "closeCode": 1, "ended": [true, true], "created": [invalid, invalid], "pending": null });
    assert_eq!(result, expected);
    pending
}

/// `reliability` and `congestionControl`, while connecting and after, when each kind of congestion control was asked.
pub async fn reliability_and_congestion_control(browser: &impl Browser, place: &Place) -> Value {
    let body = "
        const read = (session) => [session.reliability, session.congestionControl];
        const results = [];
        for (const congestionControl of ['default', 'throughput', 'low-latency']) {
            const session = open(args.url, args.hash, { congestionControl });
            const before = read(session);
            await session.ready;
            results.push([before, read(session)]);
            session.close();
        }
        return results;";
    browser.run("reliability and congestion control", body, place.args("/echo")).await
}

/// The members that `WebTransportError` has for a page that makes one.
///
/// # Panics
/// If they are not as they were given.
pub async fn errors_made_by_the_page(browser: &impl Browser) {
    let body = "
        const members = (error) =>
            [error instanceof DOMException, error.name, error.message, error.source, error.streamErrorCode];
        return [
            members(new WebTransportError({ message: 'words', streamErrorCode: 7 })),
            members(new WebTransportError()),
        ];";
    let members = browser.run("errors", body, json!({})).await;
    let expected = json!([
        [true, "WebTransportError", "words", "stream", 7],
        [true, "WebTransportError", "", "stream", null],
    ]);
    assert_eq!(members, expected);
}
