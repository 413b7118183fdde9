//! Settings, parameters, statuses: when a session is established, and which error is reported otherwise.

use super::*;
use crate::{Refusal, protocols};

fn refused(
    side: Side,
    change: impl Fn(&mut Settings),
    config: &Config,
    end: impl Fn(&mut End),
) -> (Rig, Option<Refusal>) {
    let mut settings = settings_of(Dialect::Draft16);
    change(&mut settings);
    let mut rig = Rig::new(side, config, settings);
    end(rig.pair.ends(side).0);
    match side {
        Side::Client => rig.connect(),
        Side::Server => {
            rig.ask("webtransport-h3");
        }
    }
    let refusal = rig.node.refusal().cloned();
    (rig, refusal)
}

/// Changes to the peer's settings and parameters, this end's configuration, and the result.
type Case<'a, T> = (&'a dyn Fn(&mut Settings), &'a dyn Fn(&mut End), &'a Config, T);

fn no_datagrams(settings: &mut Settings) {
    (settings.h3_datagram, settings.h3_datagram_draft04) = (false, false);
}

#[test]
fn w16_requirements_for_a_server() {
    let (normal, strict) = (Config::default(), Config { strict: true, ..Config::default() });
    let cases: [Case<'_, Option<&str>>; 8] = [
        (&|_| {}, &|_| {}, &normal, None),
        (&no_datagrams, &|_| {}, &normal, Some("SETTINGS_H3_DATAGRAM (0x33)")),
        (
            &|s| s.enable_connect_protocol = false,
            &|_| {},
            &normal,
            Some("SETTINGS_ENABLE_CONNECT_PROTOCOL (0x8)"),
        ),
        (&|s| s.wt_enabled = 0, &|_| {}, &normal, Some("SETTINGS_WT_ENABLED (0x2c7cf000)")),
        (&|_| {}, &|end| end.max_datagram = None, &normal, Some("max_datagram_frame_size (0x20)")),
        (&|_| {}, &|end| end.reset_stream_at = false, &normal, None),
        (&|_| {}, &|end| end.reset_stream_at = false, &strict, Some("reset_stream_at (0x1d)")),
        (&|s| s.h3_datagram = false, &|_| {}, &normal, None),
    ];
    for (at, (change, end, config, expected)) in cases.into_iter().enumerate() {
        let (mut rig, refusal) = refused(Side::Client, change, config, end);
        let text = refusal.map(|refusal| refusal.to_string());
        assert_eq!(text.is_some(), expected.is_some(), "{at}: {text:?}");
        if let (Some(text), Some(expected)) = (text, expected) {
            assert!(text.contains(expected), "{at}: {text}");
            // No CONNECT was sent.
            assert!(!rig.peer_events.iter().any(|event| matches!(event, h3_core::Event::Request { .. })));
        }
        rig.alive();
    }
}

#[test]
fn draft_02_servers_need_neither_extended_connect_nor_reset_stream_at() {
    let settings = Settings::new().wt_enabled_draft02(1).h3_datagram(true);
    let mut rig = Rig::new(Side::Client, &Config::default(), settings);
    rig.pair.client.reset_stream_at = false;
    rig.connect();
    let Some(h3_core::Event::Request { head, .. }) =
        rig.peer_events.iter().find(|event| matches!(event, h3_core::Event::Request { .. }))
    else {
        panic!("{:?}", rig.peer_events)
    };
    assert_eq!(head.protocol.as_ref().unwrap().as_str(), "webtransport");
    assert_eq!(head.headers["sec-webtransport-http3-draft02"], "1");
    rig.establish();
}

#[test]
fn a_setting_above_one_ends_the_connection() {
    let (rig, refusal) =
        refused(Side::Client, |settings| settings.wt_enabled = 2, &Config::default(), |_| {});
    assert!(matches!(refusal, Some(Refusal::SettingValue { value: 2, .. })));
    assert_eq!(rig.pair.client.closed.as_ref().map(|(code, _)| *code), Some(0x109));
}

/// The connection ends when the setting arrives, whether a session was requested or not.
#[test]
fn invalid_settings_end_the_connection_at_once() {
    type Change = fn(&mut Settings);
    let changes: [(Change, [bool; 2]); 3] = [
        // §3.1 applies to clients; the setting is not defined for what a client sends.
        (|settings| settings.wt_enabled = 2, [true, false]),
        (|settings| settings.wt_initial_max_streams_uni = (1 << 60) + 1, [true, true]),
        (|settings| settings.wt_initial_max_streams_bidi = varint::MAX, [true, true]),
    ];
    for (change, ends) in changes {
        for (side, ends) in [Side::Client, Side::Server].into_iter().zip(ends) {
            let mut settings = settings_of(Dialect::Draft16);
            change(&mut settings);
            let rig = Rig::new(side, &Config::default(), settings);
            let closed = if side.is_client() { &rig.pair.client.closed } else { &rig.pair.server.closed };
            assert_eq!(closed.as_ref().map(|(code, _)| *code), ends.then_some(0x109), "{side:?}");
        }
    }
}

#[test]
fn w17_requirements_for_a_client() {
    let (normal, strict) = (Config::default(), Config { strict: true, ..Config::default() });
    let cases: [Case<'_, bool>; 8] = [
        (&|_| {}, &|_| {}, &normal, true),
        (&no_datagrams, &|_| {}, &normal, false),
        (&|_| {}, &|end| end.max_datagram = None, &normal, false),
        (&|_| {}, &|end| end.reset_stream_at = false, &normal, true),
        (&|_| {}, &|end| end.reset_stream_at = false, &strict, false),
        (&|s| (s.wt_enabled, s.wt_max_sessions_draft07) = (0, 1), &|_| {}, &normal, true),
        (&|s| s.wt_enabled = 0, &|_| {}, &normal, true),
        (&|s| s.wt_enabled = 0, &|_| {}, &strict, false),
    ];
    for (at, (change, end, config, accepted)) in cases.into_iter().enumerate() {
        let (mut rig, refusal) = refused(Side::Server, change, config, end);
        assert_eq!(rig.node.has("incoming"), accepted, "{at}");
        assert_eq!(refusal.is_none(), accepted, "{at}: {refusal:?}");
        if !accepted {
            rig.assert_reset(id(0).0, MESSAGE_ERROR);
        }
    }
}

#[test]
fn w17_nothing_before_the_clients_settings() {
    for late in [settings_of(Dialect::Draft16), Settings::new().wt_enabled(1)] {
        let mut pair = Pair::new();
        let mut node = Node::new(Side::Server, &Config::default(), &mut pair.server);
        // The peer opens its streams but sends nothing on its control stream.
        let control = pair.client.open(Dir::Uni).unwrap();
        let mut peer = Connection::new(h3_core::Config::new(settings_of(Dialect::Draft16)), Side::Client);
        pair.deliver(usize::MAX);
        pair.client.events.drain(..).for_each(drop);
        // A CONNECT encoded by a real peer, taken from another pair.
        let connect = encoded_connect(&mut peer, HeaderMap::new());
        let stream = pair.client.open(Dir::Bidi).unwrap();
        pair.client.push(stream, &connect);
        pair.deliver(usize::MAX);
        node.pump(&mut pair.server);
        assert_eq!(names(&node.events), [""; 0]);
        assert_eq!(
            node.sessions.accept(id(0), HeaderMap::new(), &mut node.h3, &mut pair.server),
            Err(crate::AcceptError::Gone)
        );
        let mut payload = Vec::new();
        late.encode(0, &mut payload);
        let mut frame = vec![0, 4, u8::try_from(payload.len()).unwrap()];
        assert!(payload.len() < 64);
        frame.extend(payload);
        pair.client.push(control, &frame);
        pair.deliver(usize::MAX);
        node.pump(&mut pair.server);
        pair.deliver(usize::MAX);
        if late.datagrams() {
            assert_eq!(names(&node.events), ["incoming"]);
        } else {
            assert_eq!(names(&node.events), ["refused"]);
            assert_eq!(pair.client.reset_received(stream), Some(MESSAGE_ERROR));
        }
    }
}

#[test]
fn heads_that_wait_for_settings_are_bounded() {
    let mut pair = Pair::new();
    let config = Config { max_sessions: 1000, ..Config::default() };
    let mut node = Node::new(Side::Server, &config, &mut pair.server);
    let control = pair.client.open(Dir::Uni).unwrap();
    let mut peer = Connection::new(h3_core::Config::new(settings_of(Dialect::Draft16)), Side::Client);
    let mut headers = HeaderMap::new();
    headers.insert("x-much", "v".repeat(20_000).parse().unwrap());
    let connect = encoded_connect(&mut peer, headers);
    let streams: Vec<StreamId> = (0..40).map(|_| pair.client.open(Dir::Bidi).unwrap()).collect();
    for stream in &streams {
        pair.client.push(*stream, &connect);
        pair.deliver(usize::MAX);
        node.pump(&mut pair.server);
        pair.deliver(usize::MAX);
    }
    // Each has 20 kB; the bound is 256 KiB.
    assert_eq!(node.sessions.session_count(), 12);
    assert!((240_000..256 << 10).contains(&node.sessions.heads_waiting()));
    let rejected = Some(code::H3_REQUEST_REJECTED);
    let refused = streams.iter().filter(|stream| pair.client.reset_received(**stream) == rejected);
    assert_eq!(refused.count(), 28);
    // The waiting requests are decided once SETTINGS arrive.
    let mut payload = Vec::new();
    settings_of(Dialect::Draft16).encode(0, &mut payload);
    let mut frame = vec![0, 4, u8::try_from(payload.len()).unwrap()];
    frame.extend(payload);
    pair.client.push(control, &frame);
    pair.deliver(usize::MAX);
    node.pump(&mut pair.server);
    assert_eq!(node.sessions.heads_waiting(), 0);
}

/// The bytes of a CONNECT stream with these fields.
pub(super) fn encoded_connect(client: &mut Connection, headers: HeaderMap) -> Vec<u8> {
    let mut rig = Pair::new();
    // Without a dynamic table, the bytes mean the same on any connection.
    let mut config = h3_core::Config::new(settings_of(Dialect::Draft16));
    config.settings.qpack_max_table_capacity = 0;
    config.settings.qpack_blocked_streams = 0;
    let mut server = Connection::new(config, Side::Server);
    client.start(&mut rig.client);
    server.start(&mut rig.server);
    rig.deliver(usize::MAX);
    while let Some(event) = rig.client.events.pop_front() {
        client.on_event(&event, Timestamp::ORIGIN, &mut rig.client);
    }
    let mut head = RequestHead::new(http::Method::CONNECT, "a.test".parse().unwrap(), "/".parse().unwrap());
    head.protocol = h3_core::Protocol::new(Bytes::from_static(b"webtransport-h3"));
    head.headers = headers;
    let stream = client.send_request(&head, false, &mut rig.client).unwrap();
    rig.deliver(usize::MAX);
    rig.server.pull(stream)
}

#[test]
fn the_server_accepts_both_tokens_and_leaves_others_to_the_application() {
    for dialect in DIALECTS {
        for token in ["webtransport", "webtransport-h3"] {
            let mut rig = Rig::new(Side::Server, &Config::default(), settings_of(dialect));
            rig.ask(token);
            let [Event::Incoming { request, .. }] = &rig.node.events[..] else { panic!() };
            assert_eq!(request.dialect, dialect);
            let strict = Config { strict: true, ..Config::default() };
            let mut rig = Rig::new(Side::Server, &strict, settings_of(dialect));
            rig.ask(token);
            assert_eq!(rig.node.has("incoming"), token == dialect.token());
        }
    }
    let mut rig = Rig::new(Side::Server, &Config::default(), settings_of(Dialect::Draft16));
    rig.ask("connect-udp");
    assert!(matches!(rig.node.events[..], [Event::Http(h3_core::Event::Request { .. })]));
}

/// For every set of enabling settings, the newest that both ends sent decides (§7.1). The text names it, and
/// what is missing for a newer one.
#[test]
fn the_newest_draft_that_both_announce_is_used() {
    for (own, peer) in (1_u8..16).flat_map(|own| (0_u8..16).map(move |peer| (own, peer))) {
        let common = Dialect::ALL.into_iter().find(|dialect| own & peer & 1 << *dialect as u8 != 0);
        let settings_for = |set: u8| {
            let value = |dialect| u64::from(set & 1 << dialect as u8 != 0);
            let mut settings = settings_of(Dialect::Draft16);
            settings.wt_enabled_draft02 = value(Dialect::Draft02);
            settings.wt_max_sessions_draft07 = 7 * value(Dialect::Draft07);
            settings.wt_max_sessions_draft13 = 7 * value(Dialect::Draft14);
            settings.wt_enabled = value(Dialect::Draft16);
            settings
        };
        let parameters = Parameters { datagrams: true, reset_stream_at: true };
        let agree = |side, strict| {
            dialect::negotiate(&settings_for(own), &settings_for(peer), parameters, side, strict)
        };
        for (side, strict) in [(Side::Client, false), (Side::Client, true), (Side::Server, true)] {
            match (agree(side, strict), common) {
                (Ok(agreed), Some(common)) => {
                    assert_eq!(agreed.dialect, common, "{own:b} {peer:b}");
                    let (name, id) = common.setting();
                    assert!(
                        agreed.why.contains(&format!("both sides sent {name} ({id:#x})")),
                        "{}",
                        agreed.why
                    );
                    for newer in Dialect::ALL.into_iter().filter(|dialect| *dialect > common) {
                        assert!(agreed.why.contains(&format!("not {newer}")), "{}", agreed.why);
                    }
                }
                (Err(Refusal::MissingSetting { id, .. }), None) => {
                    assert!(Dialect::ALL.iter().any(|dialect| dialect.setting().1 == id));
                }
                other => panic!("{own:b} {peer:b}: {other:?}"),
            }
        }
        // A client without a known setting is treated as one of drafts 09 to 12 if this server announces
        // draft 07 or 02.
        if let (None, Ok(agreed)) = (common, agree(Side::Server, false)) {
            let silent =
                [Dialect::Draft07, Dialect::Draft02].into_iter().find(|old| own & 1 << *old as u8 != 0);
            assert_eq!(Some(agreed.dialect), silent);
        }
    }
}

/// One announcement of several sessions contains what each browser looks for. With more than one session,
/// Safari requires the three initial limits.
#[test]
fn one_advertisement_fits_all_browsers() {
    let config = Config { max_sessions: 16, ..Config::default() };
    let mut bytes = Vec::new();
    Sessions::settings(&config).encode(0x5eed, &mut bytes);
    let mut rest = &bytes[..];
    let mut number = || {
        let (value, length) = varint::decode(rest)?;
        rest = &rest[length..];
        Some(value)
    };
    let all = std::iter::from_fn(|| Some((number()?, number()?)));
    let (grease, mut known): (Vec<_>, Vec<_>) = all.partition(|(id, _)| id.wrapping_sub(0x21) % 0x1f == 0);
    assert_eq!(grease.len(), 1);
    known.sort_unstable();
    let expected = [
        (0x08, 1),
        (0x33, 1),
        (0x2b61, 512 << 10),
        (0x2b64, 256),
        (0x2b65, 256),
        (0xff_d277, 1),
        (0x14e9_cd29, 16),
        (0x2b60_3742, 1),
        (0x2c7c_f000, 1),
        (0xc671_706a, 16),
    ];
    assert_eq!(known, expected);
}

#[test]
fn extended_connect_is_required_by_all_drafts_but_02() {
    for dialect in DIALECTS {
        let settings = settings_of(dialect).enable_connect_protocol(false);
        let mut rig = Rig::new(Side::Client, &Config::default(), settings);
        rig.connect();
        assert_eq!(rig.node.refusal().is_some(), dialect != Dialect::Draft02, "{dialect}");
        rig.alive();
    }
}

/// Drafts before 15 have no `WT_ALPN_ERROR`: an answer that was not offered counts as none.
#[test]
fn w18_an_unoffered_protocol_is_ignored_by_older_drafts() {
    for dialect in DIALECTS {
        let mut rig = Rig::pending(Side::Client, dialect);
        let mut head = ResponseHead::new(StatusCode::OK);
        head.headers.insert(protocols::WT_PROTOCOL, "\"c\"".parse().unwrap());
        rig.peer.send_response(id(0).0, &head, false, &mut rig.pair.server).unwrap();
        rig.run();
        if dialect == Dialect::Draft16 {
            assert_eq!(rig.node.refusal(), Some(&Refusal::Protocol("c".to_owned())));
        } else {
            let [Event::Established { response, .. }] = &rig.node.events[..] else {
                panic!("{dialect}: {:?}", rig.node.events)
            };
            assert_eq!(response.protocol, None, "{dialect}");
        }
    }
}

#[test]
fn w19_statuses() {
    let statuses =
        [(200, true), (201, true), (302, false), (403, false), (404, false), (405, false), (501, false)];
    for (dialect, (status, established)) in DIALECTS.into_iter().flat_map(|d| statuses.map(|case| (d, case)))
    {
        let mut rig = Rig::pending(Side::Client, dialect);
        rig.answer(103);
        assert_eq!(names(&rig.node.events), [""; 0]);
        let mut head = ResponseHead::new(StatusCode::from_u16(status).unwrap());
        head.headers.insert("retry-after", http::HeaderValue::from(status));
        rig.peer.send_response(id(0).0, &head, false, &mut rig.pair.server).unwrap();
        rig.run();
        assert_eq!(rig.node.has("established"), established);
        if !established {
            let Some(Refusal::Status { status: told, headers }) = rig.node.refusal() else { panic!() };
            assert_eq!((*told, &headers["retry-after"]), (status, &http::HeaderValue::from(status)));
            assert!(rig.node.refusal().unwrap().to_string().contains(&status.to_string()));
            assert!(rig.node.sessions.sessions.is_empty());
            // The redirect is not followed.
            let requests =
                rig.peer_events.iter().filter(|event| matches!(event, h3_core::Event::Request { .. }));
            assert_eq!(requests.count(), 1);
        }
        rig.alive();
    }
}

#[test]
fn w19_end_or_reset_instead_of_a_response() {
    let mut rig = Rig::pending(Side::Client, Dialect::Draft16);
    rig.pair.server.finish(id(0).0).unwrap();
    rig.run();
    assert_eq!(rig.node.refusal(), Some(&Refusal::NoResponse));
    let mut rig = Rig::pending(Side::Client, Dialect::Draft16);
    rig.peer.reset(id(0).0, 0x10b, &mut rig.pair.server);
    rig.run();
    assert_eq!(rig.node.refusal(), Some(&Refusal::Reset(0x10b)));
    assert_eq!(names(&rig.node.events), ["refused"]);
}

#[test]
fn w15_one_session_at_a_time() {
    for dialect in DIALECTS {
        for open in [false, true] {
            let mut rig = Rig::pending(Side::Server, dialect);
            if open {
                rig.establish();
            }
            let second = rig.ask(dialect.token());
            rig.assert_reset(second, 0x10b);
            assert_eq!(rig.node.refusal(), Some(&Refusal::TooManySessions { max: 1 }));
            assert_eq!(rig.node.sessions.session_count(), 1);
        }
        let mut rig = Rig::pending(Side::Client, dialect);
        let Node { sessions, h3, .. } = &mut rig.node;
        let second = sessions.connect(request(), h3, &mut rig.pair.client);
        assert_eq!(second, Err(crate::ConnectError::SessionExists));
    }
}

#[test]
fn w18_application_protocols() {
    for (answer, expected) in
        [(Some("\"b\""), Ok(Some("b"))), (None, Ok(None)), (Some("b"), Ok(None)), (Some("\"c\""), Err("c"))]
    {
        let mut rig = Rig::new(Side::Client, &Config::default(), settings_of(Dialect::Draft16));
        let mut asked = request();
        asked.headers.insert(protocols::WT_AVAILABLE_PROTOCOLS, protocols::offer(&["a", "b"]).unwrap());
        let Node { sessions, h3, .. } = &mut rig.node;
        sessions.connect(asked, h3, &mut rig.pair.client).unwrap();
        rig.run();
        let mut head = ResponseHead::new(StatusCode::OK);
        if let Some(answer) = answer {
            head.headers.insert(protocols::WT_PROTOCOL, answer.parse().unwrap());
        }
        rig.peer.send_response(id(0).0, &head, false, &mut rig.pair.server).unwrap();
        rig.run();
        match expected {
            Ok(name) => {
                let [Event::Established { response, .. }] = &rig.node.events[..] else { panic!() };
                assert_eq!(response.protocol.as_deref(), name);
            }
            Err(name) => {
                assert_eq!(rig.node.refusal(), Some(&Refusal::Protocol(name.to_owned())));
                rig.assert_reset(id(0).0, crate::codes::WT_ALPN_ERROR);
            }
        }
    }
}

/// Drafts 10 to 12 wrote tokens: such an offer is answered with a token, and all other drafts ignore it.
#[test]
fn w18_protocols_in_the_form_of_tokens() {
    for dialect in DIALECTS {
        for (offer, expected, answer) in [
            ("a, b", dialect == Dialect::Draft07, "b"),
            ("\"a\", \"b\"", true, "\"b\""),
            ("a, \"b\"", false, ""),
        ] {
            let mut rig = Rig::new(Side::Server, &config_of(dialect), settings_of(dialect));
            let headers = [(protocols::WT_AVAILABLE_PROTOCOLS, offer.parse().unwrap())].into_iter().collect();
            rig.ask_with(dialect.token(), headers);
            let [Event::Incoming { request, .. }] = &rig.node.events[..] else { panic!("{dialect}") };
            let names: &[&str] = if expected { &["a", "b"] } else { &[] };
            assert_eq!(request.protocols, names, "{dialect} {offer}");
            let choice = request.choice("b");
            assert_eq!(choice.as_ref().map(|value| value.to_str().unwrap()), expected.then_some(answer));
            assert_eq!(request.choice("c"), None, "not offered");
        }
    }
}

/// If the client requires a protocol, a missing answer and one that is not a string also end the session.
#[test]
fn w18_a_protocol_that_is_required() {
    for dialect in DIALECTS {
        for (answer, expected) in
            [(Some("\"b\""), true), (None, false), (Some("b"), false), (Some("7"), false)]
        {
            let config = Config { require_protocol: true, ..config_of(dialect) };
            let mut rig = Rig::new(Side::Client, &config, settings_of(dialect));
            let mut asked = request();
            asked.headers.insert(protocols::WT_AVAILABLE_PROTOCOLS, protocols::offer(&["a", "b"]).unwrap());
            let Node { sessions, h3, .. } = &mut rig.node;
            sessions.connect(asked, h3, &mut rig.pair.client).unwrap();
            rig.run();
            let mut head = ResponseHead::new(StatusCode::OK);
            if let Some(answer) = answer {
                head.headers.insert(protocols::WT_PROTOCOL, answer.parse().unwrap());
            }
            rig.peer.send_response(id(0).0, &head, false, &mut rig.pair.server).unwrap();
            rig.run();
            assert_eq!(rig.node.has("established"), expected, "{dialect} {answer:?}");
            if !expected {
                assert_eq!(rig.node.refusal(), Some(&Refusal::NoProtocol));
                let text = Refusal::NoProtocol.to_string();
                assert!(text.contains("WT-Protocol"), "{text}");
                // Drafts before 15 have no code for it.
                let alpn = dialect == Dialect::Draft16;
                rig.assert_reset(id(0).0, if alpn { crate::codes::WT_ALPN_ERROR } else { 0x10c });
            }
        }
        // A client that offers no protocol requires none.
        let config = Config { require_protocol: true, ..config_of(dialect) };
        let mut rig = Rig::new(Side::Client, &config, settings_of(dialect));
        rig.connect();
        rig.establish();
    }
}

#[test]
fn connect_waits_for_a_stream_and_can_be_cancelled() {
    let mut rig = Rig::new(Side::Client, &Config::default(), settings_of(Dialect::Draft16));
    rig.pair.server.grants[0] = 0;
    rig.run();
    rig.connect();
    assert_eq!(rig.node.requested, []);
    rig.pair.server.grants[0] = 1;
    rig.run();
    let [(request, session)] = rig.node.requested[..] else { panic!("{:?}", rig.node.requested) };
    assert_eq!(session, id(0));
    let Node { sessions, h3, .. } = &mut rig.node;
    sessions.cancel_connect(request, h3, &mut rig.pair.client);
    rig.run();
    assert_eq!(rig.node.refusal(), Some(&Refusal::Cancelled));
    rig.assert_reset(id(0).0, 0x10c);
}
