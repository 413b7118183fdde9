//! Checks handshake messages for rules of QUIC that the TLS library does not check.
//!
//! Owns the rules on the session ID and the transport parameters of the ClientHello (RFC 9001 §8.2, §8.4) and
//! on the early data of tickets (§4.6.1). It walks the bytes as they come and stores none, except the transport
//! parameters of the first ClientHello: a server has to know the client's versions before TLS begins (RFC 9368
//! §2.3). Messages that do not parse are left to TLS.

use crate::error::Violation;

const CLIENT_HELLO: u8 = 1;
const NEW_SESSION_TICKET: u8 = 4;
const QUIC_TRANSPORT_PARAMETERS: u16 = 0x39;
const EARLY_DATA: u16 = 42;

/// The fields of a message before its extensions (RFC 8446 §4.1.2, §4.6.1).
#[derive(Clone, Copy, Debug)]
enum Field {
    /// This many bytes without interest.
    Fixed(usize),
    /// A vector whose length field takes this many bytes.
    Vector(usize),
    /// A vector whose length field takes one byte, and which must be empty.
    SessionId,
}

const CLIENT_HELLO_FIELDS: &[Field] =
    &[Field::Fixed(2 + 32), Field::SessionId, Field::Vector(2), Field::Vector(1)];
const NEW_SESSION_TICKET_FIELDS: &[Field] = &[Field::Fixed(4 + 4), Field::Vector(1), Field::Vector(2)];

/// The meaning of the number that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// The type and length of a message.
    Header,
    /// The length of a field.
    FieldLength,
    /// The length of all extensions.
    ExtensionsLength,
    /// The type and length of an extension.
    Extension,
    /// The value of the `early_data` extension.
    MaxEarlyData,
}

/// Walks the messages of one level.
#[derive(Debug)]
pub(super) struct Scan {
    reading: Reading,
    /// How many bytes of the number are still to come.
    digits: usize,
    value: u64,
    /// How many bytes to skip before the number begins.
    skip: usize,
    /// How many bytes of the message are still to come.
    left: usize,
    kind: u8,
    fields: &'static [Field],
    has_parameters: bool,
    offer: Offer,
}

/// The transport parameters of the first ClientHello.
#[derive(Debug)]
enum Offer {
    /// They may still come.
    Awaited,
    /// These bytes of them came, and this many are still to come.
    Partial(Vec<u8>, usize),
    /// They came, or they will not come: then there are none.
    Settled(Vec<u8>),
}

impl Scan {
    pub(super) fn new() -> Self {
        Self {
            reading: Reading::Header,
            digits: 4,
            value: 0,
            skip: 0,
            left: usize::MAX,
            kind: 0,
            fields: &[],
            has_parameters: false,
            offer: Offer::Awaited,
        }
    }

    /// The transport parameters of the first ClientHello, once they came; empty if they do not come. `None` until
    /// that is known.
    pub(super) fn offer(&self) -> Option<&[u8]> {
        match &self.offer {
            Offer::Settled(parameters) => Some(parameters),
            Offer::Awaited | Offer::Partial(..) => None,
        }
    }

    /// The transport parameters are no longer of interest.
    pub(super) fn forget_offer(&mut self) {
        self.offer = Offer::Settled(Vec::new());
    }

    /// What did not come in the first message does not come any more.
    fn end_offer(&mut self) {
        if self.offer().is_none() {
            self.forget_offer();
        }
    }

    /// Takes bytes that are skipped.
    fn on_skipped(&mut self, bytes: &[u8]) {
        let Offer::Partial(parameters, left) = &mut self.offer else { return };
        let bytes = &bytes[..bytes.len().min(*left)];
        parameters.extend_from_slice(bytes);
        *left -= bytes.len();
        if *left == 0 {
            self.offer = Offer::Settled(std::mem::take(parameters));
        }
    }

    /// Takes the next bytes of the level.
    pub(super) fn on_bytes(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.on_skipped(&bytes[..skipped]);
            bytes = &bytes[skipped..];
            self.skip -= skipped;
            self.left = self.left.saturating_sub(skipped);
            if self.reading != Reading::Header && self.left == 0 && self.skip == 0 {
                self.end_message()?;
            }
            let Some((byte, rest)) = bytes.split_first() else { return Ok(()) };
            bytes = rest;
            self.left = self.left.saturating_sub(1);
            self.value = self.value << 8 | u64::from(*byte);
            self.digits -= 1;
            if self.digits == 0 {
                let value = std::mem::take(&mut self.value);
                self.on_number(value)?;
            }
        }
    }

    /// Skips `skip` bytes, then reads a number of `digits` bytes. Skips to the end of the message if it has
    /// fewer.
    fn expect(&mut self, skip: usize, reading: Reading, digits: usize) {
        self.reading = reading;
        self.digits = digits;
        self.skip = if skip + digits > self.left { self.left } else { skip };
    }

    fn on_number(&mut self, value: u64) -> Result<(), Violation> {
        match self.reading {
            Reading::Header => {
                self.kind = (value >> 24) as u8;
                self.left = (value & 0xff_ffff) as usize;
                self.has_parameters = false;
                self.fields = match self.kind {
                    CLIENT_HELLO => CLIENT_HELLO_FIELDS,
                    NEW_SESSION_TICKET => NEW_SESSION_TICKET_FIELDS,
                    // No rule concerns this kind of message.
                    _ => {
                        self.end_offer();
                        self.expect(self.left, Reading::Extension, 4);
                        return Ok(());
                    }
                };
                self.next_field(0);
            }
            Reading::FieldLength => {
                if let Some((Field::SessionId, _)) = self.fields.split_first()
                    && value > 0
                {
                    // RFC 9001 §8.4: compatibility mode is not allowed.
                    return Err(Violation::TlsLegacySessionId);
                }
                self.fields = self.fields.get(1..).unwrap_or_default();
                self.next_field(value as usize);
            }
            Reading::ExtensionsLength => self.expect(0, Reading::Extension, 4),
            Reading::Extension => self.on_extension((value >> 16) as u16, (value & 0xffff) as usize),
            Reading::MaxEarlyData => {
                // RFC 9001 §4.6.1: the only permitted value; it leaves the limits to QUIC.
                if value != u64::from(u32::MAX) {
                    return Err(Violation::TicketEarlyData);
                }
                self.expect(0, Reading::Extension, 4);
            }
        }
        Ok(())
    }

    fn next_field(&mut self, mut skip: usize) {
        if let Some((Field::Fixed(size), rest)) = self.fields.split_first() {
            skip += size;
            self.fields = rest;
        }
        match self.fields.first() {
            Some(Field::Vector(size)) => self.expect(skip, Reading::FieldLength, *size),
            Some(Field::SessionId) => self.expect(skip, Reading::FieldLength, 1),
            Some(Field::Fixed(_)) | None => self.expect(skip, Reading::ExtensionsLength, 2),
        }
    }

    fn on_extension(&mut self, id: u16, size: usize) {
        self.has_parameters |= id == QUIC_TRANSPORT_PARAMETERS;
        if (self.kind, id) == (CLIENT_HELLO, QUIC_TRANSPORT_PARAMETERS)
            && matches!(self.offer, Offer::Awaited)
        {
            self.offer = Offer::Partial(Vec::new(), size);
            self.on_skipped(&[]);
        }
        if self.kind == NEW_SESSION_TICKET && id == EARLY_DATA && size == 4 {
            self.expect(0, Reading::MaxEarlyData, 4);
        } else {
            self.expect(size, Reading::Extension, 4);
        }
    }

    fn end_message(&mut self) -> Result<(), Violation> {
        // RFC 9001 §8.2: the parameters must use this codepoint. The TLS library also accepts the codepoint
        // of the drafts.
        if self.kind == CLIENT_HELLO && !self.has_parameters {
            return Err(Violation::TransportParametersMissing);
        }
        self.end_offer();
        *self = Self { offer: std::mem::replace(&mut self.offer, Offer::Awaited), ..Self::new() };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat()
    }

    fn hello(session_id: &[u8], extension: u8) -> Vec<u8> {
        let length = [session_id.len() as u8];
        let fields = [&[7; 34][..], &length, session_id, &[0, 2, 0x13, 1, 1, 0]].concat();
        message(CLIENT_HELLO, &[&fields[..], &[0, 11, 0, 1, 0, 1, 9, 0, extension, 0, 2, 4, 4]].concat())
    }

    fn ticket(max_early_data: u32) -> Vec<u8> {
        let fields = [&[7; 8][..], &[2, 1, 1, 0, 3, 5, 5, 5, 0, 8, 0, 42, 0, 4]].concat();
        message(NEW_SESSION_TICKET, &[&fields[..], &max_early_data.to_be_bytes()].concat())
    }

    proptest! {
        #[test]
        fn rules_apply_however_the_bytes_are_split(size in 1usize..80) {
            let scan = |bytes: &[u8]| {
                let mut scan = Scan::new();
                bytes.chunks(size).try_for_each(|chunk| scan.on_bytes(chunk))
            };
            prop_assert_eq!(scan(&hello(&[], 0x39)), Ok(()));
            prop_assert_eq!(scan(&hello(&[9], 0x39)), Err(Violation::TlsLegacySessionId));
            prop_assert_eq!(scan(&hello(&[], 0x38)), Err(Violation::TransportParametersMissing));
            let offer = |bytes: &[u8]| {
                let mut scan = Scan::new();
                let _ = bytes.chunks(size).try_for_each(|chunk| scan.on_bytes(chunk));
                scan.offer().map(<[u8]>::to_vec)
            };
            let whole = hello(&[], 0x39);
            prop_assert_eq!(offer(&whole), Some(vec![4, 4]));
            prop_assert_eq!(offer(&[&whole[..], &message(24, &[5; 9]), &whole].concat()), Some(vec![4, 4]));
            prop_assert_eq!(offer(&whole[..whole.len() - 1]), None, "one byte is missing");
            prop_assert_eq!(offer(&message(24, &[1])), Some(vec![]), "no ClientHello");
            let other = message(24, &[1, 2, 3]);
            prop_assert_eq!(scan(&[ticket(u32::MAX), other.clone(), ticket(u32::MAX)].concat()), Ok(()));
            for max in [0, 1, u32::MAX - 1] {
                let bytes = [ticket(u32::MAX), message(8, &[]), other.clone(), ticket(max)].concat();
                prop_assert_eq!(scan(&bytes), Err(Violation::TicketEarlyData));
            }
        }

        #[test]
        fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0u8..5) {
            let _ = Scan::new().on_bytes(&bytes);
            let _ = Scan::new().on_bytes(&message(kind, &bytes));
        }
    }
}
