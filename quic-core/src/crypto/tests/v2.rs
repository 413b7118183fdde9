//! The packets that RFC 9369 Appendix A publishes for version 2.

use super::*;

const CLIENT_PACKET: &str = "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071bf03dceebfa162e75d6c96\
     058bdbfb127cdfcbf903388e99ad049f9a3dd4425ae4d0992cfff18ecf0fdb5a842d09747052f17ac2053d21f57c5d250f\
     2c4f0e0202b70785b7946e992e58a59ac52dea6774d4f03b55545243cf1a12834e3f249a78d395e0d18f4d766004f1a267\
     4802a747eaa901c3f10cda5500cb9122faa9f1df66c392079a1b40f0de1c6054196a11cbea40afb6ef5253cd6818f6625e\
     fce3b6def6ba7e4b37a40f7732e093daa7d52190935b8da58976ff3312ae50b187c1433c0f028edcc4c2838b6a9bfc226c\
     a4b4530e7a4ccee1bfa2a3d396ae5a3fb512384b2fdd851f784a65e03f2c4fbe11a53c7777c023462239dd6f7521a3f6c7\
     d5dd3ec9b3f233773d4b46d23cc375eb198c63301c21801f6520bcfb7966fc49b393f0061d974a2706df8c4a9449f11d7f\
     3d2dcbb90c6b877045636e7c0c0fe4eb0f697545460c806910d2c355f1d253bc9d2452aaa549e27a1fac7cf4ed77f322e8\
     fa894b6a83810a34b361901751a6f5eb65a0326e07de7c1216ccce2d0193f958bb3850a833f7ae432b65bc5a53975c155a\
     a4bcb4f7b2c4e54df16efaf6ddea94e2c50b4cd1dfe06017e0e9d02900cffe1935e0491d77ffb4fdf85290fdd893d577b1\
     131a610ef6a5c32b2ee0293617a37cbb08b847741c3b8017c25ca9052ca1079d8b78aebd47876d330a30f6a8c6d61dd1ab\
     5589329de714d19d61370f8149748c72f132f0fc99f34d766c6938597040d8f9e2bb522ff99c63a344d6a2ae8aa8e51b7b\
     90a4a806105fcbca31506c446151adfeceb51b91abfe43960977c87471cf9ad4074d30e10d6a7f03c63bd5d4317f68ff32\
     5ba3bd80bf4dc8b52a0ba031758022eb025cdd770b44d6d6cf0670f4e990b22347a7db848265e3e5eb72dfe8299ad7481a\
     408322cac55786e52f633b2fb6b614eaed18d703dd84045a274ae8bfa73379661388d6991fe39b0d93debb41700b41f90a\
     15c4d526250235ddcd6776fc77bc97e7a417ebcb31600d01e57f32162a8560cacc7e27a096d37a1a86952ec71bd89a3e9a\
     30a2a26162984d7740f81193e8238e61f6b5b984d4d3dfa033c1bb7e4f0037febf406d91c0dccf32acf423cfa1e7071010\
     d3f270121b493ce85054ef58bada42310138fe081adb04e2bd901f2f13458b3d6758158197107c14ebb193230cd1157380\
     aa79cae1374a7c1e5bbcb80ee23e06ebfde206bfb0fcbc0edc4ebec309661bdd908d532eb0c6adc38b7ca7331dce8dfce3\
     9ab71e7c32d318d136b6100671a1ae6a6600e3899f31f0eed19e3417d134b90c9058f8632c798d4490da4987307cba922d\
     61c39805d072b589bd52fdf1e86215c2d54e6670e07383a27bbffb5addf47d66aa85a0c6f9f32e59d85a44dd5d3b22dc2b\
     e80919b490437ae4f36a0ae55edf1d0b5cb4e9a3ecabee93dfc6e38d209d0fa6536d27a5d6fbb17641cde27525d61093f1\
     b28072d111b2b4ae5f89d5974ee12e5cf7d5da4d6a31123041f33e61407e76cffcdcfd7e19ba58cf4b536f4c4938ae7932\
     4dc402894b44faf8afbab35282ab659d13c93f70412e85cb199a37ddec600545473cfb5a05e08d0b209973b2172b4d21fb\
     69745a262ccde96ba18b2faa745b6fe189cf772a9f84cbfc";
const SERVER_PACKET: &str = "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89237bbf87263017\
     915358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2c984\
     c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca84bed8521e2e140";
const RETRY_PACKET: &str = "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6";

/// RFC 9369 Appendix A.1 and A.2; the CRYPTO frame is that of RFC 9001.
#[test]
fn published_client_initial_of_version_2() {
    let (client, _) = initial_secrets(Version::V2, &published_dcid());
    let mut payload = hex(CLIENT_CRYPTO_FRAME);
    payload.resize(1162, 0);
    let header = hex("d36b3343cf088394c8f03e5157080000449e00000002");
    assert_eq!(protect(&client, &header, 4, 2, &payload), hex(CLIENT_PACKET));
    assert_eq!(unprotect(&client, &hex(CLIENT_PACKET), 18, 0), (2, payload));
    let packet = hex(CLIENT_PACKET);
    let Ok(packet::Header::Long(long)) = packet::parse(&packet, 8, false) else { panic!("a long header") };
    assert_eq!((long.version, long.kind, long.pn_offset), (Version::V2, packet::LongType::Initial, 18));
}

/// RFC 9369 Appendix A.3.
#[test]
fn published_server_initial_of_version_2() {
    let (_, server) = initial_secrets(Version::V2, &published_dcid());
    let header = hex("d16b3343cf0008f067a5502a4262b50040750001");
    assert_eq!(protect(&server, &header, 2, 1, &hex(SERVER_PAYLOAD)), hex(SERVER_PACKET));
    assert_eq!(unprotect(&server, &hex(SERVER_PACKET), 18, 0), (1, hex(SERVER_PAYLOAD)));
}

/// RFC 9369 Appendix A.4.
#[test]
fn published_retry_of_version_2() {
    let bytes = hex(RETRY_PACKET);
    let (covered, tag) = packet::retry_integrity_split(&bytes).expect("a tag");
    assert_eq!(retry_integrity_tag(Version::V2, &published_dcid(), covered), *tag);
    assert_ne!(retry_integrity_tag(Version::V1, &published_dcid(), covered), *tag);
    let Ok(packet::Header::Retry(retry)) = packet::parse(&bytes, 8, false) else { panic!("a Retry") };
    assert_eq!((retry.version, retry.token, retry.tag), (Version::V2, &b"token"[..], *tag));
}

/// RFC 9369 Appendix A.5.
#[test]
fn published_chacha20_short_header_of_version_2() {
    let bytes = hex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
    let secret = Secret::new(Version::V2, Suite::ChaCha20Poly1305, &bytes).expect("32 bytes");
    let sealed = hex("5558b1c60ae7b6b932bc27d786f4bc2bb20f2162ba");
    assert_eq!(protect(&secret, &hex("4200bff4"), 3, 654_360_564, &[0x01]), sealed);
    assert_eq!(unprotect(&secret, &sealed, 1, 654_360_564), (654_360_564, vec![0x01]));
    let mut updated = [0; 32];
    secret.expand(secret.labels().key_update, &mut updated);
    assert_eq!(updated[..], hex("c69374c49e3d2a9466fa689e49d476db5d0dfbc87d32ceeaa6343fd0ae4c7d88"));
}
