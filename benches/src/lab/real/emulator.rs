//! Passes IP packets between two devices, through one link in each direction.

use std::{
    fs::File,
    hash::{Hash as _, Hasher as _},
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use netsim::Lane;

use super::{super::scenario::Change, clock::Clock, kernel};

/// A buffer size in bytes that is larger than any packet of the devices.
const BUFFER: usize = 2_048;
/// The longest time between two checks whether the run is over.
const LOOK: Duration = Duration::from_millis(20);
/// Bits of the type of service that are ECN's.
const ECN: u8 = 0b11;

/// Two devices and the links between them, one in each direction.
pub(super) struct Emulator {
    pub(super) devices: [File; 2],
    pub(super) lanes: [Lane<()>; 2],
    /// The changes of the first link and of the round trip, in the order of time.
    pub(super) changes: Vec<Change>,
}

impl Emulator {
    /// Passes packets on until `over`.
    pub(super) fn run(mut self, clock: Clock, over: &AtomicBool) -> io::Result<Self> {
        let mut buffer = [0; BUFFER];
        while !over.load(Relaxed) {
            let next = self.lanes.iter().filter_map(Lane::next).min();
            let rest = next.map_or(LOOK, |at| Duration::from_nanos(at.saturating_sub(clock.now()))).min(LOOK);
            kernel::wait(&[self.devices[0].as_fd(), self.devices[1].as_fd()], rest)?;
            self.change(clock.now());
            for side in 0..2 {
                self.take(side, clock, &mut buffer)?;
                let (lane, out) = (&mut self.lanes[side], &mut self.devices[1 - side]);
                lane.advance(clock.now(), |(), ecn, packet| pass(out, ecn, packet));
            }
        }
        Ok(self)
    }

    /// Passes all packets that wait at a device into its link.
    fn take(&mut self, side: usize, clock: Clock, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let length = match self.devices[side].read(buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let packet = &buffer[..length];
            // Packets other than IPv4 are the system's own, such as router solicitations.
            if let (Some(0x4), Some(service)) = (packet.first().map(|first| first >> 4), packet.get(1)) {
                let (ecn, flow, now) = (service & ECN, conversation(packet), clock.now());
                let out = &mut self.devices[1 - side];
                self.lanes[side].offer(now, ecn, flow, packet.to_vec(), (), |(), ecn, packet| {
                    pass(out, ecn, packet);
                });
            }
        }
    }

    fn change(&mut self, now: u64) {
        while let Some(change) = self.changes.first().copied().filter(|change| change.at.0 <= now) {
            self.changes.remove(0);
            let [there, back] = &mut self.lanes;
            change.apply(there.config_mut(), back.config_mut());
        }
    }
}

/// The flow of a packet: its addresses and ports.
fn conversation(packet: &[u8]) -> u64 {
    let mut hash = std::hash::DefaultHasher::new();
    packet.get(12..24).hash(&mut hash);
    hash.finish()
}

/// A packet that the device does not take at once is lost, as on any link.
fn pass(device: &mut File, ecn: u8, packet: &[u8]) {
    let mut packet = packet.to_vec();
    if packet[1] & ECN != ecn {
        mark(&mut packet, ecn);
    }
    let _ = device.write(&packet);
}

/// Writes the ECN bits of a header, and updates its checksum by the difference (RFC 1624).
fn mark(packet: &mut [u8], ecn: u8) {
    let word = |packet: &[u8], at: usize| u32::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    let Some(true) = packet.get(..20).map(|header| header.len() == 20) else { return };
    let before = word(packet, 0);
    packet[1] = packet[1] & !ECN | ecn;
    let sum = (!word(packet, 10) & 0xffff) + (!before & 0xffff) + word(packet, 0);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!sum as u16).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(header: &[u8]) -> u16 {
        let words = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum: u32 = words.sum();
        !(((sum & 0xffff) + (sum >> 16)) as u16)
    }

    #[test]
    fn a_mark_keeps_the_checksum_right() {
        for service in [0x00, 0x02, 0xb9, 0xfe] {
            let mut header = [0; 20];
            header[..4].copy_from_slice(&[0x45, service, 0x05, 0xdc]);
            header[8..10].copy_from_slice(&[64, 17]);
            header[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            assert_eq!(checksum(&header), 0);
            mark(&mut header, 0b11);
            assert_eq!((header[1], checksum(&header)), (service | 0b11, 0), "{service:#x}");
        }
        mark(&mut [0x45, 0], 0b11);
    }
}
