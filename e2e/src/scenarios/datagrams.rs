//! The members of `datagrams`.

use serde_json::{Value, json};

use super::Place;
use crate::browser::Browser;

/// `incomingMaxAge` and `outgoingMaxAge` in milliseconds: null at first; negative numbers and NaN are refused. `none` is
/// what reads back of 0 and null.
///
/// # Panics
/// If they are otherwise.
pub async fn ages(browser: &impl Browser, place: &Place, none: &str) {
    let body = "
        const { datagrams } = await connected(args.url, args.hash);
        return ['incomingMaxAge', 'outgoingMaxAge'].map((name) => {
            const first = datagrams[name];
            const set = (value) => thrown(() => (datagrams[name] = value)) + ` ${datagrams[name]}`;
            return [first, ...[100, 2.5, 0, 7, -1, NaN, null].map(set)];
        });";
    let ages = browser.run("ages of datagrams", body, place.args("/echo")).await;
    let none = format!("nothing {none}");
    let refused = "RangeError 7";
    let expected = json!([null, "nothing 100", "nothing 2.5", none, "nothing 7", refused, refused, none]);
    assert_eq!(ages, json!([expected, expected]));
}

/// A member that says how many datagrams are buffered, under the name it has there: its first value, and what reads
/// back of 100, 0 and 3.
pub async fn buffered(browser: &impl Browser, place: &Place, name: &str) -> Value {
    let body = "
        const { datagrams } = await connected(args.url, args.hash);
        const set = (value) => { datagrams[args.name] = value; return datagrams[args.name]; };
        return [datagrams[args.name], ...[100, 0, 3].map(set)];";
    let mut args = place.args("/echo");
    args["name"] = json!(name);
    browser.run("buffered datagrams", body, args).await
}

/// A datagram larger than `maxDatagramSize` is dropped, its write resolves, and the session lives on.
///
/// # Panics
/// If it is otherwise.
pub async fn too_large(browser: &impl Browser, place: &Place) {
    let body = "
        const session = await connected(args.url, args.hash);
        const { datagrams } = session;
        const writer = (datagrams.writable ?? datagrams.createWritable()).getWriter();
        const written = await outcome(writer.write(new Uint8Array(datagrams.maxDatagramSize + 1)).then(() => 'well'));
        return [written, await echo(session, 'alive')];";
    let result = browser.run("a datagram that is too large", body, place.args("/echo")).await;
    assert_eq!(result, json!([{ "resolved": "well" }, "alive"]));
}
