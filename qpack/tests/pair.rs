//! An encoder and a decoder whose three kinds of streams are delayed, cut and reordered against each other.

use std::collections::{BTreeMap, VecDeque};

use proptest::{collection::vec, prelude::*};
use qpack::{Decoded, Decoder, Encoder, EncoderOptions, FieldRef, Policy};

type List = Vec<(String, String)>;

#[derive(Clone, Debug)]
enum Step {
    /// A section of these lines on this stream.
    Encode(u64, List),
    /// So many bytes of the encoder stream arrive.
    Instructions(usize),
    /// The next section of this stream arrives.
    Section(u64),
    /// So many bytes of the decoder stream arrive.
    Answers(usize),
    /// The stream is reset.
    Cancel(u64),
    /// The encoder changes its table.
    Capacity(u64),
    /// The encoder stream has room for so many bytes.
    Room(usize),
}

fn list() -> impl Strategy<Value = List> {
    let name =
        prop_oneof![Just("x-a"), Just("x-bb"), Just(":path"), Just("cookie"), Just("x-quite-a-long-name")];
    let value = prop_oneof!["[ab]{0,3}", "[a-c]{20,22}", "[~z]{30,60}"];
    vec((name.prop_map(str::to_owned), value), 0..10)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u64..8, list()).prop_map(|(stream, list)| Step::Encode(stream, list)),
        4 => (0_usize..80).prop_map(Step::Instructions),
        4 => (0_u64..8).prop_map(Step::Section),
        3 => (0_usize..8).prop_map(Step::Answers),
        1 => (0_u64..8).prop_map(Step::Cancel),
        1 => (0_u64..500).prop_map(Step::Capacity),
        1 => (0_usize..200).prop_map(Step::Room),
    ]
}

struct Pair {
    encoder: Encoder,
    decoder: Decoder,
    permitted: u64,
    /// Instructions on the way, and answers.
    there: VecDeque<u8>,
    back: VecDeque<u8>,
    /// The sections on the way, and the lists that they have.
    sections: BTreeMap<u64, VecDeque<(Vec<u8>, List)>>,
    /// The streams whose first section has arrived and waits.
    blocked: Vec<u64>,
    /// The streams that were reset: nothing more is sent on them.
    over: Vec<u64>,
}

impl Pair {
    fn new(policy: Policy, capacity: u64, permitted: u64) -> Self {
        let options = EncoderOptions::new().policy(policy).max_table_capacity(capacity);
        let mut encoder = Encoder::with_options(options);
        encoder.on_settings(capacity, permitted);
        Self {
            encoder,
            decoder: Decoder::with_table(capacity, permitted),
            permitted,
            there: VecDeque::new(),
            back: VecDeque::new(),
            sections: BTreeMap::new(),
            blocked: Vec::new(),
            over: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Encode(stream, _) if self.over.contains(&stream) => {}
            Step::Encode(stream, list) => {
                let (mut section, mut instructions) = (Vec::new(), Vec::new());
                let lines = list.iter().map(|(name, value)| FieldRef::new(name.as_bytes(), value.as_bytes()));
                self.encoder.encode(stream, lines, &mut section);
                self.encoder.take_instructions(&mut instructions);
                self.there.extend(instructions);
                self.sections.entry(stream).or_default().push_back((section, list));
            }
            Step::Instructions(most) => {
                let bytes: Vec<u8> = self.there.drain(..most.min(self.there.len())).collect();
                self.decoder.on_encoder_stream(&bytes).unwrap();
                while let Some(stream) = self.decoder.poll_unblocked() {
                    self.blocked.retain(|blocked| *blocked != stream);
                    self.read(stream);
                }
            }
            Step::Section(stream) if !self.blocked.contains(&stream) => self.read(stream),
            Step::Section(_) => {}
            Step::Answers(most) => {
                let bytes: Vec<u8> = self.back.drain(..most.min(self.back.len())).collect();
                self.encoder.on_decoder_stream(&bytes).unwrap();
            }
            Step::Cancel(stream) => {
                if self.sections.remove(&stream).is_some_and(|sections| !sections.is_empty()) {
                    self.decoder.cancel_stream(stream);
                    self.blocked.retain(|blocked| *blocked != stream);
                    self.over.push(stream);
                }
            }
            Step::Capacity(capacity) => self.encoder.set_capacity(capacity),
            Step::Room(room) => self.encoder.set_instruction_room(room),
        }
        let mut answers = Vec::new();
        self.decoder.take_instructions(&mut answers);
        self.back.extend(answers);
        assert_eq!(self.decoder.blocked_streams(), self.blocked.len());
        assert!(self.blocked.len() as u64 <= self.permitted);
    }

    /// The next section of a stream has arrived. An error is one of either side.
    fn read(&mut self, stream: u64) {
        let Some((section, list)) = self.sections.get(&stream).and_then(VecDeque::front) else { return };
        match self.decoder.decode(stream, section, 1 << 20).unwrap() {
            Decoded::Blocked { required_insert_count } => {
                assert!(required_insert_count > self.decoder.insert_count());
                self.blocked.push(stream);
            }
            Decoded::Fields(fields) => {
                let decoded = fields.iter().map(|field| (&field.name[..], &field.value[..]));
                assert!(decoded.eq(list.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))));
                self.sections.get_mut(&stream).unwrap().pop_front();
            }
        }
    }

    /// Everything arrives.
    fn finish(&mut self) {
        self.step(Step::Instructions(usize::MAX));
        assert_eq!(self.blocked, [], "no stream waits for more than was sent");
        for stream in 0..9 {
            while self.sections.get(&stream).is_some_and(|sections| !sections.is_empty()) {
                self.step(Step::Section(stream));
            }
        }
        self.step(Step::Answers(usize::MAX));
        assert!(self.encoder.entries().eq(self.decoder.entries()), "the tables are equal");
        assert_eq!(self.encoder.insert_count(), self.decoder.insert_count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_was_encoded_is_decoded(
        policy in prop_oneof![2 => Just(Policy::Balanced), 2 => Just(Policy::Greedy), 1 => Just(Policy::StaticOnly)],
        capacity in prop_oneof![Just(0), 31_u64..200, 200_u64..400, Just(900), Just(4096)],
        permitted in prop_oneof![Just(0), Just(1), Just(3), Just(100)],
        steps in vec(step(), 0..300),
    ) {
        let mut pair = Pair::new(policy, capacity, permitted);
        for step in steps {
            pair.step(step);
        }
        pair.finish();
        // Nothing is outstanding: a section that needs all of the table's room gets it.
        pair.step(Step::Room(usize::MAX));
        pair.step(Step::Capacity(capacity));
        pair.step(Step::Encode(8, vec![("x-new".to_owned(), "~".repeat(capacity.saturating_sub(37) as usize))]));
        pair.finish();
        let fills = policy == Policy::Greedy && capacity >= 37;
        prop_assert!(!fills || pair.encoder.entries().count() == 1, "{:?}", pair.encoder);
    }
}
