//! The flows of a scenario file.

use netsim::{
    MILLISECOND, SECOND,
    tcp::{Demand, Flavour, TcpConfig},
};
use quic_core::congestion::Algorithm;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    node::{Audio, Media},
    units::{Size, Time},
};

/// The permitted range of a flow's `memory`, in bytes.
const MEMORY: std::ops::RangeInclusive<u64> = 64 << 10..=4_000_000_000;

/// The name of an existing controller.
#[derive(Clone, Debug)]
pub struct Chosen(pub Algorithm);

impl<'de> Deserialize<'de> for Chosen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A flow, or several equal ones.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flow {
    /// The kind of traffic.
    pub kind: Kind,
    /// How many equal flows, each on its own connection.
    #[serde(default = "one")]
    pub count: u32,
    /// The controller. Default: the one under test.
    pub controller: Option<Chosen>,
    /// When it begins, before the end of the scenario.
    #[serde(default)]
    pub start: Time,
    /// The round trip without a queue, if it is longer than the bottleneck's.
    pub rtt: Option<Time>,
    /// The size of a transfer.
    pub bytes: Option<Size>,
    /// How much flow control and the sender's buffer permit in flight, from the beginning on. The defaults
    /// may limit a controller on a long and fast path.
    pub memory: Option<Size>,
    /// Frames of media in each second. Default 30.
    #[serde(default = "thirty")]
    pub fps: u32,
    /// The size of a frame.
    #[serde(default = "frame")]
    pub frame: Size,
    /// The size of a key frame.
    #[serde(default = "key_frame")]
    pub key_frame: Size,
    /// Frames from one key frame to the next.
    #[serde(default = "thirty")]
    pub key_every: u32,
    /// Datagrams on the same connection, sent before everything else.
    pub audio: Option<Voice>,
    /// The mean size of a page of `kind = "web"`. Default 300 kB.
    pub page: Option<Size>,
    /// The mean time between two pages. Default 1 s.
    pub pause: Option<Time>,
}

fn one() -> u32 {
    1
}
fn thirty() -> u32 {
    30
}
fn frame() -> Size {
    Size(3_750)
}
fn key_frame() -> Size {
    Size(37_500)
}

impl Flow {
    /// Its configuration as a model of TCP, if it is one.
    #[must_use]
    pub fn tcp(&self) -> Option<TcpConfig> {
        let demand = match self.kind {
            Kind::Web => Demand::Bursts {
                mean: self.page.map_or(300_000, |page| page.0),
                pause: self.pause.map_or(SECOND, |pause| pause.0),
            },
            _ => Demand::Bulk,
        };
        let flavour = match self.kind {
            Kind::TcpReno => Flavour::Reno,
            Kind::TcpCubic | Kind::Web => Flavour::Cubic,
            _ => return None,
        };
        Some(TcpConfig::new(flavour, demand))
    }

    /// Its frames, if it has some.
    #[must_use]
    pub fn frames(&self) -> Option<Media> {
        let size = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
        matches!(self.kind, Kind::Media | Kind::MediaAndBulk | Kind::UdpMedia).then(|| Media {
            interval: SECOND / u64::from(self.fps.max(1)),
            frame: size(self.frame),
            key_frame: size(self.key_frame),
            key_every: self.key_every,
        })
    }

    /// Whether its frames belong to a connection under test.
    #[must_use]
    pub fn has_frames(&self) -> bool {
        matches!(self.kind, Kind::Media | Kind::MediaAndBulk)
    }

    /// Checks the rules that concern several fields; `rtt` is the link's.
    pub(super) fn check(&self, rtt: Time) -> Result<(), String> {
        if (self.kind == Kind::Transfer) != self.bytes.is_some() {
            return Err("`bytes` and `kind = \"transfer\"` need each other".to_owned());
        }
        if self.rtt.is_some_and(|own| own < rtt) {
            return Err("the `rtt` of a flow cannot be shorter than that of the link".to_owned());
        }
        if self.count == 0 || self.fps == 0 || self.key_every == 0 {
            return Err("`count`, `fps` and `key-every` are at least 1".to_owned());
        }
        if self.memory.is_some_and(|memory| !MEMORY.contains(&memory.0)) {
            return Err("the `memory` of a flow is from 64 KiB to 4 GB".to_owned());
        }
        if self.fps > 1_000 {
            return Err("`fps` is at most 1000".to_owned());
        }
        check_cross_traffic(self)?;
        check_audio(self)
    }

    /// Whether it uses the controller under test.
    #[must_use]
    pub fn is_tested(&self) -> bool {
        self.controller.is_none() && !self.kind.is_modelled()
    }
}

/// Datagrams at a steady pace.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Voice {
    /// The time from one to the next; at least 1 ms.
    pub every: Time,
    /// The size of each: 8 to 1,000 bytes.
    pub size: Size,
    /// A datagram that has waited longer is dropped unsent.
    pub max_age: Option<Time>,
}

impl Voice {
    /// The same as an endpoint's configuration.
    #[must_use]
    pub fn load(&self) -> Audio {
        let size = usize::try_from(self.size.0).unwrap_or(usize::MAX);
        Audio { interval: self.every.0, size, max_age: self.max_age.map(|age| age.0) }
    }
}

/// The kind of traffic of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// As much as it can.
    Bulk,
    /// A fixed number of bytes.
    Transfer,
    /// Frames, each on its own stream.
    Media,
    /// Frames, and with lower priority as much as it can, on one connection.
    MediaAndBulk,
    /// As much as modelled TCP with CUBIC can.
    TcpCubic,
    /// As much as modelled TCP with Reno can.
    TcpReno,
    /// Pages with pauses between them, over modelled TCP with CUBIC.
    Web,
    /// Frames over UDP, whatever the network does.
    UdpMedia,
}

impl Kind {
    /// Its name in scenario files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Transfer => "transfer",
            Self::Media => "media",
            Self::MediaAndBulk => "media-and-bulk",
            Self::TcpCubic => "tcp-cubic",
            Self::TcpReno => "tcp-reno",
            Self::Web => "web",
            Self::UdpMedia => "udp-media",
        }
    }

    /// Whether it is a model, without a connection and a controller of ours.
    #[must_use]
    pub const fn is_modelled(self) -> bool {
        matches!(self, Self::TcpCubic | Self::TcpReno | Self::Web | Self::UdpMedia)
    }

    /// Whether it is greedy: it sends as much as it can.
    #[must_use]
    pub const fn is_greedy(self) -> bool {
        matches!(self, Self::Bulk | Self::MediaAndBulk | Self::TcpCubic | Self::TcpReno)
    }
}

/// Checks the fields that a model cannot have, and those that only a model has.
fn check_cross_traffic(flow: &Flow) -> Result<(), String> {
    let kind = flow.kind.name();
    if flow.kind.is_modelled() && (flow.controller.is_some() || flow.audio.is_some() || flow.memory.is_some())
    {
        return Err(format!(
            "`controller`, `audio` and `memory` are not for `kind = \"{kind}\"`, which is a model"
        ));
    }
    let is_page = flow.page.is_some() || flow.pause.is_some();
    if is_page && flow.kind != Kind::Web {
        return Err("`page` and `pause` are for `kind = \"web\"` alone".to_owned());
    }
    let is_outside = |size: Size| !(1_000..=1_000_000_000).contains(&size.0);
    if flow.page.is_some_and(is_outside) || flow.pause.is_some_and(|pause| pause.0 < MILLISECOND) {
        return Err("`page` is between 1 kB and 1000 MB, and `pause` at least 1 ms".to_owned());
    }
    let is_large = flow.frame.0.max(flow.key_frame.0) > 10_000_000;
    if flow.kind == Kind::UdpMedia && is_large {
        return Err("`frame` and `key-frame` of `kind = \"udp-media\"` are at most 10 MB".to_owned());
    }
    Ok(())
}

fn check_audio(flow: &Flow) -> Result<(), String> {
    let is_wrong = |audio: Voice| audio.every.0 < MILLISECOND || !(8..=1_000).contains(&audio.size.0);
    if flow.audio.is_some_and(is_wrong) {
        return Err("`audio` needs `every` of at least 1 ms, and `size` between 8 B and 1 kB".to_owned());
    }
    Ok(())
}
