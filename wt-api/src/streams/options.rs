//! The options of a new stream.

use super::group::SendGroup;

/// Options of new streams (W3C `WebTransportSendStreamOptions`).
#[derive(Clone, Debug)]
#[must_use]
pub struct SendStreamOptions {
    pub(crate) send_group: Option<SendGroup>,
    pub(crate) send_order: i64,
    pub(crate) wait_until_available: bool,
}

impl Default for SendStreamOptions {
    fn default() -> Self {
        Self { send_group: None, send_order: 0, wait_until_available: true }
    }
}

impl SendStreamOptions {
    /// The defaults: no group, order 0, and waiting for credit.
    pub fn new() -> Self {
        Self::default()
    }

    /// The send group of the stream, which must belong to the same session. Default: no group.
    pub fn send_group(mut self, group: &SendGroup) -> Self {
        self.send_group = Some(group.clone());
        self
    }

    /// The send order. Streams with a higher order are sent strictly before others of their group. Default 0.
    pub fn send_order(mut self, order: i64) -> Self {
        self.send_order = order;
        self
    }

    /// Whether to wait if the peer permits no further stream now. Default true; with false this is an error.
    pub fn wait_until_available(mut self, wait: bool) -> Self {
        self.wait_until_available = wait;
        self
    }
}
