//! `[ledger] url` and `[artifacts] url`.

use super::mistake::Findings;
use super::paths::resolve;
use super::postgres;
use super::reader::{Entry, Table};
use super::urls::{is_cloud, parse_bucket};

/// `sqlite:` and the absolute path of the file, taken as it is (no `?options`, no percent-encoding); or a database on a
/// server.
pub(crate) fn ledger(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<String> {
    let url = url(entry, f)?;
    let text = url.text(f)?;
    if let Some(path) = text.strip_prefix("sqlite:") {
        return file("sqlite", path, &url, f);
    }
    if postgres::is_meant(text) {
        return postgres::ledger(text, &url, f);
    }
    f.wrong_help(
        &url.at,
        "`url` of a ledger begins with `sqlite:` or `postgres://`",
        "write `url = \"sqlite:production.db\"`, a path relative to the inventory file, or \
         `url = \"postgres://rollctl@db.example.net/rollctl?sslmode=verify-full\"`",
    );
    None
}

/// `file:` and the absolute path of the folder, taken as it is; or a bucket in a cloud and where in it.
pub(crate) fn artifacts(entry: &Entry<'_>, f: &mut Findings<'_>) -> Option<String> {
    let url = url(entry, f)?;
    let text = url.text(f)?;
    if let Some(path) = text.strip_prefix("file:") {
        return file("file", path, &url, f);
    }
    if is_cloud(text) {
        return match parse_bucket(text) {
            Ok(bucket) => Some(bucket.secret().to_owned()),
            Err(error) => {
                f.wrong_help(&url.at, error.message, error.help);
                None
            }
        };
    }
    f.wrong_help(
        &url.at,
        "`url` of an artifact store begins with `file:`, `s3://`, `gs://` or `az://`",
        "write `url = \"file:artifacts\"`, a path relative to the inventory file, or `url = \"s3://bucket/folder\"`",
    );
    None
}

fn url<'t>(entry: &Entry<'t>, f: &mut Findings<'_>) -> Option<Entry<'t>> {
    let mut table: Table<'t> = entry.table(f)?;
    let url = table.take("url");
    table.finish(f, |_| None);
    url
}

fn file(scheme: &str, path: &str, url: &Entry<'_>, f: &mut Findings<'_>) -> Option<String> {
    // `file:///srv/x` is the long form of `file:/srv/x`.
    let path = match path.strip_prefix("//") {
        Some(rest) if rest.starts_with('/') => rest,
        Some(rest) => {
            f.wrong_help(
                &url.at,
                format!("`{scheme}://{rest}` names a machine `{}`", rest.split('/').next().unwrap_or(rest)),
                format!("write `{scheme}:{rest}` for a relative path, `{scheme}:/{rest}` for a whole one"),
            );
            return None;
        }
        None => path,
    };
    if path.is_empty() || path.starts_with(':') {
        f.wrong(&url.at, format!("`{scheme}:{path}` names no file"));
        return None;
    }
    let path = resolve(path, url, f)?;
    Some(format!("{scheme}:{}", path.display()))
}
