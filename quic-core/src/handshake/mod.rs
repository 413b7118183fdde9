//! The handshake: the TLS session and the CRYPTO streams that carry it (RFC 9001 §4, RFC 9000 §7).
//!
//! Owns the TLS session, one ordered byte stream per level and direction, and the peer's transport
//! parameters. Never knows the keys in use, packets or the path: secrets leave as [`Progress`] for the
//! keyring.

mod first_flight;
mod ids;
mod limits;
mod opening;
mod scan;
#[cfg(test)]
mod tests;
mod versions;

use bytes::Bytes;

pub(crate) use first_flight::FirstFlight;
pub(crate) use ids::{ExpectedIds, check_connection_ids};
pub(crate) use limits::check_early_limits;
pub(crate) use opening::Opening;
pub(crate) use versions::VersionsAgreed;

use scan::Scan;

use crate::{
    base::Budget,
    buf::{Assembler, SendBuffer},
    crypto::{ExportError, KeyChange, Secret, TlsError, TlsSession},
    error::Violation,
    frame::FrameWriter,
    ids::{Level, Side, Space},
    params::TransportParameters,
    version::Version,
};

/// How far CRYPTO data may be ahead of what TLS has read (RFC 9000 §7.5 asks for at least 4096 bytes).
const MAX_AHEAD: u64 = 64 * 1024;

/// The handshake cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    Violation(Violation),
    Tls(TlsError),
}

impl From<Violation> for HandshakeError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<TlsError> for HandshakeError {
    fn from(error: TlsError) -> Self {
        if error.left_over { Self::Violation(Violation::CryptoAfterLevel) } else { Self::Tls(error) }
    }
}

/// The results of one step of the handshake.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Secrets to install: level, local, remote.
    pub(crate) keys: Vec<(Level, Secret, Secret)>,
    /// The secret of 0-RTT packets: a client may send them, or a server has accepted them.
    pub(crate) early: Option<Secret>,
    /// The server's parameters as the client remembers them, with `early`.
    pub(crate) remembered: Option<TransportParameters>,
    /// The version that this server gives the connection.
    pub(crate) version: Option<Version>,
    /// Whether the server asks for another ClientHello (RFC 8446 §4.1.4): it will not accept 0-RTT.
    pub(crate) retried: bool,
    /// The peer's transport parameters, in the step in which they arrive. They are authentic once the
    /// handshake is complete.
    pub(crate) parameters: Option<TransportParameters>,
    /// Whether this step completed the handshake.
    pub(crate) completed: bool,
}

/// The CRYPTO data of one level, in both directions.
#[derive(Debug, Default)]
struct CryptoStream {
    send: SendBuffer,
    receive: Assembler,
}

/// The TLS session and its byte streams.
#[derive(Debug)]
pub(crate) struct Handshake {
    side: Side,
    /// None at a server that does not know yet which versions its client offers.
    tls: Option<TlsSession>,
    /// What the session is made from then.
    opening: Option<Box<Opening>>,
    streams: [Option<Box<CryptoStream>>; 3],
    /// The level that TLS writes to.
    write_level: Space,
    /// The level that TLS reads from.
    read_level: Space,
    complete: bool,
    confirmed: bool,
    parameters_seen: bool,
    /// Checks rules that TLS does not check: in the ClientHello at a server, in tickets at a client.
    scan: Scan,
}

impl Handshake {
    /// A handshake whose TLS session has begun.
    pub(crate) fn new(side: Side, tls: TlsSession) -> Self {
        Self { tls: Some(tls), ..Self::unopened(side) }
    }

    fn unopened(side: Side) -> Self {
        Self {
            side,
            tls: None,
            opening: None,
            streams: std::array::from_fn(|_| Some(Box::default())),
            write_level: Space::Initial,
            read_level: Space::Initial,
            complete: false,
            confirmed: false,
            parameters_seen: false,
            scan: Scan::new(),
        }
    }

    /// A server's handshake, whose TLS session begins with the client's first bytes.
    pub(crate) fn of_server(opening: Opening) -> Self {
        Self { opening: Some(Box::new(opening)), ..Self::unopened(Side::Server) }
    }

    /// The server has moved the connection of this client to another version.
    pub(crate) fn set_version(&mut self, version: Version) {
        if let Some(tls) = &mut self.tls {
            tls.set_version(version);
        }
    }

    /// Whether the TLS handshake is complete (RFC 9001 §4.1.1).
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the handshake is confirmed (RFC 9001 §4.1.2).
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Whether the peer's transport parameters have arrived.
    pub(crate) fn has_parameters(&self) -> bool {
        self.parameters_seen
    }

    /// Whether TLS has left the first level: a server has processed the ClientHello, a client the
    /// ServerHello.
    pub(crate) fn has_hello(&self) -> bool {
        self.read_level > Space::Initial
    }

    /// HANDSHAKE_DONE was received, or the handshake completed at a server. Returns whether the handshake was
    /// not confirmed before.
    pub(crate) fn confirm(&mut self) -> bool {
        !std::mem::replace(&mut self.confirmed, true)
    }

    /// Lets TLS write its first flight.
    pub(crate) fn start(&mut self) -> Result<Progress, HandshakeError> {
        let mut progress = self.drive()?;
        progress.retried = false;
        Ok(progress)
    }

    /// A CRYPTO frame arrived.
    pub(crate) fn on_crypto(
        &mut self,
        space: Space,
        offset: u64,
        data: Bytes,
        allocation: usize,
        budget: &mut Budget,
    ) -> Result<Progress, HandshakeError> {
        let end = offset + data.len() as u64;
        let Some(stream) = &mut self.streams[space as usize] else { return Ok(Progress::default()) };
        if space < self.read_level {
            // RFC 9001 §4.1.3: no new data may arrive at a level that TLS has left.
            if end > stream.receive.contiguous_end() {
                return Err(Violation::CryptoAfterLevel.into());
            }
            return Ok(Progress::default());
        }
        if end > stream.receive.bytes_read() + MAX_AHEAD {
            return Err(Violation::CryptoBufferExceeded.into());
        }
        stream
            .receive
            .insert(offset, data, allocation, budget)
            .map_err(|spent| Violation::of_budget(spent, Violation::CryptoBufferExceeded))?;
        let mut progress = Progress::default();
        while let Some(bytes) =
            self.streams[space as usize].as_mut().and_then(|s| s.receive.read(usize::MAX, budget))
        {
            if space == if self.side.is_client() { Space::Data } else { Space::Initial } {
                self.scan.on_bytes(&bytes)?;
            }
            let Some(step) = self.read(&bytes)? else { continue };
            progress.version = progress.version.or(step.version);
            progress.keys.extend(step.keys);
            progress.completed |= step.completed;
            progress.parameters = progress.parameters.or(step.parameters);
            progress.early = progress.early.or(step.early);
            progress.retried |= step.retried;
        }
        Ok(progress)
    }

    /// Has TLS read the next bytes. A server keeps them until it knows which versions the client offers; then the
    /// result names the version of the connection.
    fn read(&mut self, bytes: &[u8]) -> Result<Option<Progress>, HandshakeError> {
        let mut version = None;
        if let Some(opening) = &mut self.opening {
            opening.held.extend_from_slice(bytes);
            // A ClientHello that large is refused by TLS.
            let too_large = opening.held.len() as u64 > MAX_AHEAD;
            let Some(offer) = self.scan.offer().or(too_large.then_some(&[])) else { return Ok(None) };
            let (tls, chosen) = opening.open(offer)?;
            let held = std::mem::take(&mut opening.held);
            self.opening = None;
            self.scan.forget_offer();
            self.tls.insert(tls).read(&held)?;
            version = Some(chosen);
        } else if let Some(tls) = &mut self.tls {
            tls.read(bytes)?;
        }
        Ok(Some(Progress { version, ..self.drive()? }))
    }

    /// Collects what TLS has to send and what it has learnt.
    fn drive(&mut self) -> Result<Progress, HandshakeError> {
        let mut progress = Progress::default();
        let Some(tls) = &mut self.tls else { return Ok(progress) };
        let mut bytes = Vec::new();
        loop {
            let change = tls.write(&mut bytes)?;
            // What a client writes at this level besides its first flight is another ClientHello.
            progress.retried |= self.write_level == Space::Initial && !bytes.is_empty();
            if let (false, Some(stream)) = (bytes.is_empty(), &mut self.streams[self.write_level as usize]) {
                stream.send.write(Bytes::from(std::mem::take(&mut bytes)));
            }
            match change {
                None => break,
                Some(KeyChange::Handshake(local, remote)) => {
                    self.write_level = Space::Handshake;
                    self.read_level = Space::Handshake;
                    progress.keys.push((Level::Handshake, local, remote));
                }
                Some(KeyChange::OneRtt(local, remote)) => {
                    self.write_level = Space::Data;
                    progress.keys.push((Level::OneRtt, local, remote));
                }
            }
        }
        take_early(self.side, tls, &mut progress);
        // In a client that resumes a session, TLS returns the parameters of the earlier connection until the
        // server's own arrive. RFC 9000 §7.4.1 allows them for 0-RTT only.
        let are_of_this_connection = !self.side.is_client() || !tls.is_handshaking();
        if let (true, false, Some(encoded)) =
            (are_of_this_connection, self.parameters_seen, tls.peer_parameters())
        {
            self.parameters_seen = true;
            progress.parameters = Some(TransportParameters::parse(encoded, self.side.peer())?);
        }
        if !self.complete && !tls.is_handshaking() {
            self.complete = true;
            tls.on_complete();
            self.read_level = Space::Data;
            progress.completed = true;
        }
        Ok(progress)
    }

    /// Whether there is handshake data to send at this level.
    pub(crate) fn wants(&self, space: Space) -> bool {
        self.streams[space as usize].as_ref().is_some_and(|s| s.send.has_lost() || s.send.has_unsent())
    }

    pub(crate) fn write(&mut self, space: Space, w: &mut FrameWriter<'_>) {
        let Some(stream) = &mut self.streams[space as usize] else { return };
        let send = &mut stream.send;
        while let Some(range) = send.peek_transmit(usize::MAX, u64::MAX) {
            let available = (range.end - range.start) as usize;
            let start = range.start;
            let Some(written) = w.crypto(space, start, available, |place| send.copy_to(start, place)) else {
                return;
            };
            send.on_sent(start..start + written as u64);
        }
    }

    pub(crate) fn on_acked(&mut self, space: Space, offset: u64, length: u32) {
        if let Some(stream) = &mut self.streams[space as usize] {
            stream.send.on_ack(offset..offset + u64::from(length));
        }
    }

    pub(crate) fn on_lost(&mut self, space: Space, offset: u64, length: u32) {
        if let Some(stream) = &mut self.streams[space as usize] {
            stream.send.on_lost(offset..offset + u64::from(length));
        }
    }

    /// Sends all unacknowledged data of a level again, after a Retry (RFC 9000 §17.2.5.3) or as a probe.
    pub(crate) fn resend(&mut self, space: Space) {
        if let Some(stream) = &mut self.streams[space as usize] {
            let range = stream.send.acked_to()..stream.send.sent_end();
            stream.send.on_lost(range);
        }
    }

    /// The keys of the level were discarded, so its data is, too.
    pub(crate) fn discard(&mut self, space: Space, budget: &mut Budget) {
        if let Some(mut stream) = self.streams[space as usize].take() {
            stream.receive.clear(budget);
        }
    }

    /// The connection has ended: no received data will be read any more.
    pub(crate) fn clear(&mut self, budget: &mut Budget) {
        for stream in self.streams.iter_mut().flatten() {
            stream.receive.clear(budget);
        }
    }

    /// The TLS session, to ask what it knows of the peer. `None` at a server that has not seen the ClientHello.
    pub(crate) fn tls(&self) -> Option<&TlsSession> {
        self.tls.as_ref()
    }

    pub(crate) fn export_keying_material(
        &self,
        out: &mut [u8],
        label: &[u8],
        context: &[u8],
    ) -> Result<(), ExportError> {
        match self.tls.as_ref().filter(|_| self.complete) {
            Some(tls) => tls.export_keying_material(out, label, context),
            None => Err(ExportError),
        }
    }
}

/// Takes the secret of 0-RTT packets when TLS has it, and at a client the server's parameters as they were when the
/// session that is resumed was made (RFC 9000 §7.4.1).
fn take_early(side: Side, tls: &mut TlsSession, progress: &mut Progress) {
    let Some(secret) = tls.take_early_secret() else { return };
    if side.is_client() {
        let parse = |encoded: &[u8]| TransportParameters::parse(encoded, Side::Server).ok();
        progress.remembered = tls.peer_parameters().and_then(parse).map(|known| known.remembered());
        if progress.remembered.is_none() {
            return;
        }
    }
    progress.early = Some(secret);
}
