//! The runtime on tokio.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::catch_unwind,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, Weak},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use quic_core::base::{Entropy, SystemEntropy, Timestamp};
use tokio::{
    runtime::{Handle, Id, RuntimeFlavor},
    time::{Instant, Sleep},
};

use super::{
    calendar::system_time,
    seam::{BoxFuture, MissingDriver, Runtime, RuntimeHandle, Timer},
    tally::Tally,
};
use crate::{
    buffers::BufferPool,
    socket::DatagramSocket,
    udp::{SocketOptions, UdpSocket, loopback},
    waiters::lock,
};

/// The caller's tokio runtime, if there is one. All callers get the same value while any of them keeps it,
/// because times of one clock mean nothing on another.
pub(super) fn current() -> Option<RuntimeHandle> {
    static ALL: Mutex<Vec<Weak<TokioRuntime>>> = Mutex::new(Vec::new());
    let handle = Handle::try_current().ok()?;
    let mut all = lock(&ALL);
    all.retain(|runtime| runtime.strong_count() > 0);
    let known = all.iter().filter_map(Weak::upgrade).find(|runtime| runtime.handle.id() == handle.id());
    let runtime = known.unwrap_or_else(|| {
        let (tally, checked) = (Arc::default(), OnceLock::new());
        let new = Arc::new(TokioRuntime { handle, origin: Instant::now(), tally, checked });
        all.push(Arc::downgrade(&new));
        new
    });
    Some(runtime)
}

#[derive(Debug)]
struct TokioRuntime {
    handle: Handle,
    origin: Instant,
    tally: Arc<Tally>,
    checked: OnceLock<Result<(), MissingDriver>>,
}

impl TokioRuntime {
    /// tokio reports a missing driver only by a panic.
    fn look(&self) -> Result<(), MissingDriver> {
        let _context = self.handle.enter();
        catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).map_err(|_| MissingDriver("time"))?;
        let Ok(socket) = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else { return Ok(()) };
        let made = catch_unwind(|| {
            socket.set_nonblocking(true).and_then(|()| tokio::net::UdpSocket::from_std(socket)).map(drop)
        });
        // Other errors come from the system or from a runtime that shuts down. They are reported when a
        // socket is made.
        made.map(drop).map_err(|_| MissingDriver("I/O"))
    }
}

impl Runtime for TokioRuntime {
    fn now(&self) -> Timestamp {
        timestamp(self.origin, Instant::now())
    }

    fn wall_clock(&self) -> SystemTime {
        system_time()
    }

    fn entropy(&self) -> Box<dyn Entropy> {
        Box::new(SystemEntropy::new())
    }

    fn timer(&self) -> Pin<Box<dyn Timer>> {
        let _context = self.handle.enter();
        Box::pin(TokioTimer {
            origin: self.origin,
            at: None,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
        })
    }

    fn bind(&self, options: &SocketOptions) -> io::Result<Box<dyn DatagramSocket>> {
        let _context = self.handle.enter();
        Ok(Box::new(UdpSocket::bind(options)?))
    }

    fn adopt(&self, socket: std::net::UdpSocket) -> io::Result<Box<dyn DatagramSocket>> {
        let _context = self.handle.enter();
        Ok(Box::new(UdpSocket::adopt(socket, true)?))
    }

    fn bind_shared(&self, options: &SocketOptions, count: usize) -> io::Result<Vec<Box<dyn DatagramSocket>>> {
        let _context = self.handle.enter();
        let sockets = UdpSocket::bind_shared(options, count)?;
        Ok(sockets.into_iter().map(|socket| Box::new(socket) as Box<dyn DatagramSocket>).collect())
    }

    fn parallelism(&self) -> usize {
        let threads = match self.handle.runtime_flavor() {
            RuntimeFlavor::CurrentThread => 1,
            _ => self.handle.metrics().num_workers(),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if UdpSocket::CAN_SHARE { threads.min(cores) } else { 1 }
    }

    fn resolve(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Box::pin(std::future::ready(Ok(vec![SocketAddr::new(address, port)])));
        }
        if let Some(both) = loopback(host) {
            let found = both.map(|address| SocketAddr::new(address, port));
            return Box::pin(std::future::ready(Ok(found.to_vec())));
        }
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }

    fn spawn(&self, task: BoxFuture<()>) {
        drop(self.handle.spawn(task));
    }

    fn buffers(&self) -> Arc<BufferPool> {
        static POOLS: Mutex<Vec<(Id, Weak<BufferPool>)>> = Mutex::new(Vec::new());
        let mut pools = lock(&POOLS);
        pools.retain(|(_, pool)| pool.strong_count() > 0);
        let id = self.handle.id();
        let found = pools.iter().find(|(other, _)| *other == id).and_then(|(_, pool)| pool.upgrade());
        found.unwrap_or_else(|| {
            let new = Arc::default();
            pools.push((id, Arc::downgrade(&new)));
            new
        })
    }

    fn identity(&self) -> String {
        format!("tokio {}", self.handle.id())
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    fn check(&self) -> Result<(), MissingDriver> {
        *self.checked.get_or_init(|| self.look())
    }
}

fn timestamp(origin: Instant, at: Instant) -> Timestamp {
    // One second ahead of the origin, so that earlier times exist too.
    Timestamp::from_nanos(1_000_000_000) + at.saturating_duration_since(origin)
}

struct TokioTimer {
    origin: Instant,
    at: Option<Timestamp>,
    sleep: Pin<Box<Sleep>>,
}

impl Timer for TokioTimer {
    fn poll_until(mut self: Pin<&mut Self>, cx: &mut Context<'_>, at: Timestamp) -> Poll<()> {
        if self.at != Some(at) {
            let now = Instant::now();
            let wait = at - timestamp(self.origin, now);
            if wait.is_zero() {
                return Poll::Ready(());
            }
            // tokio counts milliseconds and rounds up, so shorter waits would be late by up to one.
            self.at = Some(at);
            let until = now.checked_add(wait).unwrap_or(now);
            self.sleep.as_mut().reset(until);
        }
        let polled = self.sleep.as_mut().poll(cx);
        if polled.is_ready() {
            self.at = None;
        }
        polled
    }
}

use std::future::Future as _;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sessions of one connection share its driver, whose clock determines the age of the datagrams of
    /// both.
    #[test]
    fn all_callers_share_one_clock() {
        let new = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (one, other) = (new(), new());
        let ask = |runtime: &tokio::runtime::Runtime| runtime.block_on(async { current().unwrap() });
        let first = ask(&one);
        assert!(Arc::ptr_eq(&first, &ask(&one)), "at any time");
        assert!(!Arc::ptr_eq(&first, &ask(&other)));
    }

    /// No resolver is asked, because the machine's may know the name in one family only, or not at all.
    #[test]
    fn localhost_is_resolved_to_both_loopback_addresses() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(async { current().unwrap().resolve("app.localhost", 7).await.unwrap() });
        assert_eq!(found, ["[::1]:7".parse().unwrap(), "127.0.0.1:7".parse().unwrap()]);
    }

    #[test]
    fn a_missing_driver_of_a_runtime_is_named() {
        let check = |builder: &mut tokio::runtime::Builder| {
            let runtime = builder.build().unwrap();
            runtime.block_on(async { current().unwrap().check() })
        };
        let new = tokio::runtime::Builder::new_current_thread;
        assert_eq!(check(&mut new()), Err(MissingDriver("time")));
        assert_eq!(check(new().enable_time()), Err(MissingDriver("I/O")));
        assert_eq!(check(new().enable_all()), Ok(()));
    }
}
