//! The file server over HTTP/3.

use http::{Request, StatusCode};
use wt_api::{
    Server, TransportConfig,
    http3::{Body, IncomingBody, Response},
};

use crate::{
    environment::Environment,
    files, logs,
    tell::{Failure, announce},
    tls::{self, Suites},
};

/// Serves until the process is ended.
pub(crate) async fn server(environment: &Environment) -> Result<(), Failure> {
    let www = environment.www.clone();
    let server = Server::builder()
        .rustls_config(tls::server(environment, tls::ALPN_H3, Suites::All)?)
        .listen((std::net::Ipv6Addr::UNSPECIFIED, environment.port).into())
        .transport(TransportConfig::new().observers(logs::observers()))
        .http_service(move |request: Request<IncomingBody>| {
            std::future::ready(match files::load(&www, request.uri().path()) {
                Some(content) => Response::new(Body::from(content)),
                None => {
                    let mut response = Response::new(Body::empty());
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    response
                }
            })
        })
        .build()
        .map_err(|error| error.to_string())?;
    server.local_addresses().iter().copied().for_each(announce);
    // This case offers no sessions: requests for one get 404.
    while server.accept().await.is_some() {}
    Ok(())
}
