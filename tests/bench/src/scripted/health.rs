//! What the service of each host would answer: 200, and the name of the revision that runs.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::fleet::ScriptedFleet;

/// Of a request; the rest is not read.
const LONGEST_LINE: usize = 8 * 1024;

pub(super) async fn accept(listener: TcpListener, fleet: Arc<ScriptedFleet>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let fleet = Arc::clone(&fleet);
        tokio::spawn(async move {
            // A client that hung up has what it wanted.
            let _ = serve(stream, &fleet).await;
        });
    }
}

/// Answers one request after another on a kept connection.
async fn serve(stream: TcpStream, fleet: &ScriptedFleet) -> io::Result<()> {
    let here = stream.local_addr();
    let host = fleet.host(here.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |here| here.ip()));
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(1024, stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 || line.len() > LONGEST_LINE {
            return Ok(());
        }
        // An empty line ends what is asked; there is no body.
        if line != b"\r\n" {
            continue;
        }
        let answer = match host.revision_name() {
            Some(name) => format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}",
                name.len()
            ),
            None => "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_owned(),
        };
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
}
