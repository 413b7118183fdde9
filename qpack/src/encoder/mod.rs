//! The encoder turns field lines into encoded field sections and reads the peer's decoder stream.
//!
//! It owns its dynamic table, the sections that are not acknowledged, what it remembers of earlier lines, and
//! the instructions that wait to be sent on the encoder stream. All of it is bounded whatever the peer leaves
//! unacknowledged. It must never know streams beyond their IDs. Implements RFC 9204 §4.5 and §4.3 (writing),
//! §4.4 (reading) and §2.1.

mod entries;
mod hashes;
mod instructions;
mod options;
mod plan;
mod policy;
mod sections;
mod write;

use bytes::BufMut;

use crate::{
    error::DecoderStreamError,
    field::FieldRef,
    instruction::{self, DecoderInstruction, PartialInteger},
    table::{encode_required, max_entries},
};
use entries::Entries;
use instructions::Instructions;
pub use options::EncoderOptions;
use plan::{Line, Planner, is_sensitive};
use policy::History;
pub use policy::Policy;
use sections::{Section, Sections};
use write::{Form, Name};

/// Encodes field sections.
///
/// Values of `authorization`, `proxy-authorization` and `set-cookie` fields and those of `cookie` fields below
/// 20 bytes are never indexed, as if [`FieldRef::never_index`] was set (RFC 9204 §7.1.3).
#[derive(Debug)]
pub struct Encoder {
    options: EncoderOptions,
    /// The peer's settings are known.
    is_told: bool,
    /// The most entries of a table of the capacity that the peer offered; 0 until its settings are known.
    max_entries: u64,
    max_capacity: u64,
    max_blocked: u64,
    /// The capacity that the table is to have.
    wanted: u64,
    entries: Entries,
    sections: Sections,
    history: History,
    instructions: Instructions,
    /// The Known Received Count (RFC 9204 §2.1.4).
    known: u64,
    /// The number of sections that were planned with the table.
    planned: u64,
    partial: PartialInteger,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder that uses the static table only.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(EncoderOptions::new().policy(Policy::StaticOnly))
    }

    /// An encoder that uses a dynamic table once the peer's settings [are known](Self::on_settings).
    #[must_use]
    pub fn with_options(options: EncoderOptions) -> Self {
        Self {
            options,
            is_told: false,
            max_entries: 0,
            max_capacity: 0,
            max_blocked: 0,
            wanted: 0,
            entries: Entries::new(),
            sections: Sections::default(),
            history: History::default(),
            instructions: Instructions::new(),
            known: 0,
            planned: 0,
            partial: PartialInteger::default(),
        }
    }

    /// The peer's settings have arrived: `SETTINGS_QPACK_MAX_TABLE_CAPACITY` in bytes and
    /// `SETTINGS_QPACK_BLOCKED_STREAMS` (RFC 9204 §5). Until then, sections refer to the static table only
    /// (§3.2.3). They come once; later calls have no effect.
    pub fn on_settings(&mut self, max_table_capacity: u64, blocked_streams: u64) {
        if std::mem::replace(&mut self.is_told, true) || self.options.policy == Policy::StaticOnly {
            return;
        }
        self.max_entries = max_entries(max_table_capacity);
        // No entry fits into less.
        let capacity = max_table_capacity.min(self.options.max_table_capacity);
        self.max_capacity = if max_entries(capacity) > 0 { capacity } else { 0 };
        self.max_blocked = blocked_streams.min(self.options.max_blocked_streams);
        self.wanted = self.max_capacity;
    }

    /// Changes the capacity of the table, in bytes; at most what the [options](EncoderOptions) and the peer's
    /// settings permit. A smaller one takes effect with the first section after the entries that go are
    /// acknowledged (RFC 9204 §3.2.2); until then the table takes no insertions.
    pub fn set_capacity(&mut self, capacity: u64) {
        self.wanted = capacity.min(self.max_capacity);
    }

    /// How many bytes of instructions the encoder stream takes now, those included that were not yet
    /// [taken](Self::take_instructions). The encoder begins no instruction that does not fit whole
    /// (RFC 9204 §2.1.3). Without this call there is no limit.
    pub fn set_instruction_room(&mut self, bytes: usize) {
        self.instructions.set_room(bytes);
    }

    /// Appends the encoded field section of `fields` to `out`. `stream` is the ID of the stream that carries
    /// it: the peer's decoder acknowledges (RFC 9204 §4.4.1) or cancels (§4.4.2) sections by that ID. The
    /// section must be sent, or its stream be reset, so that one of the two happens.
    ///
    /// The instructions that the section refers to are there to be [taken](Self::take_instructions) then; they
    /// are best sent first.
    pub fn encode<'a>(
        &mut self,
        stream: u64,
        fields: impl IntoIterator<Item = FieldRef<'a>>,
        out: &mut impl BufMut,
    ) {
        self.adjust_capacity();
        if self.entries.capacity() == 0 || self.sections.is_full() {
            // Required Insert Count 0, Base 0.
            write::prefix(0, out);
            for mut field in fields {
                field.never_index |= is_sensitive(field);
                write::line(field, Form::of_static(field), 0, out);
            }
            return;
        }
        let lines = self.plan(stream, fields);
        let (mut required, mut oldest) = (0, u64::MAX);
        for line in &lines {
            if let Form::Entry(index) | Form::Literal(Name::Entry(index)) = line.form {
                required = required.max(index + 1);
                oldest = oldest.min(index);
            }
        }
        write::prefix(encode_required(required, self.max_entries), out);
        for line in &lines {
            // The Base is the Required Insert Count: no index is relative to a later entry.
            write::line(line.field, line.form, required, out);
        }
        if required > 0 {
            self.sections.add(stream, Section { required, oldest }, self.known);
            self.entries.pin(oldest);
        }
    }

    fn plan<'a>(&mut self, stream: u64, fields: impl IntoIterator<Item = FieldRef<'a>>) -> Vec<Line<'a>> {
        self.planned += 1;
        Planner {
            policy: self.options.policy,
            section: self.planned,
            known: self.known,
            // RFC 9204 §2.1.2: never more streams than the peer permits.
            may_block: self.sections.may_block(stream, self.max_blocked),
            in_flight: !self.sections.is_empty(),
            grows: self.entries.capacity() == self.wanted,
            hold: u64::MAX,
            moved: Vec::new(),
            entries: &mut self.entries,
            history: &mut self.history,
            instructions: &mut self.instructions,
        }
        .plan(fields)
    }

    /// Brings the table to the capacity that it is to have, if the entries that go may go.
    fn adjust_capacity(&mut self) {
        let wanted = self.wanted;
        if self.entries.capacity() != wanted
            && self.entries.may_shrink(wanted, self.known)
            && self.instructions.put(|out| write::set_capacity(wanted, out))
        {
            self.entries.set_capacity(wanted);
        }
    }

    /// How many bytes [`take_instructions`](Self::take_instructions) would append.
    #[must_use]
    pub fn pending_instructions(&self) -> usize {
        self.instructions.length()
    }

    /// Appends what is to be sent on the encoder stream (RFC 9204 §4.3).
    pub fn take_instructions(&mut self, out: &mut impl BufMut) {
        self.instructions.take(out);
    }

    /// Reads bytes of the peer's decoder stream. An instruction may be split at any byte. Returns how many
    /// instructions are complete.
    ///
    /// # Errors
    /// What is wrong with an instruction.
    pub fn on_decoder_stream(&mut self, mut bytes: &[u8]) -> Result<u64, DecoderStreamError> {
        let mut count = 0;
        while let Some(instruction) = instruction::take_decoder(&mut self.partial, &mut bytes)? {
            self.on_instruction(instruction)?;
            count += 1;
        }
        Ok(count)
    }

    fn on_instruction(&mut self, instruction: DecoderInstruction) -> Result<(), DecoderStreamError> {
        match instruction {
            DecoderInstruction::SectionAcknowledgment(stream) => {
                // RFC 9204 §4.4.1: only sections with a Required Insert Count are acknowledged.
                let section = self.sections.acknowledge(stream);
                let section = section.ok_or(DecoderStreamError::SectionAcknowledgment(stream))?;
                self.entries.unpin(section.oldest);
                self.learn(section.required);
            }
            // RFC 9204 §4.4.2: a stream without references may be cancelled too.
            DecoderInstruction::StreamCancellation(stream) => {
                while let Some(section) = self.sections.cancel(stream) {
                    self.entries.unpin(section.oldest);
                }
            }
            DecoderInstruction::InsertCountIncrement(increment) => {
                // RFC 9204 §4.4.3: neither zero nor beyond what was inserted. Both numbers are below 2^62.
                let known = self.known + increment;
                if increment == 0 || known > self.entries.inserted() {
                    return Err(DecoderStreamError::InsertCountIncrement(increment));
                }
                self.learn(known);
            }
        }
        Ok(())
    }

    /// The decoder has so many insertions (RFC 9204 §2.1.4).
    fn learn(&mut self, known: u64) {
        if known > self.known {
            self.known = known;
            self.sections.on_known(known);
        }
    }

    /// The number of insertions so far.
    #[must_use]
    pub fn insert_count(&self) -> u64 {
        self.entries.inserted()
    }

    /// The entries of the dynamic table, oldest first: name and value.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| (entry.field().name, entry.field().value))
    }
}
