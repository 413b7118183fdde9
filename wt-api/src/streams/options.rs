//! What a new stream may be asked for.

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
    /// No group, order 0, and waiting for credit.
    pub fn new() -> Self {
        Self::default()
    }

    /// The group among which the stream ranks; it has to be of the same session. Default: that of those that choose none.
    pub fn send_group(mut self, group: &SendGroup) -> Self {
        self.send_group = Some(group.clone());
        self
    }

    /// Streams of a higher order send first, strictly, among those of their group. Default 0.
    pub fn send_order(mut self, order: i64) -> Self {
        self.send_order = order;
        self
    }

    /// Whether to wait when the peer permits no further stream now. Default true; false makes that case an error.
    pub fn wait_until_available(mut self, wait: bool) -> Self {
        self.wait_until_available = wait;
        self
    }
}
