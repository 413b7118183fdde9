//! The runtime on tokio.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use quic_core::base::{Entropy, SystemEntropy, Timestamp};
use tokio::{
    runtime::{Handle, Id},
    time::{Instant, Sleep},
};

use super::{BoxFuture, Runtime, RuntimeHandle, Timer};
use crate::{
    buffers::BufferPool,
    mailbox::lock,
    socket::DatagramSocket,
    udp::{SocketOptions, UdpSocket},
};

/// The tokio runtime that the caller is in, if it is in one.
pub(super) fn current() -> Option<RuntimeHandle> {
    let handle = Handle::try_current().ok()?;
    Some(Arc::new(TokioRuntime { handle, origin: Instant::now() }))
}

#[derive(Debug)]
struct TokioRuntime {
    handle: Handle,
    origin: Instant,
}

impl Runtime for TokioRuntime {
    fn now(&self) -> Timestamp {
        timestamp(self.origin, Instant::now())
    }

    fn wall_clock(&self) -> SystemTime {
        super::system_time()
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

    fn resolve(&self, host: &str, port: u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Box::pin(std::future::ready(Ok(vec![SocketAddr::new(address, port)])));
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
}

fn timestamp(origin: Instant, at: Instant) -> Timestamp {
    // One second ahead of the origin, so that "a while ago" is a time, too.
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
            // tokio counts milliseconds and rounds up: shorter waits would be late by up to one.
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
