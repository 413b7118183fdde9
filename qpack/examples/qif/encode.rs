//! Encodes the lists of a `.qif`.

use std::{error::Error, fmt};

use qpack::{Decoded, Decoder, Encoder, EncoderOptions, FieldRef, Policy};

use crate::{
    records::{put_record, set_capacity},
    text::List,
};

/// How to encode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choices {
    pub(crate) policy: Policy,
    /// The largest dynamic table, in bytes.
    pub(crate) capacity: u64,
    /// The most blocked streams.
    pub(crate) blocked: u64,
    /// The encoder is told of an acknowledgment at once after each section, or never.
    pub(crate) acknowledged: bool,
}

/// Our decoder does not get the same back.
#[derive(Debug)]
struct Unequal {
    stream: u64,
}

impl fmt::Display for Unequal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "list {} does not decode to what was encoded", self.stream)
    }
}

impl Error for Unequal {}

/// The records: for each list the instructions, if there are any, and then the section. Streams count from 1.
pub(crate) fn encode(lists: &[List], choices: Choices) -> Result<Vec<u8>, Box<dyn Error>> {
    let Choices { policy, capacity, blocked, acknowledged } = choices;
    let options =
        EncoderOptions::new().policy(policy).max_table_capacity(capacity).max_blocked_streams(blocked);
    let mut encoder = Encoder::with_options(options);
    encoder.on_settings(capacity, blocked);
    let mut decoder = Decoder::with_table(capacity, blocked);
    let (mut out, mut section, mut instructions, mut answer) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (stream, list) in (1..).zip(lists) {
        encoder.encode(stream, list.iter().map(|(name, value)| FieldRef::new(name, value)), &mut section);
        encoder.take_instructions(&mut instructions);
        decoder.on_encoder_stream(&instructions)?;
        let fields = decoder.decode(stream, &section, u64::MAX).and_then(Decoded::fields)?;
        let decoded = fields.iter().map(|field| (&field.name[..], &field.value[..]));
        if !decoded.eq(list.iter().map(|(name, value)| (&name[..], &value[..]))) {
            return Err(Unequal { stream }.into());
        }
        let known = set_capacity(capacity);
        let new = instructions.strip_prefix(&known[..]).filter(|_| stream == 1).unwrap_or(&instructions);
        if !new.is_empty() {
            put_record(0, new, &mut out)?;
        }
        put_record(stream, &section, &mut out)?;
        decoder.take_instructions(&mut answer);
        if acknowledged {
            encoder.on_decoder_stream(&answer)?;
        }
        section.clear();
        instructions.clear();
        answer.clear();
    }
    Ok(out)
}
