//! The demo service: a small HTTP server whose behaviour is set from outside.
//!
//! Standard library only, so that the executable stays small and runs on any host with glibc. Settings come from, the
//! later the stronger: the trailer at the end of the own file (see `demo_service` in the lab), the environment
//! (`DEMO_READY_DELAY=2s`), the command line (`--ready-delay 2s`).
//!
//! `GET /healthz` answers `ok VERSION`, or 503 while it is not ready; `GET /version` answers JSON; `GET /slow?ms=N` takes
//! its time; anything else is 404.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a service logs to its standard streams"
)]

mod http;
mod settings;
mod signal;

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use settings::Settings;

/// How often a pending signal and the end of the open requests are looked for.
const TICK: Duration = Duration::from_millis(25);

/// `--listen stdin`: systemd holds the socket (`StandardInput=socket`), and keeps what comes while nobody takes it.
const GIVEN: &str = "stdin";

/// What the request threads share.
struct Service {
    settings: Settings,
    started: Instant,
    asked: AtomicU64,
    open: AtomicU64,
    draining: AtomicBool,
    /// Held while a connection is taken from a socket that outlives this process: whatever was taken is answered.
    taking: Mutex<()>,
}

fn main() -> ExitCode {
    let settings = match Settings::read() {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = signal::hold_back(&settings) {
        eprintln!("cannot hold back SIGTERM, dying of it at once: {error}");
    }
    let version = &settings.version;
    println!("starting {version}, pid {}", std::process::id());
    if let Some(code) = settings.exit_at_once {
        eprintln!("giving up at once with exit code {code}");
        // journald looks at the process to know whose lines these are; of one that is gone already it cannot tell.
        thread::sleep(Duration::from_millis(150));
        return ExitCode::from(code);
    }
    thread::sleep(settings.start_delay);
    let is_given = settings.listen == GIVEN;
    let listening = match is_given {
        true => std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map(TcpListener::from),
        false => TcpListener::bind(&settings.listen),
    };
    let listener = match listening {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: cannot listen on {}: {error}", settings.listen);
            return ExitCode::FAILURE;
        }
    };
    println!("listening on {}", settings.listen);
    let service = Arc::new(Service {
        settings,
        started: Instant::now(),
        asked: AtomicU64::new(0),
        open: AtomicU64::new(0),
        draining: AtomicBool::new(false),
        taking: Mutex::new(()),
    });
    let acceptor = Arc::clone(&service);
    thread::spawn(move || match is_given {
        true => http::accept_given(&acceptor, &listener),
        false => http::accept(&acceptor, listener),
    });
    run(&service)
}

/// Waits for the end: a crash on time, or SIGTERM and the last open request.
fn run(service: &Service) -> ExitCode {
    loop {
        thread::sleep(TICK);
        if service
            .settings
            .crash_after
            .is_some_and(|after| service.started.elapsed() >= after)
        {
            eprintln!("thread 'main' panicked: crashing on purpose");
            return ExitCode::from(101);
        }
        if signal::is_sigterm_pending() && !service.settings.ignore_sigterm {
            println!(
                "got SIGTERM, {} requests open",
                service.open.load(Ordering::SeqCst)
            );
            return drain(service);
        }
    }
}

/// Takes no more requests, finishes the open ones.
fn drain(service: &Service) -> ExitCode {
    {
        let _taking = service.taking.lock();
        service.draining.store(true, Ordering::SeqCst);
    }
    // The accepting thread sleeps in accept(2): a connection of our own wakes it.
    drop(std::net::TcpStream::connect(&service.settings.listen));
    thread::sleep(service.settings.stop_delay);
    while service.open.load(Ordering::SeqCst) > 0 {
        thread::sleep(TICK);
    }
    println!("stopped");
    ExitCode::SUCCESS
}
