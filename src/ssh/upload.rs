//! Feeds a command: a header and a payload into its standard input, then the end of file.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::{Problem, SshError};
use super::exec::{Output, output, write_problem};
use super::pipe::ChannelWriter;
use super::session::Session;

/// What is read from the payload at once.
const PIECE: usize = 128 * 1024;

enum Fed {
    All,
    /// The command ended, or closed its input, before everything was sent.
    Early,
}

impl Session {
    /// Runs a command and feeds its standard input with `header`, then `payload`, then the end of file. `progress` is
    /// told the bytes of the payload that are on their way.
    ///
    /// # Errors
    /// [`Problem::Timeout`] when nothing moves for the idle timeout, [`Problem::Source`] when the payload cannot be
    /// read (the channel is then closed without the end of file), [`Problem::Channel`] when the command ends well
    /// without having been sent everything. A command that fails is an [`Output`] with its status.
    pub async fn upload<R, P>(
        &self,
        command: &str,
        header: &[u8],
        payload: R,
        progress: P,
    ) -> Result<Output, SshError>
    where
        R: AsyncRead + Unpin + Send,
        P: Fn(u64) + Send + Sync,
    {
        let mut channel = self.open_exec(command).await?;
        let limit = self.tuning().kept_output;
        let mut kept = Vec::new();
        let mut dropped = 0;
        let fed = {
            let feeding = self.feed(&mut channel.stdin, header, payload, &progress);
            tokio::pin!(feeding);
            let mut fed = None;
            loop {
                tokio::select! {
                    result = &mut feeding, if fed.is_none() => fed = Some(result?),
                    piece = channel.stdout.next() => match piece {
                        Some(Ok(piece)) => {
                            let (keep, drop) = piece.split_at(piece.len().min(limit.saturating_sub(kept.len())));
                            kept.extend_from_slice(keep);
                            dropped += drop.len() as u64;
                        }
                        Some(Err(_)) | None => break,
                    },
                }
            }
            // Standard output may end long before the command does.
            match fed {
                Some(fed) => fed,
                None => feeding.await?,
            }
        };
        let output = output(channel, kept, dropped).await?;
        match fed {
            Fed::Early if output.is_success() => Err(self.error(Problem::Channel {
                doing: "uploading",
                reason: "the command ended before it was sent everything".to_owned(),
            })),
            Fed::All | Fed::Early => Ok(output),
        }
    }

    async fn feed<R, P>(
        &self,
        stdin: &mut ChannelWriter,
        header: &[u8],
        mut payload: R,
        progress: &P,
    ) -> Result<Fed, SshError>
    where
        R: AsyncRead + Unpin + Send,
        P: Fn(u64) + Send + Sync,
    {
        let judge = |error: std::io::Error| match write_problem(self, &error, "uploading") {
            Some(problem) => Err(self.error(problem)),
            None => Ok(Fed::Early),
        };
        if let Err(error) = stdin.send(Bytes::copy_from_slice(header)).await {
            return judge(error);
        }
        let mut buffer = BytesMut::new();
        let mut sent = 0;
        loop {
            buffer.reserve(PIECE);
            let read = payload
                .read_buf(&mut buffer)
                .await
                .map_err(|source| self.error(Problem::Source { source }))?;
            if read == 0 {
                break;
            }
            if let Err(error) = stdin.send(buffer.split().freeze()).await {
                return judge(error);
            }
            sent += read as u64;
            progress(sent);
        }
        match stdin.finish().await {
            Ok(()) => Ok(Fed::All),
            Err(error) => judge(error),
        }
    }
}
