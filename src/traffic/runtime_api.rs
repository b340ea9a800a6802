//! HAProxy's runtime API: one command over one connection, and what its answers say.
//!
//! Source: the management guide of HAProxy 2.4 and later, section 9.3 "Unix Socket commands".

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ports::Stream;

/// How long an answer may take. The API answers at once; a process that is being replaced may not.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than any answer about one backend.
const MOST: u64 = 4 * 1024 * 1024;

/// A server as `show servers state` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServerState {
    /// `srv_op_state`: 0 down, 1 starting, 2 up, 3 up and draining.
    operational: u32,
    /// `srv_admin_state`: 0 ready, else bits of maintenance and drain.
    administrative: u32,
}

impl ServerState {
    /// Whether nobody has it out: neither in maintenance nor draining, by whatever way.
    pub(super) fn is_ready(self) -> bool {
        self.administrative == 0
    }

    /// Whether its health check, if it has one, lets traffic through.
    pub(super) fn is_up(self) -> bool {
        self.operational == 2
    }
}

/// Sends one command and reads the answer to its end.
///
/// # Errors
/// In words, when the connection fails or nothing comes in time.
pub(super) async fn ask(mut stream: Box<dyn Stream>, command: &str) -> Result<String, String> {
    let exchange = async {
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// The server in the answer to `show servers state BACKEND`; nothing when it is not there.
///
/// # Errors
/// With the answer, when it is none of that command.
pub(super) fn server_state(answer: &str, server: &str) -> Result<Option<ServerState>, String> {
    let mut lines = answer.lines().filter(|line| !line.trim().is_empty());
    let version = lines.next().unwrap_or_default();
    let header = lines.next().unwrap_or_default();
    let Some(names) = header.strip_prefix("# ").filter(|_| version.trim() == "1") else {
        return Err(first_line(answer));
    };
    let place = |wanted: &str| names.split(' ').position(|name| name == wanted);
    let (Some(name), Some(operational), Some(administrative)) = (
        place("srv_name"),
        place("srv_op_state"),
        place("srv_admin_state"),
    ) else {
        return Err(first_line(header));
    };
    for line in lines {
        let fields: Vec<_> = line.split(' ').collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse().ok());
        if fields.get(name) != Some(&server) {
            continue;
        }
        return match (number(operational), number(administrative)) {
            (Some(operational), Some(administrative)) => Ok(Some(ServerState {
                operational,
                administrative,
            })),
            _ => Err(first_line(line)),
        };
    }
    Ok(None)
}

/// The sessions of a server in the answer to `show stat`: those that it serves and those that wait for it.
///
/// # Errors
/// With the answer, when it is none of that command or lacks the server.
pub(super) fn sessions(answer: &str, backend: &str, server: &str) -> Result<u64, String> {
    let table = answer
        .strip_prefix("# ")
        .ok_or_else(|| first_line(answer))?;
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(table.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    let place = |wanted: &str| names.iter().position(|name| name == wanted);
    let places = [
        place("pxname"),
        place("svname"),
        place("scur"),
        place("qcur"),
    ];
    let [Some(proxy), Some(name), Some(serving), Some(waiting)] = places else {
        return Err(first_line(table));
    };
    for row in reader.records() {
        let row = row.map_err(|error| error.to_string())?;
        if row.get(proxy) == Some(backend) && row.get(name) == Some(server) {
            let number = |at: usize| row.get(at).and_then(|field| field.parse::<u64>().ok());
            return Ok(number(serving).unwrap_or(0) + number(waiting).unwrap_or(0));
        }
    }
    Err(format!("no statistics of `{backend}/{server}`"))
}

/// Enough of an answer to be recognised.
pub(super) fn first_line(answer: &str) -> String {
    let line = answer.lines().find(|line| !line.trim().is_empty());
    line.unwrap_or("an empty answer")
        .trim()
        .chars()
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n\
                         3 web 1 web-01 192.0.2.11 2 0 1\n3 web 2 web-02 192.0.2.12 0 8 1\n3 web 3 web-03 192.0.2.13 x 0 1\n\n";

    #[test]
    fn states_of_servers() {
        let state =
            |server| server_state(STATE, server).map(|one| one.map(|s| (s.is_ready(), s.is_up())));
        assert_eq!(state("web-01"), Ok(Some((true, true))));
        assert_eq!(state("web-02"), Ok(Some((false, false))));
        assert_eq!(state("web-04"), Ok(None));
        assert_eq!(
            state("web-03"),
            Err("3 web 3 web-03 192.0.2.13 x 0 1".to_owned())
        );
        for (answer, said) in [
            ("Can't find backend.\n", "Can't find backend."),
            ("\nPermission denied\n", "Permission denied"),
            ("", "an empty answer"),
            ("1\n# srv_name\n", "# srv_name"),
        ] {
            assert_eq!(server_state(answer, "web-01"), Err(said.to_owned()));
        }
    }

    #[test]
    fn sessions_of_a_server() {
        let stat = "# pxname,svname,qcur,qmax,scur,smax,\nweb,FRONTEND,,,9,9,\nweb,web-01,1,3,4,9,\nweb,\"web,02\",0,0,0,0,\n\n";
        assert_eq!(sessions(stat, "web", "web-01"), Ok(5));
        assert_eq!(sessions(stat, "web", "web,02"), Ok(0));
        assert_eq!(
            sessions(stat, "web", "web-03"),
            Err("no statistics of `web/web-03`".to_owned())
        );
        assert_eq!(
            sessions("Permission denied\n", "web", "web-01"),
            Err("Permission denied".to_owned())
        );
    }
}
