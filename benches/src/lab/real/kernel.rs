//! System calls that the standard library does not have. This is the only unsafe code of this crate.
#![allow(unsafe_code, reason = "three system calls")]

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::fs::OpenOptionsExt as _,
    },
    time::Duration,
};

/// The device that creates TUN devices.
pub(super) const TUN: &str = "/dev/net/tun";

/// Gives the calling thread, and the threads and sockets that it creates from now on, its own network.
pub(super) fn enter_new_network() -> io::Result<()> {
    // SAFETY: takes a flag and touches no memory of ours.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

/// A new TUN device in the network of the calling thread; reads and writes do not block.
pub(super) fn open_tun(name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(TUN)?;
    // SAFETY: all zeroes is a value of this structure of integers and addresses.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero, as the end of the name.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().take(room).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes one such structure, which outlives the
    // call.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(file)
}

/// Waits until one of these can be read, or the time has passed.
pub(super) fn wait(files: &[BorrowedFd<'_>], time: Duration) -> io::Result<()> {
    let poll =
        |file: &BorrowedFd<'_>| libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut polled: Vec<libc::pollfd> = files.iter().map(poll).collect();
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    let count = polled.len() as libc::nfds_t;
    // SAFETY: the array has `count` entries and outlives the call, as does the time; no signal mask is given.
    match checked(unsafe { libc::ppoll(polled.as_mut_ptr(), count, &raw const time, std::ptr::null()) }) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        result => result,
    }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
