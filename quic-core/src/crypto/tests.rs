mod v2;

use super::*;
use crate::{ids::ConnectionId, packet, version::Version};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hexadecimal"))
        .collect()
}

fn published_dcid() -> ConnectionId {
    ConnectionId::new(&hex("8394c8f03e515708")).expect("eight bytes")
}

const CLIENT_CRYPTO_FRAME: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c0000041301130201\
     0000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c70\
     6e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74\
     d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c00024001003900320408ffffff\
     ffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff";
const CLIENT_PACKET: &str = "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c0bab\
     7df5976d27cd449f63300099f3991c260ec4c60d17b31f8429157bb35a1282a643a8d2262cad67500cadb8e7378c8eb7539e\
     c4d4905fed1bee1fc8aafba17c750e2c7ace01e6005f80fcb7df621230c83711b39343fa028cea7f7fb5ff89eac2308249a0\
     2252155e2347b63d58c5457afd84d05dfffdb20392844ae812154682e9cf012f9021a6f0be17ddd0c2084dce25ff9b06cde5\
     35d0f920a2db1bf362c23e596d11a4f5a6cf3948838a3aec4e15daf8500a6ef69ec4e3feb6b1d98e610ac8b7ec3faf6ad760\
     b7bad1db4ba3485e8a94dc250ae3fdb41ed15fb6a8e5eba0fc3dd60bc8e30c5c4287e53805db059ae0648db2f64264ed5e39\
     be2e20d82df566da8dd5998ccabdae053060ae6c7b4378e846d29f37ed7b4ea9ec5d82e7961b7f25a9323851f681d582363a\
     a5f89937f5a67258bf63ad6f1a0b1d96dbd4faddfcefc5266ba6611722395c906556be52afe3f565636ad1b17d508b73d874\
     3eeb524be22b3dcbc2c7468d54119c7468449a13d8e3b95811a198f3491de3e7fe942b330407abf82a4ed7c1b311663ac698\
     90f4157015853d91e923037c227a33cdd5ec281ca3f79c44546b9d90ca00f064c99e3dd97911d39fe9c5d0b23a229a234cb3\
     6186c4819e8b9c5927726632291d6a418211cc2962e20fe47feb3edf330f2c603a9d48c0fcb5699dbfe5896425c5bac4aee8\
     2e57a85aaf4e2513e4f05796b07ba2ee47d80506f8d2c25e50fd14de71e6c418559302f939b0e1abd576f279c4b2e0feb85c\
     1f28ff18f58891ffef132eef2fa09346aee33c28eb130ff28f5b766953334113211996d20011a198e3fc433f9f2541010ae1\
     7c1bf202580f6047472fb36857fe843b19f5984009ddc324044e847a4f4a0ab34f719595de37252d6235365e9b84392b0610\
     85349d73203a4a13e96f5432ec0fd4a1ee65accdd5e3904df54c1da510b0ff20dcc0c77fcb2c0e0eb605cb0504db87632cf3\
     d8b4dae6e705769d1de354270123cb11450efc60ac47683d7b8d0f811365565fd98c4c8eb936bcab8d069fc33bd801b03ade\
     a2e1fbc5aa463d08ca19896d2bf59a071b851e6c239052172f296bfb5e72404790a2181014f3b94a4e97d117b438130368cc\
     39dbb2d198065ae3986547926cd2162f40a29f0c3c8745c0f50fba3852e566d44575c29d39a03f0cda721984b6f440591f35\
     5e12d439ff150aab7613499dbd49adabc8676eef023b15b65bfc5ca06948109f23f350db82123535eb8a7433bdabcb909271\
     a6ecbcb58b936a88cd4e8f2e6ff5800175f113253d8fa9ca8885c2f552e657dc603f252e1a8e308f76f0be79e2fb8f5d5fbb\
     e2e30ecadd220723c8c0aea8078cdfcb3868263ff8f0940054da48781893a7e49ad5aff4af300cd804a6b6279ab3ff3afb64\
     491c85194aab760d58a606654f9f4400e8b38591356fbf6425aca26dc85244259ff2b19c41b9f96f3ca9ec1dde434da7d2d3\
     92b905ddf3d1f9af93d1af5950bd493f5aa731b4056df31bd267b6b90a079831aaf579be0a39013137aac6d404f518cfd468\
     40647e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241e221af44860018ab0856972e194cd934";
const SERVER_PAYLOAD: &str = "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf73988cfc79825df566dc5430b9a045a12001301\
     00002e00330024001d00209d3c940d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00020304";
const SERVER_PACKET: &str = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5\
     a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4\
     cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee";
const RETRY_PACKET: &str = "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba";

/// Seals a packet and protects its header. `header` ends with the packet number of `pn_size` bytes.
fn protect(secret: &Secret, header: &[u8], pn_size: usize, number: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [header, payload, &[0; packet::TAG_SIZE]].concat();
    PacketKey::new(secret).seal(number, &mut bytes, header.len());
    protect_header(&HeaderKey::new(secret), &mut bytes, header.len() - pn_size, pn_size);
    bytes
}

fn unprotect(secret: &Secret, packet: &[u8], pn_offset: usize, expected: u64) -> (u64, Vec<u8>) {
    let mut bytes = packet.to_vec();
    let header = unprotect_header(&HeaderKey::new(secret), &mut bytes, pn_offset).expect("long enough");
    let number = packet::decode_packet_number(header.number, header.pn_size, expected);
    let start = pn_offset + header.pn_size;
    let size = PacketKey::new(secret).open(number, &mut bytes, start).expect("authentic");
    (number, bytes[start..start + size].to_vec())
}

/// RFC 9001 Appendix A.1 and A.2.
#[test]
fn published_client_initial() {
    let (client, _) = initial_secrets(Version::V1, &published_dcid());
    let mut payload = hex(CLIENT_CRYPTO_FRAME);
    payload.resize(1162, 0);
    let header = hex("c300000001088394c8f03e5157080000449e00000002");
    assert_eq!(protect(&client, &header, 4, 2, &payload), hex(CLIENT_PACKET));
    assert_eq!(unprotect(&client, &hex(CLIENT_PACKET), 18, 0), (2, payload));
}

/// RFC 9001 Appendix A.3.
#[test]
fn published_server_initial() {
    let (_, server) = initial_secrets(Version::V1, &published_dcid());
    let header = hex("c1000000010008f067a5502a4262b50040750001");
    assert_eq!(protect(&server, &header, 2, 1, &hex(SERVER_PAYLOAD)), hex(SERVER_PACKET));
    assert_eq!(unprotect(&server, &hex(SERVER_PACKET), 18, 0), (1, hex(SERVER_PAYLOAD)));
}

/// RFC 9001 Appendix A.4.
#[test]
fn published_retry() {
    let bytes = hex(RETRY_PACKET);
    let (covered, tag) = packet::retry_integrity_split(&bytes).expect("a tag");
    assert_eq!(retry_integrity_tag(Version::V1, &published_dcid(), covered), *tag);
    let other = ConnectionId::new(b"another").expect("short");
    assert_ne!(retry_integrity_tag(Version::V1, &other, covered), *tag);
}

/// RFC 9001 Appendix A.5.
#[test]
fn published_chacha20_short_header() {
    let bytes = hex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
    let secret = Secret::new(Version::V1, Suite::ChaCha20Poly1305, &bytes).expect("32 bytes");
    let sealed = hex("4cfe4189655e5cd55c41f69080575d7999c25a5bfb");
    assert_eq!(protect(&secret, &hex("4200bff4"), 3, 654_360_564, &[0x01]), sealed);
    assert_eq!(unprotect(&secret, &sealed, 1, 654_360_564), (654_360_564, vec![0x01]));
    let next = Secret::new(
        Version::V1,
        Suite::ChaCha20Poly1305,
        &hex("1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9"),
    );
    let mut a = [0; 12];
    let mut b = [0; 12];
    let label = secret.labels().iv;
    secret.next().expand(label, &mut a);
    next.expect("32 bytes").expand(label, &mut b);
    assert_eq!(a, b);
}

#[test]
fn a_changed_packet_does_not_open() {
    let (client, _) = initial_secrets(Version::V1, &published_dcid());
    let sealed = hex(CLIENT_PACKET);
    for at in [5, 30, sealed.len() - 1] {
        let mut forged = sealed.clone();
        forged[at] ^= 1;
        let header = unprotect_header(&HeaderKey::new(&client), &mut forged, 18).expect("long enough");
        let number = header.number;
        assert_eq!(PacketKey::new(&client).open(number, &mut forged, 18 + header.pn_size), Err(OpenError));
    }
    assert_eq!(PacketKey::new(&client).open(0, &mut [0; 10], 11), Err(OpenError));
    assert_eq!(PacketKey::new(&client).open(0, &mut [0; 20], 11), Err(OpenError));
}

#[test]
fn comparison_in_constant_time() {
    assert!(constant_time_eq(b"same", b"same"));
    assert!(!constant_time_eq(b"same", b"some") && !constant_time_eq(b"same", b"sam"));
}
