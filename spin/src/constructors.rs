//! The configuration before a connection: all options of both sides, and identities.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use http::StatusCode;
use netsim::Random;
use quic_core::congestion::CongestionConfig;
use wt_api::{
    AcceptOptions, AddressLimits, CertificateHash, Client, ClientBuilder, CongestionControl, Identity,
    Resumption, SelfSigned, Server, ServerBuilder, SessionCache, TicketKeys, Version, Versions,
    WebTransportOptions,
};

use crate::{
    book::Book,
    calls::CALLS,
    pages,
    spin::{Spin, fields},
    watcher::Watchers,
};

/// A required draft, or none.
fn dialect(random: &mut Random) -> Option<wt_session::Dialect> {
    let all = wt_session::Dialect::ALL;
    random.chance(0.2).then(|| all[random.below(all.len() as u64) as usize])
}

/// A client's options.
pub(crate) fn options(
    spin: &Spin,
    random: &mut Random,
    hash: CertificateHash,
    pooled: bool,
) -> WebTransportOptions {
    let did = |name| spin.book.count(name);
    let mut options = WebTransportOptions::new()
        .transport(spin.plan.client.clone())
        .connect_timeout(spin.plan.connect_timeout)
        .keep_alive_sessions(spin.plan.keep_alive)
        .headers(fields(random))
        .protocols(["spin.v1", "spin.v2"])
        .require_protocol(false)
        .require_unreliable(random.chance(0.5))
        .congestion_control(kind(random))
        .origin("https://origin.example")
        .observers(Arc::new(Watchers(Arc::clone(&spin.book))))
        .strict(random.chance(0.5));
    for name in
        ["new", "transport", "connect_timeout", "keep_alive_sessions", "headers", "protocols", "origin"]
    {
        count(&spin.book, "WebTransportOptions::", name);
    }
    for name in ["require_protocol", "require_unreliable", "congestion_control", "strict", "observers"] {
        count(&spin.book, "WebTransportOptions::", name);
    }
    if random.chance(0.2) {
        did("WebTransportOptions::anticipated_concurrent_incoming_bidirectional_streams");
        did("WebTransportOptions::anticipated_concurrent_incoming_unidirectional_streams");
        let streams = Some(random.below(6) as u16);
        options = options
            .anticipated_concurrent_incoming_bidirectional_streams(streams)
            .anticipated_concurrent_incoming_unidirectional_streams(streams);
    }
    if random.chance(0.3) {
        did("WebTransportOptions::versions");
        let version = if random.chance(0.5) { Version::V1 } else { Version::V2 };
        options = options.versions(Versions::default().opening_with(version));
    }
    if let Some(dialect) = dialect(random) {
        did("WebTransportOptions::only_dialect");
        options = options.only_dialect(dialect);
    }
    if pooled {
        did("WebTransportOptions::dangerous");
        did("DangerousOptions::no_certificate_verification");
        did("WebTransportOptions::allow_pooling");
        options.dangerous().no_certificate_verification().allow_pooling(true)
    } else if random.chance(0.1) {
        did("WebTransportOptions::trusted_certificates");
        options.trusted_certificates(spin.identity.certificate_chain())
    } else {
        did("WebTransportOptions::server_certificate_hashes");
        options.server_certificate_hashes([hash])
    }
}

/// A client with its own sockets, or `None`: then the host's shared client is used.
pub(crate) fn client(spin: &Spin, random: &mut Random) -> Option<Client> {
    if random.chance(0.4) {
        return None;
    }
    // For its requests; sessions have options of their own.
    let requests = WebTransportOptions::new()
        .transport(spin.plan.client.clone())
        .connect_timeout(spin.plan.connect_timeout)
        .keep_alive_sessions(spin.plan.keep_alive);
    let requests = requests.dangerous().no_certificate_verification();
    let mut builder = Client::builder().memory_budget(64 << 20).options(requests);
    for name in ["builder", "local_addresses"] {
        count(&spin.book, "Client::", name);
    }
    for name in ["memory_budget", "options", "build"] {
        count(&spin.book, "ClientBuilder::", name);
    }
    let families = [([0; 4], 0).into(), ([0_u16; 8], 0).into()];
    let bound = random.chance(0.5);
    if bound {
        spin.book.count("ClientBuilder::bind");
        builder = families.into_iter().fold(builder, ClientBuilder::bind);
    }
    if random.chance(0.5) {
        spin.book.count("ClientBuilder::session_cache");
        builder = builder.session_cache(SessionCache::new(random.below(3) as usize));
    }
    // A machine may lack a family.
    let client = builder.build().ok()?;
    if bound && random.chance(0.2) {
        spin.book.count("Client::rebind");
        if let Err(error) = client.rebind(families[0]) {
            spin.book.fail(format!("a client that has a socket cannot move: {error}"));
        }
    }
    if client.local_addresses().len() != if bound { families.len() } else { 0 } {
        spin.book.fail("a client has other addresses than it was bound to");
    }
    Some(client)
}

/// Counts a function of a type.
fn count(book: &Book, of: &str, name: &str) {
    let calls = CALLS.iter().filter(|call| call.strip_prefix(of) == Some(name));
    calls.for_each(|call| book.count(call));
}

/// QUIC versions in either order, of which one may be missing. Clients always offer both.
fn versions(random: &mut Random) -> Versions {
    let [first, second] =
        if random.chance(0.5) { [Version::V1, Version::V2] } else { [Version::V2, Version::V1] };
    if random.chance(0.3) { Versions::new([first]) } else { Versions::new([first, second]) }
}

/// A builder of a server.
pub(crate) fn builder(spin: &Spin, random: &mut Random) -> ServerBuilder {
    let streams = random.chance(0.2).then(|| random.below(6) as u16);
    let mut transport = spin.plan.server.clone();
    spin.book.count("CongestionControl::algorithm");
    if let Some(algorithm) = kind(random).algorithm() {
        transport.congestion = CongestionConfig::new(algorithm);
    }
    let builder = Server::builder()
        .identity(spin.identity.clone())
        .identity_for("other.example", spin.identity.clone())
        .transport(transport)
        .keep_alive_sessions(spin.plan.keep_alive)
        .congestion_control(kind(random))
        .anticipated_concurrent_incoming_bidirectional_streams(streams)
        .anticipated_concurrent_incoming_unidirectional_streams(streams)
        .retry_threshold(random.below(3) as usize)
        .max_connections(1_000)
        .max_sessions(1_000)
        .max_sessions_per_connection(1 + random.below(8))
        .address_limits(AddressLimits::default())
        .shards(NonZeroUsize::MIN.saturating_add(random.below(3) as usize))
        .memory_budget(256 << 20)
        .request_timeout(Some(Duration::from_secs(30)))
        .strict(false)
        .observers(Arc::new(Watchers(Arc::clone(&spin.book))))
        .body_timeout(Some(Duration::from_secs(30)))
        .http_service({
            let book = Arc::clone(&spin.book);
            move |request| pages::answer(Arc::clone(&book), request)
        });
    for name in
        ["identity", "identity_for", "transport", "keep_alive_sessions", "congestion_control", "strict"]
            .into_iter()
            .chain(["retry_threshold", "max_connections", "max_sessions", "max_sessions_per_connection"])
    {
        count(&spin.book, "ServerBuilder::", name);
    }
    for name in [
        "address_limits",
        "shards",
        "memory_budget",
        "request_timeout",
        "body_timeout",
        "http_service",
        "observers",
        "build",
        "anticipated_concurrent_incoming_bidirectional_streams",
        "anticipated_concurrent_incoming_unidirectional_streams",
    ] {
        count(&spin.book, "ServerBuilder::", name);
    }
    choices(spin, random, builder)
}

/// What only some servers have.
fn choices(spin: &Spin, random: &mut Random, mut builder: ServerBuilder) -> ServerBuilder {
    builder = if random.chance(0.5) {
        spin.book.count("ServerBuilder::allow_any_origin");
        builder.allow_any_origin()
    } else {
        spin.book.count("ServerBuilder::allowed_origins");
        builder.allowed_origins(["https://origin.example"])
    };
    if random.chance(0.3) {
        spin.book.count("ServerBuilder::session_receive_window");
        spin.book.count("ServerBuilder::max_session_receive_window");
        builder = builder.session_receive_window(8 << 10).max_session_receive_window(64 << 10);
    }
    if random.chance(0.5) {
        spin.book.count("ServerBuilder::versions");
        builder = builder.versions(versions(random));
        spin.book.count("ServerBuilder::resumption");
        builder = builder.resumption(match random.below(3) {
            0 => Resumption::none(),
            1 => Resumption::stateful(random.below(4) as usize),
            _ => Resumption::tickets(TicketKeys::new([7; 32])),
        });
    }
    builder
}

/// A random congestion control algorithm.
pub(crate) fn kind(random: &mut Random) -> CongestionControl {
    let kinds = [CongestionControl::Default, CongestionControl::Throughput, CongestionControl::LowLatency];
    kinds[random.below(3) as usize]
}

/// Random options for accepting a request.
pub(crate) fn accept_options(spin: &Spin, random: &mut Random) -> AcceptOptions {
    for name in ["new", "headers", "protocol", "status"] {
        count(&spin.book, "AcceptOptions::", name);
    }
    let options = AcceptOptions::new().headers(fields(random)).protocol("spin.v2");
    let options = if random.chance(0.1) { options.status(StatusCode::ACCEPTED) } else { options };
    let options = if random.chance(0.2) {
        spin.book.count("AcceptOptions::congestion_control");
        options.congestion_control(kind(random))
    } else {
        options
    };
    if random.chance(0.8) {
        return options;
    }
    spin.book.count("AcceptOptions::anticipated_concurrent_incoming_bidirectional_streams");
    spin.book.count("AcceptOptions::anticipated_concurrent_incoming_unidirectional_streams");
    options
        .anticipated_concurrent_incoming_bidirectional_streams(Some(4))
        .anticipated_concurrent_incoming_unidirectional_streams(Some(4))
}

/// Calls the functions of certificates, which need no network, once in a run.
pub(crate) fn identities(book: &Book) -> Result<(), Box<dyn std::error::Error>> {
    let made = Identity::self_signed(["spin.example"])?;
    let read =
        Identity::from_pem(made.certificate_chain_pem().as_bytes(), made.private_key_pem().as_bytes())?;
    let hash = read.certificate_hash();
    if hash != made.certificate_hash()
        || hash.to_string().parse::<CertificateHash>()? != hash
        || CertificateHash::new(*hash.as_bytes()) != hash
        || read.certificate_chain().first().map(|der| CertificateHash::of_certificate(der)) != Some(hash)
        || hash.to_base64().is_empty()
        || read.names() != ["spin.example"]
        || read.details().is_none()
        || read.public_key_pin().is_none()
    {
        book.fail("an identity that was written and read is another one");
    }
    let (from, _) = read.validity().ok_or("a certificate without a validity")?;
    let options = WebTransportOptions::new().server_certificate_hashes([hash]);
    options.judge_certificate("spin.example", &read.certificate_chain(), from + Duration::from_secs(10))?;
    let mut renewed = SelfSigned::new_at(["spin.example"], from)?;
    let (next, turn) = (renewed.next().certificate_hash(), renewed.renew_at());
    if !renewed.renew(turn)? || renewed.current().certificate_hash() != next {
        book.fail("the next identity does not become the current one");
    }
    let _ = (
        SelfSigned::new(["spin.example"])?.certificate_hashes(),
        Server::builder().renew_self_signed(renewed),
    );
    for of in ["Identity::", "CertificateHash::", "SelfSigned::", "CertificateDetails::"] {
        let calls = CALLS.iter().filter(|call| call.starts_with(of));
        calls.for_each(|call| book.count(call));
    }
    book.count("WebTransportOptions::judge_certificate");
    book.count("ServerBuilder::renew_self_signed");
    Ok(())
}
