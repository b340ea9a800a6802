//! One session: what `src/host/script/loop.sh` would do, as the other end of `src/host/lane.rs` sees it.

use std::collections::BTreeMap;
use std::io;

use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    BufReader,
};

use super::fleet::ScriptedFleet;
use super::host::Host;
use super::verbs;

/// A verb with what it is told.
#[derive(Debug)]
pub(super) struct Request {
    id: String,
    pub(super) verb: String,
    pub(super) arguments: Vec<String>,
}

/// What a verb prints, or why it does not.
pub(super) type Answer = Result<String, Refusal>;

/// A verb that changed nothing.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) text: String,
}

impl Request {
    /// Arguments of the form `name=value`; of a name that stands twice, the last.
    pub(super) fn options(&self) -> BTreeMap<&str, &str> {
        let options = self.arguments.iter();
        options
            .filter_map(|argument| argument.split_once('='))
            .collect()
    }

    /// All values of a name.
    pub(super) fn every<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.arguments
            .iter()
            .filter_map(move |argument| argument.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Serves a channel until its client ends it.
pub(super) async fn run(
    channel: Channel<Msg>,
    handle: Handle,
    host: &Host,
    fleet: &ScriptedFleet,
) -> io::Result<()> {
    let id = channel.id();
    let (mut read, write) = channel.split();
    loop {
        match read.wait().await {
            None | Some(ChannelMsg::Close) => return Ok(()),
            Some(ChannelMsg::Exec { .. }) => break,
            Some(_) => {}
        }
    }
    let _ = handle.channel_success(id).await;
    {
        let output = Box::pin(write.make_writer());
        let input = BufReader::new(Box::pin(read.make_reader()));
        if let Some(mut script) = Script::greeted(input, output).await? {
            while script.serve(host, fleet).await? {}
        }
    }
    let _ = write.exit_status(0).await;
    let _ = write.eof().await;
    let _ = write.close().await;
    Ok(())
}

/// The script at work.
struct Script<R, W> {
    input: R,
    output: W,
    token: String,
}

impl<R: AsyncBufRead + Unpin, W: AsyncWrite + Unpin> Script<R, W> {
    /// Takes in the script and its first lines, and gives the sign of life.
    async fn greeted(mut input: R, mut output: W) -> io::Result<Option<Self>> {
        let Some(size) = line(&mut input).await? else {
            return Ok(None);
        };
        skip(&mut input, number(&size)?).await?;
        let token = line(&mut input).await?;
        let (_scope, _acting) = (line(&mut input).await?, line(&mut input).await?);
        let Some(token) = token else {
            return Ok(None);
        };
        output
            .write_all(format!("\n{token} ready\n").as_bytes())
            .await?;
        output.flush().await?;
        Ok(Some(Self {
            input,
            output,
            token,
        }))
    }

    /// Answers one request; whether there may be another.
    async fn serve(&mut self, host: &Host, fleet: &ScriptedFleet) -> io::Result<bool> {
        let Some(request) = self.request().await? else {
            return Ok(false);
        };
        let is_upload = request.verb == "receive";
        let answer = match is_upload {
            true => {
                let options = request.options();
                let count = |name| number(options.get(name).copied().unwrap_or_default());
                let mut archive = Vec::new();
                let mut meta = (&mut self.input).take(count("meta")?);
                meta.read_to_end(&mut archive).await?;
                let name = options.get("name").copied().unwrap_or_default();
                let mut left = count("size")?;
                while left > 0 {
                    let came = skip_some(&mut self.input, left).await?;
                    fleet.came(name, came);
                    left -= came;
                }
                verbs::receive(host, &request, fleet.shipped(archive)?)
            }
            false => verbs::answer(host, &request),
        };
        self.tell(&request.id, answer).await?;
        Ok(!is_upload)
    }

    async fn request(&mut self) -> io::Result<Option<Request>> {
        let Some(head) = line(&mut self.input).await? else {
            return Ok(None);
        };
        let mut words = head.split(' ').map(str::to_owned);
        let (Some(id), Some(verb), Some(count)) = (words.next(), words.next(), words.next()) else {
            return Err(io::Error::other(format!("no request: {head:?}")));
        };
        let mut arguments = Vec::new();
        for _ in 0..number(&count)? {
            let Some(text) = line(&mut self.input).await? else {
                return Ok(None);
            };
            arguments.push(decoded(&text));
        }
        Ok(Some(Request {
            id,
            verb,
            arguments,
        }))
    }

    async fn tell(&mut self, id: &str, answer: Answer) -> io::Result<()> {
        let token = &self.token;
        let (stdout, status) = match answer {
            Ok(text) => (text, 0),
            Err(Refusal { code, text }) => (format!("\n{token} refused {code}\n{text}"), 40),
        };
        let text = format!(
            "\n{token} begin {id}\n{stdout}\n{token} stderr {id}\n\n{token} end {id} {status}\n"
        );
        self.output.write_all(text.as_bytes()).await?;
        self.output.flush().await
    }
}

/// The next line without its end; nothing: the input has ended.
async fn line(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    input.read_until(b'\n', &mut bytes).await?;
    if bytes.pop() != Some(b'\n') {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

async fn skip(input: &mut (impl AsyncBufRead + Unpin), count: u64) -> io::Result<()> {
    let mut left = count;
    while left > 0 {
        left -= skip_some(input, left).await?;
    }
    Ok(())
}

/// As much as is there, up to `most`; how much that was.
async fn skip_some(input: &mut (impl AsyncBufRead + Unpin), most: u64) -> io::Result<u64> {
    let there = input.fill_buf().await?.len();
    if there == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let some = usize::try_from(most).map_or(there, |most| most.min(there));
    input.consume(some);
    Ok(some as u64)
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(io::Error::other)
}

/// `\0ooo` is a byte, everything else is itself.
fn decoded(text: &str) -> String {
    let mut parts = text.split("\\0");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (octal, rest) = part.split_at_checked(3).unwrap_or((part, ""));
        bytes.extend(u8::from_str_radix(octal, 8));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stand_in_octal() {
        for (text, expected) in [
            ("dir=/opt/web", "dir=/opt/web"),
            ("a\\0012b\\0134c", "a\nb\\c"),
            ("\\0303\\0274", "ü"),
        ] {
            assert_eq!(decoded(text), expected, "{text}");
        }
    }
}
