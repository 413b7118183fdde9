//! Catches panics of the application's code, with their messages.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::error::ErrorCause;

/// The application's code panicked, with this message.
#[derive(Clone, Debug)]
pub(crate) struct Panicked(pub(super) Arc<str>);

impl Panicked {
    pub(crate) fn cause(&self) -> ErrorCause {
        ErrorCause::CallbackPanicked(Arc::clone(&self.0))
    }
}

/// Runs code that may call the application's. If that panics, what `work` changed may be inconsistent.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        Panicked(text.unwrap_or("without a message").into())
    })
}

/// The same where nothing can be done about it any more, and the panic that a peer caused was already logged.
/// It logs at a level that is off by default: a peer that makes one waker panic can make thousands panic.
pub(super) fn quietly(work: impl FnOnce()) {
    if let Err(Panicked(message)) = contain(work) {
        tracing::debug!(%message, "code of the application panicked");
    }
}
