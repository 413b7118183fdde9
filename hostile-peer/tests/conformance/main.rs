//! The rows of the conformance table that QUIC itself answers, by their IDs: `f21_…` is row F21. Each `World`
//! ends with the checks that hold for all rows: the application was told why, and nothing is left of the
//! connection.

mod cases;
mod common;
mod coverage;
mod f_acks;
mod f_crypto;
mod f_encoding;
mod f_ids;
mod f_streams;
mod floods;
mod loopback;
mod m_path;
mod p_packets;
mod p_retry;
mod random;
mod smoke;
mod steps;
mod x_keys;
mod x_params;
mod x_tls;
