//! The criteria of the steps, apart from observations.

/// The request and its circumstances, as far as steps depend on them.
pub(in super::super) struct Wanted {
    pub(in super::super) host: String,
    /// How the certificate is judged.
    pub(in super::super) trust: Trust,
    pub(in super::super) now: std::time::SystemTime,
    /// The application protocols that are offered.
    pub(in super::super) protocols: Vec<String>,
}

/// How the certificate is judged.
pub(in super::super) struct Trust {
    pub(in super::super) by_hash: bool,
    pub(in super::super) options: wt_api::WebTransportOptions,
}
