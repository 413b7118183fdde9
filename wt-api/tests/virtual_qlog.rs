//! What an observer of sessions sees: QUIC, HTTP/3 and WebTransport in one log, held against the drafts of qlog; and the
//! files of a folder.

#[path = "../../qlog/tests/cddl/mod.rs"]
mod cddl;
mod virtual_common;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use qlog::{Output, Qlog, Settings};
use serde_json::Value;
use virtual_common::{echo_all, options, pattern, round_trip, seconds};
use wt_api::{
    CloseInfo, Observer, ObserverFactory, Server, WebTransport, http3,
    protocol::ConnectionStart,
    testing::{LinkConfig, MILLISECOND, Network},
};

/// Whether a connection is the client's, and what it has written.
type Log = (bool, Vec<u8>);

/// What all connections have written.
#[derive(Clone, Debug, Default)]
struct Logs(Arc<Mutex<Vec<Log>>>);

struct One(Logs, usize);

impl Output for One {
    fn write(&mut self, block: Vec<u8>, _: u64) -> bool {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)[self.1].1.extend(block);
        true
    }
}

impl ObserverFactory for Logs {
    fn observer(&self, start: &ConnectionStart) -> Option<Box<dyn Observer>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((start.side.is_client(), Vec::new()));
        Some(Box::new(Qlog::new(Settings::new("test"), Box::new(One(self.clone(), all.len() - 1)))))
    }
}

impl Logs {
    /// The records of one end's connections.
    fn records(&self, client: bool) -> Vec<Value> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.iter().filter(|(of_client, _)| *of_client == client);
        let records = own.flat_map(|(_, log)| log.split(|byte| *byte == 0x1e).skip(1));
        records.map(|record| serde_json::from_slice(record).expect("JSON")).collect()
    }
}

#[test]
fn sessions_and_requests_are_in_the_log_and_keep_to_the_drafts() {
    let logs = Logs::default();
    let network = Network::new(11);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
    let identity = network.identity(["server"]);
    let hash = identity.certificate_hash();
    let observers: Arc<dyn ObserverFactory> = Arc::new(logs.clone());
    let builder = Server::builder().identity(identity).observers(Arc::clone(&observers));
    let builder = builder.http_service(|_| async { http::Response::new(http3::Body::from("body")) });
    let server = Arc::new(host.enter(|| builder.build().unwrap()));
    let options = options(hash).observers(observers);
    network.run(async {
        drop(host.spawn(echo_all(host.clone(), Arc::clone(&server))));
        let session = client.enter(|| WebTransport::new("https://server/path", options.clone()).unwrap());
        session.ready().await.unwrap();
        round_trip(&session, pattern(1, 5_000)).await.unwrap();
        session.datagrams().writable.send("datagram".into()).await.unwrap();
        session.receive_datagram().await.unwrap();
        session.close(CloseInfo::new(3, "enough"));
        session.closed().await.unwrap();
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", "Bearer secret-word".parse().unwrap());
        let options = options.clone().headers(headers);
        let get =
            async move { http3::get("https://server/page", options).await.map(|response| response.status()) };
        assert_eq!(client.spawn(get).await.unwrap(), http::StatusCode::OK);
        network.sleep(seconds(40)).await;
    });
    drop(network);
    for is_client in [true, false] {
        let records = logs.records(is_client);
        if let Some(schema) = cddl::schema() {
            for record in &records {
                schema.check_record(record).unwrap_or_else(|fault| panic!("{fault}\nin {record}"));
            }
        }
        let text = records.iter().map(Value::to_string).collect::<String>();
        assert!(text.contains("authorization") && !text.contains("secret-word"), "no credentials");
        let mut seen = BTreeSet::new();
        for record in &records {
            let name = record["name"].as_str().unwrap_or("header");
            seen.insert(name.to_owned());
            for key in ["/data/frame/frame_type", "/data/stream_type", "/data/initiator"] {
                if let Some(value) = record.pointer(key).and_then(Value::as_str) {
                    seen.insert(format!("{name} {value}"));
                }
            }
        }
        let wanted = [
            "quic:packet_sent",
            "http3:parameters_set local",
            "http3:parameters_set remote",
            "http3:stream_type_set control",
            "http3:stream_type_set request",
            "http3:frame_created settings",
            "http3:frame_created headers",
            "http3:frame_parsed settings",
            "http3:frame_parsed headers",
            "http3:datagram_created",
            "http3:datagram_parsed",
            "weft_webtransport:session_requested",
            "weft_webtransport:session_closed",
        ];
        let by_side: &[&str] = if is_client {
            &["http3:frame_parsed data", "weft_webtransport:session_established"]
        } else {
            &["http3:frame_created data", "weft_webtransport:stream_opened"]
        };
        for name in wanted.iter().chain(by_side) {
            assert!(seen.contains(*name), "{name} of {is_client} not in {seen:?}");
        }
    }
}

#[test]
fn a_folder_has_a_file_for_each_connection_and_end() {
    let folder = std::env::temp_dir().join(format!("weft-qlog-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let network = Network::new(12);
    let (host, client) = (network.host("server"), network.host("client"));
    drop(network.link(&host, &client, &LinkConfig::new().delay(10 * MILLISECOND)));
    let logs = host.enter(|| wt_api::qlog::directory(&folder, "a test")).unwrap();
    let identity = network.identity(["server"]);
    let hash = identity.certificate_hash();
    let server =
        host.enter(|| Server::builder().identity(identity).observers(Arc::new(logs.clone())).build());
    let server = Arc::new(server.unwrap());
    network.run(async {
        drop(host.spawn(echo_all(host.clone(), Arc::clone(&server))));
        let options = options(hash).observers(Arc::new(logs.clone()));
        let session = client.enter(|| WebTransport::new("https://server/", options).unwrap());
        session.ready().await.unwrap();
        session.close(CloseInfo::default());
        session.closed().await.unwrap();
        network.sleep(seconds(40)).await;
    });
    drop(network);
    assert!(logs.flush(Duration::from_secs(60)));
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[0].strip_suffix("_client.sqlog"), names[1].strip_suffix("_server.sqlog"));
    for name in &names {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let records: Vec<Value> =
            text.split('\x1e').skip(1).map(|record| serde_json::from_str(record).expect("JSON")).collect();
        assert_eq!(records[0]["title"], "a test");
        let date =
            records[0]["trace"]["common_fields"]["reference_time"]["wall_clock_time"].as_str().unwrap();
        assert!(date.starts_with("20") && date.ends_with('Z'), "{date}");
        assert!(records.iter().any(|record| record["name"] == "quic:connection_closed"), "{name}");
    }
    let stats = logs.stats();
    assert_eq!((stats.files, stats.dropped, stats.error), (2, 0, None));
    assert!(stats.events > 100 && stats.bytes > 10_000);
    std::fs::remove_dir_all(&folder).unwrap();
}
