//! Being the lab's other programs. A lab starts its own executable for its hosts, its shims and the processes of units.

use std::env;
use std::ffi::OsString;
use std::sync::OnceLock;

use crate::host;

/// The hidden first argument of a lab's helper.
const MARK: &str = "__lab";
static IS_DISPATCHING: OnceLock<()> = OnceLock::new();

/// To be called first in `main` of an executable that boots a [`Lab`](crate::Lab): if this process was started as a
/// host, a shim or a unit's process of a lab, it does that and exits; else it returns, and the lab knows that it may
/// start this executable for its helpers.
///
/// An executable that does not call it (a test's, whose `main` is not its own) uses the program `rollctl-lab`.
pub fn dispatch() {
    let _ = IS_DISPATCHING.set(());
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != MARK) {
        return;
    }
    let role = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let code = match role.to_str() {
        Some("host") => host::run(),
        Some("shim") => host::shim(&arguments),
        Some("login") => host::login(&arguments),
        Some("exec") => host::exec(&arguments),
        Some("build") => host::tell_build(),
        _ => 2,
    };
    std::process::exit(code)
}

/// Whether this executable called [`dispatch`].
pub(crate) fn is_dispatching() -> bool {
    IS_DISPATCHING.get().is_some()
}
