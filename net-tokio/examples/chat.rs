//! Two people talk over a secure channel, without any store: this is a peer-to-peer library too.
//!
//! In one terminal:
//!
//! ```text
//! cargo run -p forever-net-tokio --example chat -- listen 127.0.0.1:4000 "our secret"
//! ```
//!
//! and in another, with the same secret (with a different one it reports silence after ten seconds):
//!
//! ```text
//! cargo run -p forever-net-tokio --example chat -- dial 127.0.0.1:4000 "our secret"
//! ```
//!
//! Each line typed appears in the other terminal; the end of the input (Ctrl-D) says goodbye.

use std::error::Error;
use std::time::Duration;

use forever_net_tokio::channel::{Identity, SecureStream};
use forever_net_tokio::net::tcp::TcpNet;
use forever_net_tokio::net::{Listener, Net, Stream};
use forever_net_tokio::peers::{Admission, admit, dial};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::Instant;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, address, secret] = arguments.as_slice() else {
        return Err("usage: chat listen|dial ADDRESS SECRET".into());
    };
    let cluster_key = blake3::derive_key("forever-net-tokio chat example: cluster key", secret.as_bytes());
    let identity = Identity::new(random()?, cluster_key);
    let admission = Admission::default();
    let stream = match mode.as_str() {
        "listen" => {
            let mut listener = TcpNet.listen(address).await?;
            println!("listening at {}", listener.local_address());
            let (stream, remote) = listener.accept().await?;
            let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
            admit(stream, &remote, &identity, &admission, random()?, deadline).await?.0
        }
        "dial" => {
            let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
            dial(&TcpNet, address, &identity, &admission, random()?, deadline).await?.0
        }
        _ => return Err("the first argument is `listen` or `dial`".into()),
    };
    talk(stream).await
}

async fn talk(stream: SecureStream<impl Stream>) -> Result<(), Box<dyn Error>> {
    let peer = stream.peer();
    println!("talking to {peer}");
    let (mut reader, mut writer) = stream.split();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            biased;
            frame = reader.read_raw() => match frame? {
                Some(frame) => println!("{peer:?}: {}", String::from_utf8_lossy(&frame.payload)),
                None => break println!("{peer:?} has left"),
            },
            line = lines.next_line() => match line? {
                Some(line) => writer.write_raw(b"say", line.as_bytes()).await?,
                None => break writer.shutdown().await?,
            },
        }
    }
    // The thread that waits for the terminal would hold the runtime back.
    std::process::exit(0)
}

/// 32 bytes from the operating system: the library itself draws none, so that it can be simulated.
fn random() -> Result<[u8; 32], Box<dyn Error>> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no randomness")?;
    Ok(bytes)
}
