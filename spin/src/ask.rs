//! Calls all functions of an error and checks that the answers agree.

use wt_api::{WebTransportError, WebTransportErrorSource};

use crate::actor::Actor;

/// Calls all functions of an error.
pub(crate) fn ask(actor: &Actor, error: &WebTransportError) {
    actor.did("WebTransportError::error_source");
    actor.did("WebTransportError::stream_error_code");
    actor.did("WebTransportError::cause");
    actor.did("WebTransportError::close_info");
    let of_stream = error.error_source() == WebTransportErrorSource::Stream;
    if error.close_info().is_some() && of_stream {
        actor.check(Err(format!("an error of one stream tells of the session's close: {error}")));
    }
    if error.stream_error_code().is_some() && !of_stream {
        actor
            .check(Err(format!("an error of the session has a stream's code: {error}: {:?}", error.cause())));
    }
}
