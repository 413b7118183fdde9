//! Code of the application that panics: catching that, and its message.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::error::ErrorCause;

/// Code of the application panicked, with this message.
#[derive(Clone, Debug)]
pub(crate) struct Panicked(pub(super) Arc<str>);

impl Panicked {
    pub(crate) fn cause(&self) -> ErrorCause {
        ErrorCause::CallbackPanicked(Arc::clone(&self.0))
    }
}

/// Runs what may call code of the application. What `work` changed may be halfway done if that panics.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        Panicked(text.unwrap_or("without a message").into())
    })
}

/// The same where nothing is left to be done about it, and the panic that a peer caused was told before. At a level that
/// is off by default: a peer that makes one waker panic can make thousands.
pub(super) fn quietly(work: impl FnOnce()) {
    if let Err(Panicked(message)) = contain(work) {
        tracing::debug!(%message, "code of the application panicked");
    }
}
