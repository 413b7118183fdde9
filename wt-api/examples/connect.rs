//! MDN's "opening a connection": create a session, wait until it is ready, and learn how it ends.
//!
//! `cargo run -p wt-api --example connect -- https://localhost:4433/echo <hash of the certificate>`

mod arguments;

use std::error::Error;

use wt_api::{CloseInfo, WebTransport, WebTransportError, WebTransportOptions};

/// Starts to connect, and waits until the session is ready or has failed.
pub(crate) async fn init_transport(
    url: &str,
    options: WebTransportOptions,
) -> Result<WebTransport, Box<dyn Error>> {
    // An invalid URL or option fails here; a network error is reported by `ready` below.
    let transport = WebTransport::new(url, options)?;
    transport.ready().await?;
    Ok(transport)
}

/// Waits for the end of the session: a close with a code and a reason, or an error.
pub(crate) async fn report_end(transport: &WebTransport) -> Result<CloseInfo, WebTransportError> {
    let end = transport.closed().await;
    match &end {
        Ok(CloseInfo { close_code, reason, .. }) => println!("closed gracefully: {close_code} {reason:?}"),
        Err(error) => println!("closed abruptly: {error}"),
    }
    end
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (url, options) = arguments::parse()?;
    let transport = match init_transport(&url, options).await {
        Ok(transport) => transport,
        Err(error) => {
            println!("no session: {error}");
            return Err(error);
        }
    };
    if let Some((draft, why)) = transport.negotiated_draft() {
        println!("ready, {draft} ({why})");
    }
    transport.close(CloseInfo::new(0, "done"));
    let end = report_end(&transport).await;
    wt_api::wait_idle().await;
    Ok(end.map(drop)?)
}
