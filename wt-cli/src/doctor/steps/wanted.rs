//! What steps judge by, beside what was observed.

/// What was asked for and the circumstances, as far as steps judge by them.
pub(in super::super) struct Wanted {
    pub(in super::super) host: String,
    /// How the certificate is judged.
    pub(in super::super) trust: Trust,
    pub(in super::super) now: std::time::SystemTime,
    /// Application protocols on offer.
    pub(in super::super) protocols: Vec<String>,
}

/// How the certificate is judged.
pub(in super::super) struct Trust {
    pub(in super::super) by_hash: bool,
    pub(in super::super) options: wt_api::WebTransportOptions,
}
