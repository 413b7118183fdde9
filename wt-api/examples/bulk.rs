//! Bulk transfer over loopback. A client and a server have a thread each; the server sends on one
//! unidirectional stream for two seconds.
//!
//! `cargo run --release -p wt-api --example bulk` prints the goodput and the processor time per byte of both ends.

use std::{error::Error, sync::mpsc, thread, time::Duration};

use bytes::Bytes;
use tokio::{runtime::Builder, time::Instant};
use wt_api::{AcceptOptions, CertificateHash, CloseInfo, Identity, SendStreamOptions, Server};
use wt_api::{WebTransport, WebTransportOptions};

type Failure = Box<dyn Error + Send + Sync>;

/// How long the server sends.
const DURATION: Duration = Duration::from_secs(2);
/// How much the server writes in one call, in bytes.
const CHUNK: usize = 64 << 10;

fn main() -> Result<(), Failure> {
    let (tell, told) = mpsc::channel();
    let server = thread::Builder::new().name("server".to_owned()).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(&tell))
    })?;
    let (port, hash) = told.recv()?;
    let before = cpu_time();
    let client = thread::Builder::new().name("client".to_owned()).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(download(port, hash))
    })?;
    let (bytes, elapsed) = client.join().map_err(|_| "the client panicked")??;
    let cpu = cpu_time().zip(before).map(|(after, before)| after.saturating_sub(before));
    server.join().map_err(|_| "the server panicked")??;
    let seconds = elapsed.as_secs_f64();
    println!("{bytes} bytes in {seconds:.2} s: {:.2} Gbit/s", bytes as f64 * 8e-9 / seconds);
    match cpu {
        Some(cpu) => {
            println!("{:.3} ns of processor time per byte, both ends", cpu.as_nanos() as f64 / bytes as f64);
        }
        None => println!("the processor time is not known on this system"),
    }
    Ok(())
}

async fn serve(tell: &mpsc::Sender<(u16, Option<CertificateHash>)>) -> Result<(), Failure> {
    let identity = Identity::self_signed(["localhost"])?;
    let server = Server::builder().identity(identity).listen("127.0.0.1:0".parse()?).build()?;
    let address = server.local_addresses().first().ok_or("no address")?;
    tell.send((address.port(), server.certificate_hash()))?;
    let request = server.accept().await.ok_or("no request")?;
    let session = request.accept(AcceptOptions::new()).await?;
    let mut stream = session.create_unidirectional_stream(SendStreamOptions::new()).await?;
    let chunk = Bytes::from(vec![0x5a; CHUNK]);
    let end = Instant::now() + DURATION;
    while Instant::now() < end {
        stream.write_chunk(chunk.clone()).await?;
    }
    stream.finish()?;
    session.closed().await?;
    server.shutdown(Duration::from_millis(100)).await;
    Ok(())
}

async fn download(port: u16, hash: Option<CertificateHash>) -> Result<(u64, Duration), Failure> {
    let options = WebTransportOptions::new().server_certificate_hashes(hash);
    let session = WebTransport::new(&format!("https://127.0.0.1:{port}/"), options)?;
    session.ready().await?;
    let mut stream =
        session.incoming_unidirectional_streams().next().await.ok_or("the session was closed")??;
    let (begin, mut bytes) = (Instant::now(), 0);
    while let Some(chunk) = stream.read_chunk(usize::MAX).await? {
        bytes += chunk.len() as u64;
    }
    let elapsed = begin.elapsed();
    let stats = session.get_stats().await?;
    if let (Some(packets), Some(bytes)) = (stats.packets_received, stats.bytes_received) {
        println!("{packets} packets received, {bytes} bytes with overhead");
    }
    session.close(CloseInfo::default());
    session.closed().await?;
    Ok((bytes, elapsed))
}

/// The processor time that all threads of this process have used so far, in user and system mode (Linux).
fn cpu_time() -> Option<Duration> {
    // The tick of /proc is 10 ms, which is half a percent of two seconds.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may contain spaces. The fields after it are counted from 3 (proc(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}
