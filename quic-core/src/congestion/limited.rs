//! What keeps a path from sending more.

/// What keeps a path from sending more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitedBy {
    /// The application has nothing to send.
    #[default]
    Application,
    /// The peer's flow control holds back what the application has (RFC 9000 §4).
    FlowControl,
    /// The peer's address is not validated (RFC 9000 §8.1).
    Amplification,
    /// The pacer has not released the next packet yet; the window has room.
    Pacer,
    /// The congestion window is full.
    Window,
}

impl LimitedBy {
    /// Whether the path would carry more than it is given: neither the window nor the pacer holds anything
    /// back.
    #[must_use]
    pub const fn is_application(self) -> bool {
        matches!(self, Self::Application | Self::FlowControl | Self::Amplification)
    }
}
