//! Streams to ports and sockets as seen from the host.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::channel::{CloseOnDrop, attend};
use super::error::SshError;
use super::pipe::{ChannelReader, ChannelWriter};
use super::session::Session;

/// A byte stream through the host; dropping it closes it.
#[derive(Debug)]
pub struct Tunnel {
    reader: ChannelReader,
    writer: ChannelWriter,
    _close: CloseOnDrop,
    _session: Session,
}

impl Session {
    /// Connects to a port as the host sees it (`direct-tcpip`).
    ///
    /// # Errors
    /// [`super::Problem::Channel`] when the host cannot connect or forbids forwarding; [`super::Problem::ConnectionLost`].
    pub async fn forward(&self, host: &str, port: u16) -> Result<Tunnel, SshError> {
        let host = host.to_owned();
        self.open("forwarding to a port", move |session| async move {
            session
                .handle()
                .channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0)
                .await
        })
        .await
        .map(|channel| self.tunnel(channel))
    }

    /// Connects to a Unix socket on the host (`direct-streamlocal`).
    ///
    /// # Errors
    /// As [`Session::forward`].
    pub async fn forward_unix(&self, path: &str) -> Result<Tunnel, SshError> {
        let path = path.to_owned();
        self.open("forwarding to a socket", move |session| async move {
            session.handle().channel_open_direct_streamlocal(path).await
        })
        .await
        .map(|channel| self.tunnel(channel))
    }

    fn tunnel(&self, channel: russh::Channel<russh::client::Msg>) -> Tunnel {
        let parts = attend(self, channel, None);
        Tunnel {
            reader: parts.reader,
            writer: parts.writer,
            _close: parts.close,
            _session: self.clone(),
        }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}
