//! The texts of `rollctl timer`: unit files in systemd's quoting, a line in cron's. Pure.

use crate::host::systemd_quoted;

/// Which systemd runs it, and as whom.
pub(super) enum Place {
    /// The machine's.
    System {
        /// As this user.
        user: String,
    },
    /// The user's own.
    User,
}

impl Place {
    /// Where unit files go.
    pub(super) fn folder(&self) -> &'static str {
        match self {
            Self::System { .. } => "/etc/systemd/system",
            Self::User => "~/.config/systemd/user",
        }
    }
}

/// A run that a timer starts.
pub(super) struct Run {
    /// The units' name, without its ending.
    pub(super) unit: String,
    pub(super) service: String,
    pub(super) fleet: String,
    /// An absolute path, as the inventory's.
    pub(super) program: String,
    pub(super) inventory: String,
    pub(super) place: Place,
    /// Variables that are set for it.
    pub(super) variables: Vec<(&'static str, String)>,
    /// Variables that it needs and whose values stand in no unit file.
    pub(super) secrets: Vec<String>,
    /// How long it may take to finish what is in flight.
    pub(super) stop_seconds: u64,
}

impl Run {
    fn words(&self) -> [&str; 6] {
        [
            &self.program,
            "--inventory",
            &self.inventory,
            "release",
            &self.service,
            "--unattended",
        ]
    }
}

/// The service.
pub(super) fn service_unit(run: &Run) -> String {
    let [program, rest @ ..] = run.words();
    // Variables mean something in arguments only.
    let program = word(program).replace("$$", "$");
    let command = rest
        .iter()
        .fold(program, |command, one| format!("{command} {}", word(one)));
    let user = match &run.place {
        Place::System { user } => format!("User={}\n", specifiers(user)),
        Place::User => String::new(),
    };
    let network = match run.place {
        Place::System { .. } => "Wants=network-online.target\nAfter=network-online.target\n",
        // The user's manager knows nothing of the network.
        Place::User => "",
    };
    let variables: String = run
        .variables
        .iter()
        .map(|(name, value)| format!("Environment={}\n", assignment(name, value)))
        .collect();
    let secrets = match run.secrets.as_slice() {
        [] => "# For what has to stay secret (PGPASSWORD): NAME=value, a line each, mode 0600."
            .to_owned(),
        names => format!(
            "# Has to set {}: NAME=value, a line each, mode 0600.",
            names.join(", ")
        ),
    };
    format!(
        "[Unit]\n\
Description=Release of {service} ({fleet}), if there is something new\n\
{network}\n\
[Service]\n\
Type=oneshot\n\
{user}\
ExecStart={command}\n\
{variables}\
{secrets}\n\
EnvironmentFile=-%E/rollctl/{fleet}.env\n\
# 3: done, some hosts were skipped. 4: somebody is at work on it; the next run looks again. Everything else waits for\n\
# somebody, 5 too (held, paused, refused): the unit has failed, and its last lines say why.\n\
SuccessExitStatus=3 4\n\
# Told to stop, it finishes what is in flight and pauses; programs that it started are not cut off meanwhile.\n\
KillMode=mixed\n\
TimeoutStopSec={stop}s\n",
        service = run.service,
        fleet = run.fleet,
        stop = run.stop_seconds,
    )
}

/// Its timer.
pub(super) fn timer_unit(run: &Run, calendar: &str, delay_seconds: u64) -> String {
    format!(
        "[Unit]\n\
Description=Releases of {} ({}) that nobody watches\n\
\n\
[Timer]\n\
OnCalendar={calendar}\n\
# What was missed while the machine was off is made up for.\n\
Persistent=true\n\
RandomizedDelaySec={delay_seconds}s\n\
AccuracySec=1s\n\
\n\
[Install]\n\
WantedBy=timers.target\n",
        run.service, run.fleet
    )
}

/// A line for a crontab; nothing where cron cannot say that.
pub(super) fn cron_line(run: &Run, calendar: &str) -> Option<String> {
    let when = cron_time(calendar)?;
    let words = run.words().map(shell_word);
    // In a crontab `%` ends the command.
    Some(format!("{when} {}", words.join(" ").replace('%', "\\%")))
}

/// One word of a command line in a unit file.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:+,".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => systemd_quoted(text),
    }
}

/// `NAME=value` of `Environment=`, where `$` means nothing.
fn assignment(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{name}={}\"", specifiers(&value))
}

fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// One word for `sh`.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:+,%".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// When, in cron's five fields, of what is written most.
fn cron_time(calendar: &str) -> Option<String> {
    let named = match calendar.to_ascii_lowercase().as_str() {
        "minutely" => Some("* * * * *"),
        "hourly" => Some("0 * * * *"),
        "daily" => Some("0 0 * * *"),
        "weekly" => Some("0 0 * * 1"),
        "monthly" => Some("0 0 1 * *"),
        _ => None,
    };
    if let Some(named) = named {
        return Some(named.to_owned());
    }
    let mut words: Vec<&str> = calendar.split_whitespace().collect();
    let time = words.pop()?;
    let days = match words.as_slice() {
        [] | ["*-*-*"] => "*".to_owned(),
        [days] | [days, "*-*-*"] => cron_days(days)?,
        _ => return None,
    };
    let parts: Vec<&str> = time.split(':').collect();
    let (hour, minute) = match parts.as_slice() {
        [hour, minute] | [hour, minute, "0" | "00"] => (*hour, *minute),
        _ => return None,
    };
    let (hour, minute) = (cron_field(hour, 23)?, cron_field(minute, 59)?);
    Some(format!("{minute} {hour} * * {days}"))
}

/// `*`, `02`, `0/15`, `1,13`.
fn cron_field(text: &str, most: u32) -> Option<String> {
    let number = |text: &str| -> Option<u32> {
        let is_short = matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit());
        is_short
            .then(|| text.parse().ok())?
            .filter(|number| *number <= most)
    };
    if text == "*" {
        return Some("*".to_owned());
    }
    if let Some((from, each)) = text.split_once('/') {
        let each = number(each).filter(|each| *each > 0)?;
        return match from {
            "*" | "0" | "00" => Some(format!("*/{each}")),
            from => Some(format!("{}-{most}/{each}", number(from)?)),
        };
    }
    let numbers: Option<Vec<String>> = text
        .split(',')
        .map(|one| number(one).map(|number| number.to_string()))
        .collect();
    numbers.map(|numbers| numbers.join(","))
}

/// `Mon..Fri`, `Sat,Sun`.
fn cron_days(text: &str) -> Option<String> {
    const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let day = |text: &str| {
        let text = text.to_ascii_lowercase();
        let place = DAYS.iter().position(|day| *day == text)?;
        Some(place + 1)
    };
    let parts: Option<Vec<String>> = text
        .split(',')
        .map(|part| match part.split_once("..") {
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                (first < last).then(|| format!("{first}-{last}"))
            }
            None => day(part).map(|day| day.to_string()),
        })
        .collect();
    parts.map(|parts| parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            unit: "rollctl-release-production-web".to_owned(),
            service: "web".to_owned(),
            fleet: "production".to_owned(),
            program: "/usr/local/bin/rollctl".to_owned(),
            inventory: "/srv/fleet/production.toml".to_owned(),
            place: Place::System {
                user: "deploy".to_owned(),
            },
            variables: Vec::new(),
            secrets: Vec::new(),
            stop_seconds: 660,
        }
    }

    #[test]
    fn units_of_the_machine_and_of_a_user() {
        insta::assert_snapshot!("service", service_unit(&run()));
        insta::assert_snapshot!("timer", timer_unit(&run(), "hourly", 60));
        let own = Run {
            program: "/home/ann b/50%/$rollctl".to_owned(),
            inventory: "/home/ann b/fleet \"one\".toml".to_owned(),
            place: Place::User,
            variables: vec![("XDG_STATE_HOME", "/home/ann b/50%$x".to_owned())],
            secrets: vec!["DB_URL".to_owned()],
            ..run()
        };
        insta::assert_snapshot!("service_of_a_user", service_unit(&own));
        assert_eq!(
            cron_line(&own, "daily").unwrap(),
            "0 0 * * * '/home/ann b/50\\%/$rollctl' --inventory '/home/ann b/fleet \"one\".toml' release web --unattended"
        );
    }

    #[test]
    fn when_in_the_words_of_cron() {
        for (calendar, expected) in [
            ("hourly", Some("0 * * * *")),
            ("Weekly", Some("0 0 * * 1")),
            ("*:0/15", Some("*/15 * * * *")),
            ("*:5/20", Some("5-59/20 * * * *")),
            ("02:30", Some("30 2 * * *")),
            ("*-*-* 02:30:00", Some("30 2 * * *")),
            ("Mon..Fri 02:30", Some("30 2 * * 1-5")),
            ("Sat,Sun *-*-* 1,13:00", Some("0 1,13 * * 6,7")),
            ("Sat..Mon 02:30", None),
            ("*-*-01 00:00", None),
            ("02:30:15", None),
            ("02:30 Europe/Berlin", None),
            ("25:00", None),
            ("", None),
        ] {
            assert_eq!(cron_time(calendar).as_deref(), expected, "{calendar}");
        }
    }
}
