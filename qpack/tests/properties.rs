//! Encoding and decoding are inverse, and no bytes make the decoders panic.

use proptest::{collection::vec, prelude::*};
use qpack::{Decoded, Decoder, Encoder, Field, FieldRef};

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        "[a-z0-9-]{1,20}".prop_map(String::into_bytes),
        prop_oneof![Just(":path"), Just(":status"), Just("cookie"), Just("GET"), Just("200"), Just("/")]
            .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn encode_then_decode(lines in vec((text(), text(), any::<bool>()), 0..20)) {
        let fields: Vec<Field> = lines
            .into_iter()
            .map(|(name, value, never_index)| Field::new(name.into(), value.into()).never_index(never_index))
            .collect();
        let mut section = Vec::new();
        Encoder::new().encode(0, fields.iter().map(FieldRef::from), &mut section);
        let size: u64 = fields.iter().map(|field| FieldRef::from(field).size()).sum();
        // Short cookies are sensitive (RFC 9204 §7.1.3).
        let marked = |field: Field| {
            let sensitive = &field.name[..] == b"cookie" && field.value.len() < 20;
            let never_index = field.never_index || sensitive;
            field.never_index(never_index)
        };
        let fields = fields.into_iter().map(marked).collect();
        prop_assert_eq!(Decoder::new().decode(0, &section, size).and_then(Decoded::fields), Ok(fields));
    }

    #[test]
    fn decoding_never_panics(mut section in vec(any::<u8>(), 0..200), limit in 0_u64..2000) {
        let mut decoder = Decoder::new();
        let _ = decoder.decode(0, &section, limit).and_then(Decoded::fields);
        // A valid prefix lets the decoder reach the field lines.
        section.splice(0..0, [0, 0]);
        if let Ok(fields) = decoder.decode(0, &section, limit).and_then(Decoded::fields) {
            prop_assert!(fields.iter().map(|field| FieldRef::from(field).size()).sum::<u64>() <= limit);
        }
    }

    /// The decoders read an instruction stream the same however its bytes are split.
    #[test]
    fn instruction_streams_do_not_depend_on_splits(
        bytes in vec(prop_oneof![Just(0x20), Just(0x7f), any::<u8>()], 0..60),
    ) {
        let (mut whole, mut split) = (Decoder::new(), Decoder::new());
        prop_assert_eq!(
            whole.on_encoder_stream(&bytes),
            bytes.chunks(1).try_fold(0, |sum, chunk| split.on_encoder_stream(chunk).map(|count| sum + count))
        );
        let (mut whole, mut split) = (Encoder::new(), Encoder::new());
        prop_assert_eq!(
            whole.on_decoder_stream(&bytes),
            bytes.chunks(1).try_fold(0, |sum, chunk| split.on_decoder_stream(chunk).map(|count| sum + count))
        );
    }
}
