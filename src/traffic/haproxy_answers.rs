//! What HAProxy's runtime API answers, read without it.

/// `srv_admin_state`: forced, inherited by `track`, no address by DNS, no address by name.
const FORCED_MAINT: u32 = 0x01;
const INHERITED_MAINT: u32 = 0x02;
const FORCED_DRAIN: u32 = 0x08;
const INHERITED_DRAIN: u32 = 0x10;
const UNRESOLVED: u32 = 0x20 | 0x40;

/// `srv_op_state`: stopped is 0, soft-stopped is 3.
const STARTING: u32 = 1;
const RUNNING: u32 = 2;

/// A server of a backend as `show servers state` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerState {
    pub(crate) address: String,
    pub(crate) port: u16,
    /// 0: checks ask the server's own port.
    pub(crate) check_port: u16,
    operational: u32,
    admin: u32,
    pub(crate) weight: u32,
}

impl ServerState {
    /// Nothing new goes to it, not even to those who were there before.
    pub(crate) fn is_in_maintenance(&self) -> bool {
        self.admin & (FORCED_MAINT | INHERITED_MAINT | UNRESOLVED) != 0
    }

    /// An operator's word, or ours: it is to get requests, should its checks pass.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_in_maintenance()
            && self.admin & (FORCED_DRAIN | INHERITED_DRAIN) == 0
            && self.weight > 0
    }

    /// Its checks pass, or it has none. A server in slow start gets requests too.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.operational, STARTING | RUNNING)
    }

    /// What `ready` does not end.
    pub(crate) fn obstacle(&self) -> Option<(&'static str, &'static str)> {
        if self.admin & (INHERITED_MAINT | INHERITED_DRAIN) != 0 {
            Some((
                "follows another server by `track`, which is out",
                "name the server that is tracked",
            ))
        } else if self.admin & UNRESOLVED != 0 {
            Some((
                "has no address: its name does not resolve there",
                "look at `resolvers` in haproxy.cfg, or write an address",
            ))
        } else if self.weight == 0 {
            Some((
                "has the weight 0",
                "give it a weight: `set server BACKEND/SERVER weight 100%`",
            ))
        } else {
            None
        }
    }

    /// What `ready` ends.
    pub(crate) fn is_forced_out(&self) -> bool {
        self.admin & (FORCED_MAINT | FORCED_DRAIN) != 0
    }
}

/// What `show servers state` says of a server.
pub(crate) enum Found {
    /// It is there.
    State(ServerState),
    /// It is not; these are.
    Others(Vec<String>),
    /// It is no such answer.
    Nothing,
}

pub(crate) fn find_state(answer: &str, server: &str) -> Found {
    let mut lines = answer.lines().skip_while(|line| !line.starts_with('#'));
    let Some(header) = lines.next() else {
        return Found::Nothing;
    };
    let names: Vec<&str> = header.trim_start_matches('#').split_whitespace().collect();
    let mut others = Vec::new();
    for line in lines {
        let values: Vec<&str> = line.split_whitespace().collect();
        let value = |name: &str| {
            let at = names.iter().position(|known| *known == name)?;
            values.get(at).copied()
        };
        match value("srv_name") {
            Some(name) if name == server => {
                let number = |name: &str| value(name).and_then(|text| text.parse::<u32>().ok());
                let port = |name: &str| {
                    number(name)
                        .and_then(|port| u16::try_from(port).ok())
                        .unwrap_or(0)
                };
                let (Some(operational), Some(admin)) =
                    (number("srv_op_state"), number("srv_admin_state"))
                else {
                    return Found::Nothing;
                };
                return Found::State(ServerState {
                    address: value("srv_addr").unwrap_or("-").to_owned(),
                    port: port("srv_port"),
                    check_port: port("srv_check_port"),
                    operational,
                    admin,
                    weight: number("srv_uweight").unwrap_or(1),
                });
            }
            Some(name) => others.push(name.to_owned()),
            None => {}
        }
    }
    Found::Others(others)
}

/// A line of `show stat` with the names of its columns.
pub(crate) fn stat_row<'t>(
    answer: &'t str,
    backend: &str,
    server: &str,
) -> Option<Vec<(&'t str, &'t str)>> {
    let mut lines = answer.lines().skip_while(|line| !line.starts_with('#'));
    let names: Vec<&str> = lines
        .next()?
        .trim_start_matches('#')
        .trim()
        .split(',')
        .collect();
    let prefix = format!("{backend},{server},");
    let line = lines.find(|line| line.starts_with(&prefix))?;
    // Quoted texts may hold commas, but they come behind the columns that are counted.
    Some(names.into_iter().zip(line.split(',')).collect())
}

/// Streams in `show sess all` whose server has that name and, at that time, had that port.
pub(crate) fn streams_to(answer: &str, backend: &str, server: &str, port: u16) -> u64 {
    let backend_line = format!("backend={backend} (");
    let server_line = format!("server={server} (");
    let address_end = format!(":{port}");
    let (mut count, mut is_ours) = (0, false);
    for line in answer.lines().map(str::trim_start) {
        if line.starts_with("backend=") {
            is_ours = line.starts_with(&backend_line);
        } else if is_ours && line.starts_with(&server_line) {
            let address = line.split("addr=").nth(1).unwrap_or_default();
            let address = address.split_whitespace().next().unwrap_or_default();
            count += u64::from(address.ends_with(&address_end));
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_port srv_check_port\n";

    #[test]
    fn what_a_state_means() {
        // Operational and administrative state, weight; in maintenance, ready, up, forced out, has an obstacle.
        for (numbers, expected) in [
            ("2 0 1", [false, true, true, false, false]),
            ("1 0 1", [false, true, true, false, false]),
            ("0 0 1", [false, true, false, false, false]),
            ("3 0 1", [false, true, false, false, false]),
            ("2 8 1", [false, false, true, true, false]),
            ("0 1 1", [true, false, false, true, false]),
            // `disabled` in haproxy.cfg: 4 only remembers it.
            ("0 5 1", [true, false, false, true, false]),
            ("2 4 1", [false, true, true, false, false]),
            ("0 2 1", [true, false, false, false, true]),
            ("2 16 1", [false, false, true, false, true]),
            ("0 32 1", [true, false, false, false, true]),
            ("0 64 1", [true, false, false, false, true]),
            ("2 0 0", [false, false, true, false, true]),
        ] {
            let answer = format!("{COLUMNS}3 web 1 web-1 10.0.0.1 {numbers} 1 8080 0\n\n");
            let Found::State(state) = find_state(&answer, "web-1") else {
                panic!("{numbers}");
            };
            let found = [
                state.is_in_maintenance(),
                state.is_ready(),
                state.is_up(),
                state.is_forced_out(),
                state.obstacle().is_some(),
            ];
            assert_eq!(found, expected, "{numbers}");
            assert_eq!((state.address.as_str(), state.port), ("10.0.0.1", 8080));
        }
    }

    #[test]
    fn answers_that_are_none() {
        let others = format!("{COLUMNS}3 web 1 web-10 10.0.0.1 2 0 1 1 80 0\n");
        assert!(
            matches!(find_state(&others, "web-1"), Found::Others(names) if names == ["web-10"])
        );
        assert!(matches!(
            find_state("HTTP/1.0 400 Bad request", "web-1"),
            Found::Nothing
        ));
        assert!(matches!(find_state("", "web-1"), Found::Nothing));
    }

    #[test]
    fn sessions_of_one_server() {
        let answer = "# pxname,svname,qcur,qmax,scur,smax,\nweb,FRONTEND,,,7,9,\nweb,web-10,0,0,5,9,\nweb,web-1,2,0,3,9,\n";
        let row = stat_row(answer, "web", "web-1").unwrap();
        assert!(
            row.contains(&("qcur", "2")) && row.contains(&("scur", "3")),
            "{row:?}"
        );
        assert_eq!(stat_row(answer, "web", "web-2"), None);
        assert_eq!(stat_row(answer, "we", "web-1"), None);

        let answer = "0x1: proto\n  backend=web (id=3 mode=http) addr=127.0.0.1:1\n  server=web-1 (id=1) addr=127.0.0.1:8080\n\
                      0x2: proto\n  backend=web (id=3 mode=http) addr=127.0.0.1:8080\n  server=web-1 (id=1) addr=127.0.0.1:8081\n\
                      0x3: proto\n  backend=api (id=4 mode=http) addr=127.0.0.1:1\n  server=web-1 (id=1) addr=127.0.0.1:8080\n\
                      0x4: proto\n  backend=web (id=3 mode=http) addr=?\n  server=web-10 (id=1) addr=127.0.0.1:8080\n";
        assert_eq!(streams_to(answer, "web", "web-1", 8080), 1);
        assert_eq!(streams_to(answer, "web", "web-1", 80), 0);
    }
}
