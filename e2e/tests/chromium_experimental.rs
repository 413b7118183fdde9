//! Headless Chromium with `--enable-experimental-web-platform-features` against our server: the members of W3C
//! WebTransport that Chromium has behind that flag.
//!
//! Where Chromium 156 does otherwise than the specification (draft of 24 July 2026), the tests say so and expect what
//! it does: a newer Chromium that does better makes them fail, and they are to be changed then.

use std::sync::Arc;

use e2e::{
    LIMIT,
    browser::{self, Browser},
    certificate::Certificate,
    chromium, scenarios,
    weft::Server,
    within,
};
use serde_json::{Value, json};
use wt_api::TransportConfig;

type Chromium = chromium::Chromium<true>;

/// A server that is open to the browser's page.
fn server(browser: &Chromium) -> Server {
    Server::start(&Certificate::new(), &browser.page().origin())
}

/// Runs one script in a browser of its own, against our server at `path`; what the script returns.
async fn in_chromium(name: &str, path: &str, body: &str) -> Option<Value> {
    let (result, told) = tokio::sync::oneshot::channel();
    let (path, body) = (path.to_owned(), body.to_owned());
    browser::with(name, |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        let _ = result.send(browser.run(&path, &body, server.place.args(&path)).await);
    })
    .await;
    // Nothing, where there is no browser.
    told.await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_tells_reliability_and_congestion_control() {
    browser::with("experimental-reliability", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        let members = scenarios::session::reliability_and_congestion_control(&*browser, &server.place).await;
        let expected = ["default", "throughput", "low-latency"]
            .map(|control| json!([["pending", control], ["supports-unreliable", control]]));
        assert_eq!(members, json!(expected));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_does_not_support_reliable_only() {
    let body = "return WebTransport.supportsReliableOnly;";
    let Some(supports) = in_chromium("experimental-only", "/echo", body).await else { return };
    assert_eq!(supports, json!(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_drains_when_a_session_of_our_server_drains_and_goes_on() {
    let body = "
        const session = await connected(args.url, args.hash);
        await session.draining;
        const answer = await echo(session, 'alive');
        // A session that nobody asked to end does not drain: a round trip later it still waits.
        const other = await connected(args.url.replace('drain', 'echo'), args.hash);
        const answers = [answer, await echo(other, 'other')];
        return [...answers, await Promise.race([other.draining.then(() => 'drains'), Promise.resolve('waits')])];";
    let Some(result) = in_chromium("experimental-drain", "/drain", body).await else { return };
    assert_eq!(result, json!(["alive", "other", "waits"]));
}

/// `draining` resolves when the server shuts down, as W3C says, and what was begun goes on, as do new streams of both kinds.
/// Draft 02 gets GOAWAY only when its session is over: when a page opens a bidirectional stream after one, the network
/// service of Chromium 156 crashes (its log says so), and all sessions of the browser with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_drains_when_our_server_shuts_down_and_goes_on() {
    browser::with("experimental-goaway", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        let body = "
            const session = await connected(args.url, args.hash);
            const stream = await session.createBidirectionalStream();
            const writer = stream.writable.getWriter(), reader = stream.readable.getReader();
            await writer.write(bytes('begun'));
            await reader.read();
            kept.push({ session, writer, reader });
            return await Promise.race([session.draining.then(() => 'drains'), echo(session, 'before')]);";
        let before = browser.run("before the shutdown", body, server.place.args("/echo")).await;
        assert_eq!(before, json!("before"));
        // Longer than all that follows: only the end of the session ends it.
        let shutdown = server.shutdown(LIMIT * 4);
        let body = "
            const { session, writer, reader } = kept.pop();
            await session.draining;
            await writer.write(bytes('more'));
            const more = new TextDecoder().decode((await reader.read()).value);
            await writeAll(await session.createUnidirectionalStream(), 'one way');
            const way = await readAll((await session.incomingUnidirectionalStreams.getReader().read()).value);
            const both = await echo(session, 'both ways');
            session.close();
            await session.closed;
            return [more, way, both];";
        let answers = browser.run("after the shutdown", body, json!({})).await;
        assert_eq!(answers, json!(["more", "one way", "both ways"]));
        within("end of the server", shutdown).await.expect("it shuts down");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_keeps_the_anticipated_numbers_of_streams() {
    let body = "
        const uni = 'anticipatedConcurrentIncomingUnidirectionalStreams';
        const bidi = 'anticipatedConcurrentIncomingBidirectionalStreams';
        const none = await connected(args.url, args.hash);
        const some = await connected(args.url, args.hash, { [uni]: 5, [bidi]: 65535 });
        const read = (session) => [session[uni], session[bidi]];
        const results = [read(none), read(some)];
        [some[uni], some[bidi]] = [9, null];
        return [...results, read(some), thrown(() => (some[uni] = 65536)), read(some)];";
    let Some(result) = in_chromium("experimental-anticipated", "/echo", body).await else { return };
    assert_eq!(result, json!([[null, null], [5, 65535], [9, null], "TypeError", [9, null]]));
}

/// The page's field arrives, and so does our server's; of the response only `wt-protocol` is hidden.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn fields_cross_between_chromium_and_our_server() {
    let body = "
        const headers = { 'X-Question': 'why?' };
        const session = open(args.url, args.hash, { headers, protocols: ['first', 'last'] });
        const before = session.responseHeaders;
        await session.ready;
        return {
            before,
            after: [...session.responseHeaders],
            protocol: session.protocol,
            set: thrown(() => session.responseHeaders.set('x-answer', 'none')),
            offered: thrown(() => open(args.url, args.hash, { headers: { 'wt-available-protocols': 'a' } })),
        };";
    let Some(result) = in_chromium("experimental-fields", "/fields", body).await else { return };
    let expected = json!({
        "before": null,
        "after": [["x-answer", "why?"]],
        "protocol": "last",
        "set": "TypeError",
        "offered": "TypeError",
    });
    assert_eq!(result, expected);
}

/// Chromium 156 has none of the members on packets and bytes of `WebTransportConnectionStats`, nor `atSendCapacity` and
/// `datagrams.expiredIncoming`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_has_statistics_of_sessions_also_when_they_are_closed() {
    let body = "
        const session = await connected(args.url, args.hash);
        await echo(session, 'x'.repeat(100000));
        const open = await session.getStats();
        session.close();
        await session.closed;
        // Its certificate is not trusted.
        const failed = new WebTransport(args.url);
        await Promise.all([outcome(failed.ready), outcome(failed.closed)]);
        return { open, closed: await session.getStats(), failed: await outcome(failed.getStats()) };";
    let Some(result) = in_chromium("experimental-stats", "/echo", body).await else { return };
    for stats in [&result["open"], &result["closed"]] {
        let names: Vec<_> = stats.as_object().expect("statistics").keys().map(String::as_str).collect();
        assert_eq!(names, ["datagrams", "estimatedSendRate", "minRtt", "rttVariation", "smoothedRtt"]);
        let none = json!({ "droppedIncoming": 0, "expiredOutgoing": 0, "lostOutgoing": 0 });
        assert_eq!(stats["datagrams"], none);
        let number = |name: &str| stats[name].as_f64().expect("a number");
        assert!(number("minRtt") > 0.0 && number("smoothedRtt") >= number("minRtt"), "{stats}");
        assert!(number("estimatedSendRate") > 0.0 && number("rttVariation") >= 0.0, "{stats}");
    }
    let invalid = json!({ "rejected": "InvalidStateError", "code": null, "source": null });
    assert_eq!(result["failed"], invalid);
}

/// A receiving stream counts what came. A sending one, and so a group, counts nothing in Chromium 156: its
/// `bytesWritten`, `bytesSent` and `bytesAcknowledged` stay 0, where W3C wants 5,000 of the first two and, once everything
/// is acknowledged, of the third.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_has_statistics_of_streams_and_groups() {
    let body = "
        const session = await connected(args.url, args.hash);
        const sendGroup = session.createSendGroup();
        const { readable, writable } = await session.createBidirectionalStream({ sendGroup });
        const before = await readable.getStats();
        const writer = writable.getWriter(), reader = readable.getReader();
        await writer.write(new Uint8Array(5000));
        for (let count = 0; count < 5000; ) count += (await reader.read()).value.length;
        await writer.close();
        while (!(await reader.read()).done);
        return [before, await readable.getStats(), await writable.getStats(), await sendGroup.getStats()];";
    let Some(result) = in_chromium("experimental-streams", "/echo", body).await else { return };
    let nothing = json!({ "bytesWritten": 0, "bytesSent": 0, "bytesAcknowledged": 0 });
    let received = |count: u64| json!({ "bytesReceived": count, "bytesRead": count });
    assert_eq!(result, json!([received(0), received(5000), nothing, nothing]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn send_groups_of_streams_in_chromium_change_live() {
    let body = "
        const session = await connected(args.url, args.hash), other = await connected(args.url, args.hash);
        const [one, two, foreign] = [session.createSendGroup(), session.createSendGroup(), other.createSendGroup()];
        const { writable } = await session.createBidirectionalStream({ sendGroup: one, sendOrder: 5 });
        const plain = await session.createUnidirectionalStream();
        const read = (stream) => [[one, two].indexOf(stream.sendGroup), stream.sendOrder];
        const results = [read(writable), plain.sendGroup, plain.sendOrder];
        [writable.sendGroup, writable.sendOrder] = [two, -(2 ** 40)];
        results.push(read(writable), thrown(() => (writable.sendGroup = foreign)), read(writable));
        writable.sendGroup = null;
        results.push(writable.sendGroup);
        results.push(await outcome(session.createBidirectionalStream({ sendGroup: foreign })));
        session.close();
        await session.closed;
        return [...results, thrown(() => session.createSendGroup())];";
    let Some(result) = in_chromium("experimental-groups", "/echo", body).await else { return };
    let order = -(1_i64 << 40);
    // W3C has a TypeError here; Chromium 156 has an InvalidStateError, as W3C has for the setter.
    let foreign = json!({ "rejected": "InvalidStateError", "code": null, "source": null });
    let expected = json!([
        [0, 5],
        null,
        0,
        [1, order],
        "InvalidStateError",
        [1, order],
        null,
        foreign,
        "InvalidStateError"
    ]);
    assert_eq!(result, expected);
}

/// What reads back of send orders; that a higher one is sent first is up to Chromium, and not seen from outside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn send_orders_of_streams_in_chromium_change_live() {
    browser::with("experimental-orders", |browser: Arc<Chromium>| async move {
        let server = server(&browser);
        scenarios::streams::send_orders(&*browser, &server.place, &json!(0)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn datagrams_in_chromium_have_several_writables_with_groups_and_orders() {
    let body = "
        const session = await connected(args.url, args.hash), other = await connected(args.url, args.hash);
        const { datagrams } = session;
        const sendGroup = session.createSendGroup(), foreign = other.createSendGroup();
        const one = datagrams.createWritable({ sendGroup, sendOrder: 4 }), two = datagrams.createWritable();
        const results = [[one.sendGroup === sendGroup, one.sendOrder, two.sendGroup, two.sendOrder]];
        [one.sendGroup, one.sendOrder, two.sendGroup] = [null, -9, sendGroup];
        results.push([one.sendGroup, one.sendOrder, two.sendGroup === sendGroup]);
        results.push(thrown(() => datagrams.createWritable({ sendGroup: foreign })));
        results.push(thrown(() => (two.sendGroup = foreign)));
        // Datagrams may be lost: each is sent until it came back.
        const reader = datagrams.readable.getReader(), seen = new Set();
        const writers = [one.getWriter(), two.getWriter()];
        const timer = setInterval(() => writers.forEach((writer, n) => writer.write(new Uint8Array([n]))), 50);
        while (seen.size < 2) seen.add((await reader.read()).value[0]);
        clearInterval(timer);
        return [...results, [...seen].sort()];";
    // For a group of another session, W3C has a TypeError in createWritable; Chromium 156 an InvalidStateError there, too.
    let Some(result) = in_chromium("experimental-writables", "/echo", body).await else { return };
    let expected =
        json!([[true, 4, null, 0], [null, -9, true], "InvalidStateError", "InvalidStateError", [0, 1]]);
    assert_eq!(result, expected);
}

/// The queue keeps the newest: what is read first comes after all that the statistics have dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn datagrams_that_do_not_fit_the_buffer_of_chromium_drop_the_oldest() {
    let body = "
        const session = await connected(args.url, args.hash);
        const { datagrams } = session;
        datagrams.incomingMaxBufferedDatagrams = 2;
        const writer = datagrams.createWritable().getWriter();
        let number = 0, dropped = 0;
        while (dropped === 0) {
            for (let more = 20; more > 0; more--) await writer.write(new Uint8Array(new Uint32Array([number++]).buffer));
            dropped = (await session.getStats()).datagrams.droppedIncoming;
        }
        const { value } = await datagrams.readable.getReader().read();
        return [dropped, new DataView(value.buffer, value.byteOffset).getUint32(0, true)];";
    let Some(result) = in_chromium("experimental-dropped", "/echo", body).await else { return };
    let (dropped, first) = (result[0].as_u64(), result[1].as_u64());
    assert!(
        dropped > Some(0) && first >= dropped,
        "{result} are what was dropped and the first that was read"
    );
}

/// A datagram in a buffer that is large enough; a smaller one is a `RangeError`, which ends the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_reads_datagrams_into_buffers_of_the_page() {
    let body = "
        const session = await connected(args.url, args.hash, { datagramsReadableType: 'bytes' });
        const { datagrams } = session;
        const writer = datagrams.createWritable().getWriter();
        const reader = datagrams.readable.getReader({ mode: 'byob' });
        // Datagrams may be lost: the same is sent until all is read.
        const timer = setInterval(() => writer.write(bytes('datagram')).catch(() => {}), 50);
        const { value } = await reader.read(new Uint8Array(2000));
        const results = [new TextDecoder().decode(value), value.buffer.byteLength];
        results.push((await outcome(reader.read(new Uint8Array(3)))).rejected);
        clearInterval(timer);
        results.push((await outcome(reader.read(new Uint8Array(2000)))).rejected);
        return [...results, await echo(session, 'alive')];";
    let Some(result) = in_chromium("experimental-byob", "/echo", body).await else { return };
    assert_eq!(result, json!(["datagram", 2000, "RangeError", "RangeError", "alive"]));
}

/// Chromium 156 does not read `waitUntilAvailable`: at our server's limit both kinds of call reject, with a `NetworkError`
/// where W3C has a `QuotaExceededError`. When a stream has ended, there is room for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Chromium: cargo xtask test"]
async fn chromium_does_not_wait_for_streams_to_be_available() {
    browser::with("experimental-available", |browser: Arc<Chromium>| async move {
        // One of them is that of the session.
        let transport = TransportConfig::new().max_streams_bidi(4);
        let server = Server::start_with(&Certificate::new(), &browser.page().origin(), transport);
        let body = "
            const read = [];
            const options = new Proxy({}, { get(_, name) { read.push(name); } });
            const session = await connected(args.url, args.hash);
            const streams = [await session.createBidirectionalStream(options)];
            for (const _ of [2, 3]) streams.push(await session.createBidirectionalStream());
            const refused = [];
            for (const waitUntilAvailable of [false, true]) {
                refused.push((await outcome(session.createBidirectionalStream({ waitUntilAvailable }))).rejected);
            }
            await Promise.all([writeAll(streams[0].writable, 'done'), readAll(streams[0].readable)]);
            // The server's word that there is room comes when it likes: asked again until then.
            const again = async () => (await outcome(session.createBidirectionalStream().then(() => 'room'))).resolved;
            while ((await again()) !== 'room') await new Promise((resolve) => setTimeout(resolve, 20));
            return [read, refused];";
        let result = browser.run("streams at the limit", body, server.place.args("/echo")).await;
        assert_eq!(result, json!([["sendGroup", "sendOrder"], ["NetworkError", "NetworkError"]]));
    })
    .await;
}
