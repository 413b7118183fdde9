//! Streams: those that the server opens, reads into the page's own buffers, backpressure, order.

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

/// Two streams of 4 MiB with these send orders, full while the server does not read; then the first gets the order of
/// the second and the other way round if `swap`, and the server reads. Its names of them, `a` and `b`, in the order in
/// which they ended.
pub async fn order_of_ends(browser: &impl Browser, server: &Server, orders: [i64; 2], swap: bool) -> Value {
    let body = "
        const session = await connected(args.url, args.hash);
        const other = await connected(args.other, args.hash);
        const [first, second] = args.orders;
        const one = (await session.createBidirectionalStream({ sendOrder: first })).writable;
        const two = (await session.createBidirectionalStream({ sendOrder: second })).writable;
        let written = 0;
        const fill = async (writable, letter) => {
            const writer = writable.getWriter(), chunk = bytes(letter.repeat(16384));
            for (let chunks = 0; chunks < 256; chunks++, written++) await writer.write(chunk);
            await writer.close();
        };
        const all = Promise.all([fill(one, 'a'), fill(two, 'b')]);
        await stalled(() => written, other);
        if (args.swap) [one.sendOrder, two.sendOrder] = [second, first];
        kept.push({ all, session });
        return written < 512 && [one.sendOrder, two.sendOrder];";
    let mut args = server.place.args("/order");
    args["other"] = server.place.args("/echo")["url"].take();
    args["orders"] = json!(orders);
    args["swap"] = json!(swap);
    let read_back = browser.run("streams in order", body, args).await;
    let [first, second] = orders;
    assert_eq!(read_back, if swap { json!([second, first]) } else { json!(orders) });
    server.release();
    let body = "
        const { all, session } = kept.pop();
        await all;
        const order = await readAll((await session.incomingUnidirectionalStreams.getReader().read()).value);
        session.close();
        return order;";
    browser.run("ends in order", body, json!({})).await
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
