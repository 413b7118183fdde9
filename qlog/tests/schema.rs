//! What connections write, held against the drafts: every event and field has to be there, and of its type.

mod cddl;
#[path = "../../quic-core/tests/moving/mod.rs"]
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
mod moving;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use netsim::{LinkConfig, Loss, MILLISECOND, SECOND};
use qlog::{Output, Qlog, Settings};
use quic_core::{
    ConnectionStart, Dir, Observer, ObserverFactory, TransportConfig,
    crypto::{Resumption, SessionCache},
};
use serde_json::Value;
use soak::{Policy, Setup, World, pattern};

/// What all connections have written, in their order.
#[derive(Clone, Debug, Default)]
struct Logs(Arc<Mutex<Vec<Vec<u8>>>>);

struct One(Logs, usize);

impl Output for One {
    fn write(&mut self, block: Vec<u8>, _: u64) -> bool {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)[self.1].extend(block);
        true
    }
}

impl ObserverFactory for Logs {
    fn observer(&self, _: &ConnectionStart) -> Option<Box<dyn Observer>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Vec::new());
        let settings =
            Settings::new("test").unix_time_of_origin(Some(std::time::Duration::from_secs(1_800_000_000)));
        Some(Box::new(Qlog::new(settings, Box::new(One(self.clone(), all.len() - 1)))))
    }
}

impl Logs {
    fn config(&self) -> TransportConfig {
        TransportConfig::new().observers(Some(Arc::new(self.clone())))
    }

    fn setup(&self) -> Setup {
        Setup { client: self.config(), server: self.config(), ..Setup::default() }
    }

    /// Checks every record, and counts them by event, frame and trigger.
    fn check(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        let Some(schema) = cddl::schema() else { return counts };
        for log in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let mut last = 0.0;
            for (n, record) in log.split(|byte| *byte == 0x1e).skip(1).enumerate() {
                assert_eq!(record.last(), Some(&b'\n'), "a whole record");
                let record: Value = serde_json::from_slice(record).expect("JSON");
                schema.check_record(&record).unwrap_or_else(|fault| panic!("{fault}\nin {record}"));
                assert_eq!(record["name"].is_null(), n == 0, "the header comes first and once");
                let time = record["time"].as_f64().unwrap_or_default();
                assert!(time >= last, "times do not go back");
                last = time;
                count(&mut counts, &record);
            }
        }
        counts
    }
}

fn count(counts: &mut BTreeMap<String, usize>, record: &Value) {
    let name = record["name"].as_str().unwrap_or("header");
    let mut add = |key: String| *counts.entry(key).or_default() += 1;
    add(name.to_owned());
    for key in ["trigger", "new", "packet_type", "event_type", "reason"] {
        let value = record["data"][key].as_str().or(record["data"]["header"][key].as_str());
        if let Some(value) = value {
            add(format!("{name} {value}"));
        }
    }
    for frame in record["data"]["frames"].as_array().into_iter().flatten() {
        add(format!("{name} {}", frame["frame_type"].as_str().expect("a type")));
    }
}

fn has(counts: &BTreeMap<String, usize>, wanted: &[&str]) {
    if counts.is_empty() {
        return;
    }
    let missing: Vec<_> = wanted.iter().filter(|key| !counts.contains_key(**key)).collect();
    assert!(missing.is_empty(), "{missing:?} not in {:?}", counts.keys().collect::<Vec<_>>());
}

fn part(world: &mut World) {
    let now = world.sim.now();
    let now = world.client_host().clock(now);
    world.client().connection.close(now, 0x105, b"enough \"quoted\"");
    world.wait("both gone", 30 * SECOND, |client, server| {
        client.driver.connections.is_empty() && server.driver.connections.is_empty()
    });
}

/// Retry, losses, streams, resets, datagrams, a key update, a close.
#[test]
fn a_busy_connection_keeps_to_the_drafts() {
    let logs = Logs::default();
    let link =
        LinkConfig::new().rate(8_000_000).delay(15 * MILLISECOND).queue(60_000).loss(Loss::Bernoulli(0.02));
    let mut setup = logs.setup();
    setup.server = setup.server.stream_receive_window(30_000).max_streams_bidi(3);
    let mut world = World::with(7, &link, &setup);
    world.server_host().policy = Policy::Retry;
    world.establish();
    let streams: Vec<_> = std::iter::from_fn(|| world.client().connection.open(Dir::Bidi)).collect();
    assert_eq!(streams.len(), 3);
    for id in &streams {
        world.client().send(*id, pattern(200_000), true);
    }
    for n in 0..20 {
        let now = soak::time(world.sim.now());
        let sent =
            world.client().connection.send_datagram(now, Bytes::from(vec![n; 500]), Default::default());
        sent.expect("room");
        world.pass(10 * MILLISECOND);
    }
    world.client().connection.update_keys();
    let _ = world.client().connection.reset(streams[0], 0x10c, 0);
    let _ = world.client().connection.reset(streams[2], 77, 5);
    let _ = world.client().connection.stop_sending(streams[0], 9);
    world.wait("an echo", 60 * SECOND, |client, _| client.peer().finished.contains(&streams[1]));
    world.pass(SECOND);
    // Nothing arrives for a while.
    for link in world.links {
        world.sim.link_mut(link).loss = Loss::Bernoulli(1.0);
    }
    let last = world.client().connection.open(Dir::Uni).expect("credit");
    world.client().send(last, pattern(100), true);
    world.pass(400 * MILLISECOND);
    for link in world.links {
        world.sim.link_mut(link).loss = Loss::None;
    }
    world.pass(SECOND);
    part(&mut world);
    drop(world);
    let counts = logs.check();
    has(
        &counts,
        &[
            "header",
            "quic:connection_started",
            "quic:connection_closed",
            "quic:connection_closed application",
            "quic:version_information",
            "quic:alpn_information",
            "quic:parameters_set",
            "quic:packet_received retry",
            "quic:packet_sent initial",
            "quic:packet_sent handshake",
            "quic:packet_sent 1RTT",
            "quic:packet_sent pto_probe",
            "quic:packet_sent stream",
            "quic:packet_sent datagram",
            "quic:packet_sent reset_stream",
            "quic:packet_sent reset_stream_at",
            "quic:packet_sent stop_sending",
            "quic:packet_sent stream_data_blocked",
            "quic:packet_sent new_connection_id",
            "quic:packet_sent connection_close",
            "quic:packet_received ack",
            "quic:packet_received max_stream_data",
            "quic:packet_lost reordering_threshold",
            "quic:packets_acked",
            "quic:udp_datagrams_sent",
            "quic:udp_datagrams_received",
            "quic:mtu_updated",
            "quic:key_updated tls",
            "quic:key_updated local_update",
            "quic:key_updated remote_update",
            "quic:key_discarded",
            "quic:recovery_parameters_set",
            "quic:recovery_metrics_updated",
            "quic:congestion_state_updated slow_start",
            "quic:congestion_state_updated recovery",
            "quic:ecn_state_updated",
            "quic:timer_updated set",
            "quic:timer_updated expired",
            "quic:tuple_assigned",
            "quic:stream_state_updated open",
            "quic:connection_state_updated handshake_confirmed",
            "quic:connection_state_updated draining",
            "quic:connection_id_updated",
            "quic:connection_data_blocked_updated stream_flow_control",
            "quic:connection_data_blocked_updated congestion_control",
            "quic:connection_data_blocked_updated application",
        ],
    );
}

#[test]
fn early_data_keeps_to_the_drafts() {
    for accepts in [true, false] {
        let logs = Logs::default();
        let link = LinkConfig::new().delay(20 * MILLISECOND).reorder(0.2, 10 * MILLISECOND);
        let mut world = World::with(3, &link, &logs.setup());
        let config = world.client_config.clone().sessions(Some(SessionCache::new(8))).early_data(true);
        world.client_config = config;
        let serve = |world: &mut World, way: &Resumption| {
            let mut config = quic_core::ServerConfig::clone(&world.server_config);
            config.tls = config.tls.with_resumption(way);
            world.server_host().driver.endpoint.set_server(Some(Arc::new(config)));
        };
        let way = Resumption::stateful_with_early_data(10);
        serve(&mut world, &way);
        world.establish();
        world.pass(SECOND);
        part(&mut world);
        if !accepts {
            serve(&mut world, &Resumption::stateful_with_early_data(10));
        }
        world.connect();
        let id = world.client().connection.open(Dir::Bidi).expect("remembered credit");
        world.client().send(id, pattern(3_000), true);
        world.wait("the echo", 10 * SECOND, |client, _| client.peer().finished.contains(&id));
        part(&mut world);
        let counts = logs.check();
        has(&counts, &["quic:parameters_restored", "quic:packet_sent 0RTT", "loglevel:info"]);
        if accepts {
            has(&counts, &["quic:packet_received 0RTT"]);
        }
    }
}

#[test]
fn a_client_that_moves_keeps_to_the_drafts() {
    let logs = Logs::default();
    let mut net = moving::Net::with(4, logs.config(), logs.config());
    net.establish();
    let second = moving::ip("198.51.100.77");
    net.nat.insert(second, moving::address("203.0.113.77:7777"));
    moving::exchange(&mut net, 50_000, |_| {});
    let now = net.clock();
    net.connection(0).migrate(now, second).expect("permitted");
    moving::exchange(&mut net, 200_000, |_| {});
    net.rebind(second, moving::address("203.0.113.78:1234"));
    moving::exchange(&mut net, 50_000, |_| {});
    net.pass(3 * moving::SECOND);
    assert!(moving::path_changes(&net, 0) > 0 && moving::path_changes(&net, 1) > 0);
    drop(net);
    has(
        &logs.check(),
        &[
            "quic:migration_state_updated probing_started",
            "quic:migration_state_updated migration_started",
            "quic:migration_state_updated migration_complete",
            "quic:packet_sent path_challenge",
            "quic:packet_sent path_response",
            "quic:packet_sent retire_connection_id",
            "quic:connection_id_updated",
            "quic:tuple_assigned",
        ],
    );
}

/// The test can fail: records that do not keep to the drafts are found.
#[test]
fn what_the_drafts_do_not_have_is_found() {
    let Some(schema) = cddl::schema() else { return };
    let record = |name: &str, data: Value| serde_json::json!({"time": 1.5, "name": name, "data": data});
    let good = serde_json::json!({"header": {"packet_type": "initial", "packet_number": 3}, "frames": [
        {"frame_type": "crypto", "offset": 0, "raw": {"payload_length": 5}}]});
    schema.check_record(&record("quic:packet_sent", good.clone())).expect("good");
    let change = |at: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(at).expect("it is there") = value;
        schema.check_record(&record("quic:packet_sent", bad)).expect_err(at)
    };
    assert!(schema.check_record(&record("quic:packet_shipped", good.clone())).is_err());
    assert!(change("/header/packet_type", "first".into()).contains("packet_type"));
    assert!(change("/header/packet_number", "3".into()).contains("packet_number"));
    assert!(change("/header", serde_json::json!({"packet_number": 3})).contains("packet_type"));
    assert!(change("/frames/0/frame_type", "cryptic".into()).contains("frame"));
    assert!(change("/frames/0/raw", Value::Null).contains("raw"));
    assert!(change("/frames/0", serde_json::json!({"frame_type": "crypto", "raw": {}})).contains("offset"));
    assert!(change("/frames/0/raw/payload_length", serde_json::json!(-1)).contains("payload_length"));
    assert!(change("/header", serde_json::json!({"packet_type": "1RTT", "colour": 1})).contains("colour"));
}
