//! WebTransport sessions that transfer files, in either direction and on streams or datagrams.
//!
//! The first component of a session's path is its endpoint. Its files are in the folder of that name.

mod exchange;

use std::collections::BTreeMap;

use http::StatusCode;
use url::Url;
use wt_api::{AcceptOptions, CloseInfo, Request, Server, TransportConfig, WebTransport, WebTransportOptions};

use crate::{
    case::Task,
    environment::Environment,
    files, logs,
    tell::{Failure, announce},
    tls::{self, Suites},
};
use exchange::Exchange;

/// The file in which both ends write the name of the negotiated protocol.
const NEGOTIATED: &str = "negotiated_protocol.txt";

/// The endpoint and the file of a path; no file if the path names only the endpoint.
fn split(path: &str) -> (&str, Option<&str>) {
    let path = path.trim_start_matches('/');
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    match path.split_once('/') {
        Some((endpoint, file)) => (endpoint, Some(file).filter(|file| !file.is_empty())),
        None => (path, None),
    }
}

/// The files, by the URL of their session.
fn plan(requests: &[String]) -> Result<BTreeMap<Url, Vec<String>>, Failure> {
    let mut sessions = BTreeMap::<Url, Vec<String>>::new();
    for request in requests {
        let mut url = Url::parse(request).map_err(|error| format!("REQUESTS: {request}: {error}"))?;
        let path = url.path().to_owned();
        let (endpoint, file) = split(&path);
        url.set_path(endpoint);
        sessions.entry(url).or_default().extend(file.map(str::to_owned));
    }
    Ok(sessions)
}

/// Opens a client's session.
async fn connect(url: &Url, options: WebTransportOptions) -> Result<WebTransport, Failure> {
    let session = WebTransport::new(url.as_str(), options).map_err(|error| error.to_string())?;
    session.ready().await.map_err(|error| error.to_string())?;
    Ok(session)
}

/// Opens the sessions of `REQUESTS`, concurrently and on one connection.
pub(crate) async fn client(task: Task, environment: &Environment) -> Result<(), Failure> {
    let (tls, _) = tls::client(tls::ALPN_H3, Suites::All, false)?;
    let options = WebTransportOptions::new()
        .rustls_config(tls)
        .transport(TransportConfig::new().observers(logs::observers()))
        .protocols(environment.protocols.iter().cloned())
        .allow_pooling(true);
    let mut sessions = tokio::task::JoinSet::new();
    for (url, files) in plan(&environment.requests)? {
        let (environment, options) = (environment.clone(), options.clone());
        sessions.spawn(async move { visit(task, &environment, &url, options, files).await });
    }
    while let Some(ended) = sessions.join_next().await {
        ended.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// Runs one session of a client, from the request to the close.
async fn visit(
    task: Task,
    environment: &Environment,
    url: &Url,
    options: WebTransportOptions,
    files: Vec<String>,
) -> Result<(), Failure> {
    let session = connect(url, options).await?;
    note(environment, session.protocol().as_deref())?;
    let exchange = Exchange::start(session.clone(), environment, split(url.path()).0);
    match task {
        Task::Handshake => {}
        Task::Ask(carrier) => exchange.get(carrier, files).await?,
        Task::Answer => {
            session.closed().await.map_err(|error| error.to_string())?;
        }
    }
    session.close(CloseInfo::default());
    let closed = session.closed().await;
    wt_api::wait_idle().await;
    closed.map(drop).map_err(|error| error.to_string())
}

/// Writes the name of the negotiated protocol where the runner looks for it.
fn note(environment: &Environment, protocol: Option<&str>) -> Result<(), Failure> {
    let protocol = protocol.ok_or("no protocol was negotiated")?;
    files::save(&environment.downloads, NEGOTIATED, protocol.as_bytes())
}

/// Serves until the process is ended.
pub(crate) async fn server(task: Task, environment: &Environment) -> Result<(), Failure> {
    let server = Server::builder()
        .rustls_config(tls::server(environment, tls::ALPN_H3, Suites::All)?)
        .listen((std::net::Ipv6Addr::UNSPECIFIED, environment.port).into())
        .transport(TransportConfig::new().observers(logs::observers()))
        .build()
        .map_err(|error| error.to_string())?;
    server.local_addresses().iter().copied().for_each(announce);
    while let Some(request) = server.accept().await {
        let environment = environment.clone();
        tokio::spawn(async move {
            if let Err(error) = receive(task, &environment, request).await {
                wt_cli::console::tell(&format!("weft-interop: {error}\n"));
            }
        });
    }
    Ok(())
}

/// Runs one session of a server, from the request to the end.
async fn receive(task: Task, environment: &Environment, request: Request) -> Result<(), Failure> {
    let path = request.path().to_owned();
    let endpoint = split(&path).0;
    // The client's order of preference decides.
    let chosen =
        request.protocols().iter().find(|protocol| environment.protocols.contains(protocol)).cloned();
    if files::inside(&environment.www, endpoint).is_none() {
        request.reject(StatusCode::NOT_FOUND).await;
        return Err(format!("{path} is not an endpoint"));
    }
    note(environment, chosen.as_deref())?;
    let options = AcceptOptions::new().protocol(chosen.unwrap_or_default());
    let session = request.accept(options).await.map_err(|error| error.to_string())?;
    let exchange = Exchange::start(session.clone(), environment, endpoint);
    if let Task::Ask(carrier) = task {
        let all = environment.requests.iter().map(|request| split(request));
        let ours = all.filter(|(of, _)| *of == endpoint).filter_map(|(_, file)| file.map(str::to_owned));
        exchange.get(carrier, ours.collect()).await?;
        session.close(CloseInfo::default());
    }
    session.closed().await.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_an_endpoint_and_perhaps_a_file() {
        assert_eq!(split("/room/a/b"), ("room", Some("a/b")));
        assert_eq!(split("room/a"), ("room", Some("a")));
        assert_eq!(split("/room/"), ("room", None));
        assert_eq!(split("/room?x=/y"), ("room", None));
        assert_eq!(split("/"), ("", None));
    }

    #[test]
    fn the_files_of_an_endpoint_share_a_session() {
        let requests = ["https://s/one/a", "https://s/two/", "https://s/one/b"].map(str::to_owned);
        let plan = plan(&requests).unwrap();
        let plan: Vec<_> = plan.iter().map(|(url, files)| (url.as_str(), files.join(" "))).collect();
        assert_eq!(plan, [("https://s/one", "a b".to_owned()), ("https://s/two", String::new())]);
    }
}
