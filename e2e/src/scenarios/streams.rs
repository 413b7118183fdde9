//! Streams: those that the server opens, reads into the page's own buffers, backpressure, send orders.

use serde_json::{Value, json};

use super::Place;
use crate::{browser::Browser, weft::Server};

/// One stream of each kind that the server opens, read to the end; the bidirectional one carries the page's answer.
///
/// # Panics
/// If they do not arrive.
pub async fn opened_by_the_server(browser: &impl Browser, place: &Place) {
    let body = "
        const session = await connected(args.url, args.hash);
        const one = (await session.incomingUnidirectionalStreams.getReader().read()).value;
        const both = (await session.incomingBidirectionalStreams.getReader().read()).value;
        const texts = [await readAll(one), writeAll(both.writable, 'answer').then(() => readAll(both.readable))];
        const result = await Promise.all(texts);
        session.close();
        return result;";
    let texts = browser.run("streams that the server opens", body, place.args("/opens")).await;
    assert_eq!(texts, json!(["one way", "both ways: answer"]));
}

/// One stream of each kind that the server opens and does not write to: the page has them all the same.
///
/// # Panics
/// If they do not arrive.
pub async fn opened_and_silent(browser: &impl Browser, place: &Place) {
    let body = "
        const session = await connected(args.url, args.hash);
        const one = (await session.incomingUnidirectionalStreams.getReader().read()).value;
        const both = (await session.incomingBidirectionalStreams.getReader().read()).value;
        const kinds = [one, both.readable].map((stream) => stream instanceof ReadableStream);
        session.close();
        return kinds;";
    let kinds = browser.run("streams that say nothing", body, place.args("/silent")).await;
    assert_eq!(kinds, json!([true, true]));
}

/// The page opens a stream of each kind and breaks it off at once, before anything was written: the unidirectional one with
/// this code, the other one with the next. The session lives on.
///
/// # Panics
/// If it does not.
pub async fn broken_off_at_once(browser: &impl Browser, place: &Place, code: u32) {
    let body = "
        const session = await connected(args.url, args.hash);
        const off = (code) => new WebTransportError({ message: 'off', streamErrorCode: code });
        const one = await session.createUnidirectionalStream();
        await one.getWriter().abort(off(args.code));
        const both = await session.createBidirectionalStream();
        await both.writable.getWriter().abort(off(args.code + 1));
        const answer = await echo(session, 'alive');
        kept.push(session);
        return answer;";
    let mut args = place.args("/echo");
    args["code"] = json!(code);
    assert_eq!(browser.run("broken off at once", body, args).await, json!("alive"));
}

/// Reads into buffers of the page: parts as large as these, then the end with the buffer given back; and with `min` no
/// less than that.
///
/// # Panics
/// If they are otherwise.
pub async fn reads_into_buffers(browser: &impl Browser, place: &Place) {
    let body = "
        const session = await connected(args.url, args.hash);
        const text = (view) => new TextDecoder().decode(view);
        const stream = await session.createBidirectionalStream();
        await writeAll(stream.writable, '0123456789');
        const reader = stream.readable.getReader({ mode: 'byob' });
        const whole = text((await reader.read(new Uint8Array(8), { min: 8 })).value);
        let rest = '';
        for (let view = new Uint8Array(1); ; ) {
            const { value, done } = await reader.read(view);
            if (done) return [whole, rest, value.byteLength, value.buffer.byteLength];
            rest += `${text(value)},`;
            view = new Uint8Array(value.buffer);
        }";
    let reads = browser.run("reads into buffers", body, place.args("/echo")).await;
    assert_eq!(reads, json!(["01234567", "8,9,", 0, 1]));
}

/// A writer waits while the server does not read, and goes on when it does.
///
/// # Panics
/// If it does not wait before all 32 MiB are written, or not everything arrives.
pub async fn writers_wait_for_the_server(browser: &impl Browser, server: &Server) {
    let body = "
        const session = await connected(args.url, args.hash);
        const other = await connected(args.other, args.hash);
        const stream = await session.createBidirectionalStream();
        const writer = stream.writable.getWriter();
        let written = 0;
        const all = (async () => {
            for (; written < 512; written++) {
                await writer.ready;
                await writer.write(new Uint8Array(65536));
            }
            await writer.close();
        })();
        await stalled(() => written, other);
        kept.push({ all, answer: readAll(stream.readable), session });
        return [written, writer.desiredSize];";
    let mut args = server.place.args("/patient");
    args["other"] = server.place.args("/echo")["url"].take();
    let stalled = browser.run("a writer that waits", body, args).await;
    assert!(stalled[0].as_u64().is_some_and(|written| written < 512), "{stalled} before the server reads");
    assert!(stalled[1].as_i64().is_some_and(|room| room <= 0), "{stalled} is room for more");
    server.release();
    let body = "
        const { all, answer, session } = kept.pop();
        await all;
        const count = await answer;
        session.close();
        return count;";
    let count = browser.run("a writer that goes on", body, json!({})).await;
    assert_eq!(count, json!((32 << 20).to_string()));
}

/// Send orders as they were given with a stream, `plain` where none was, and as they read back when they are changed later.
///
/// # Panics
/// If they are otherwise.
pub async fn send_orders(browser: &impl Browser, place: &Place, plain: &Value) {
    let body = "
        const session = await connected(args.url, args.hash);
        const { writable } = await session.createBidirectionalStream({ sendOrder: 5 });
        const other = await session.createUnidirectionalStream({ sendOrder: -6 });
        const plain = await session.createUnidirectionalStream();
        const before = [writable.sendOrder, other.sendOrder, plain.sendOrder];
        [writable.sendOrder, other.sendOrder, plain.sendOrder] = [-(2 ** 40), 0, 7];
        const after = [writable.sendOrder, other.sendOrder, plain.sendOrder];
        session.close();
        return [before, after];";
    let orders = browser.run("send orders", body, place.args("/echo")).await;
    assert_eq!(orders, json!([[5, -6, plain], [-(1_i64 << 40), 0, 7]]));
}

/// The page breaks off a stream each way without a code; the session lives on.
///
/// # Panics
/// If it does not.
pub async fn broken_off_without_a_code(browser: &impl Browser, place: &Place) {
    let body = "
        const session = await connected(args.url, args.hash);
        const begun = async () => {
            const stream = await session.createBidirectionalStream();
            const writer = stream.writable.getWriter(), reader = stream.readable.getReader();
            await writer.write(bytes('begun'));
            await reader.read();
            return { writer, reader };
        };
        await (await begun()).writer.abort();
        await (await begun()).reader.cancel(new Error('of the page'));
        const answer = await echo(session, 'alive');
        kept.push(session);
        return answer;";
    let answer = browser.run("broken off without a code", body, place.args("/echo")).await;
    assert_eq!(answer, json!("alive"));
}
