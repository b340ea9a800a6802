//! The `%x`, `~` and `${NAME}` expansions of `ssh_config`, as far as a fleet needs them.

use std::path::{Path, PathBuf};

/// What the tokens stand for.
#[derive(Debug, Clone)]
pub(crate) struct Tokens<'a> {
    /// `%h`: the name to dial.
    pub(crate) host: &'a str,
    /// `%n`: the name as it was given.
    pub(crate) original: &'a str,
    /// `%p`
    pub(crate) port: u16,
    /// `%r`: the login name.
    pub(crate) user: &'a str,
    /// `%d` and `~`
    pub(crate) home: Option<&'a Path>,
}

impl Tokens<'_> {
    /// Expands the `%x` tokens; an unknown one is an error that names it.
    pub(crate) fn expand(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => out.push('%'),
                Some('h') => out.push_str(self.host),
                Some('n') => out.push_str(self.original),
                Some('p') => out.push_str(&self.port.to_string()),
                Some('r') => out.push_str(self.user),
                Some('u') => out.push_str(&local_user().unwrap_or_default()),
                Some('d') => out.push_str(&self.home.unwrap_or(Path::new("")).to_string_lossy()),
                Some('l' | 'L') => {
                    let name = gethostname::gethostname().to_string_lossy().into_owned();
                    out.push_str(&name);
                }
                other => {
                    let token = other.map_or_else(String::new, String::from);
                    return Err(format!("token `%{token}` in `{text}` is not supported"));
                }
            }
        }
        Ok(out)
    }

    /// Expands tokens, `~/` and `${NAME}` in a path.
    pub(crate) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let text = environment(&self.expand(text)?)?;
        Ok(tilde(&text, self.home))
    }
}

/// Replaces a leading `~/` by the home folder.
pub(crate) fn tilde(text: &str, home: Option<&Path>) -> PathBuf {
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

/// Replaces `${NAME}`; a name that is not set is an error, as with ssh.
fn environment(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else {
            return Err(format!("`${{` in `{text}` is not closed"));
        };
        let value =
            std::env::var(name).map_err(|_| format!("variable `{name}` in `{text}` is not set"))?;
        out.push_str(before);
        out.push_str(&value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// The person's own login name, as the environment knows it.
pub(crate) fn local_user() -> Option<String> {
    ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
        .or_else(|| {
            rustix::process::getuid()
                .is_root()
                .then(|| "root".to_owned())
        })
}

/// The person's home folder.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_for_what_ssh_says() {
        let tokens = Tokens {
            host: "10.0.0.1",
            original: "web-01",
            port: 2222,
            user: "deploy",
            home: Some(Path::new("/home/ann")),
        };
        for (text, wanted) in [
            ("nc %h %p", "nc 10.0.0.1 2222"),
            ("%r@%n", "deploy@web-01"),
            ("100%%", "100%"),
            ("%d/.ssh/id", "/home/ann/.ssh/id"),
            ("", ""),
        ] {
            assert_eq!(tokens.expand(text).as_deref(), Ok(wanted), "{text}");
        }
        assert!(tokens.expand("%z").is_err_and(|error| error.contains("%z")));
        assert!(tokens.expand("50%").is_err());
        assert_eq!(
            tokens.path("~/.ssh/%r"),
            Ok(PathBuf::from("/home/ann/.ssh/deploy"))
        );
        assert!(tokens.path("${NO_SUCH_VARIABLE_HERE}").is_err());
    }
}
