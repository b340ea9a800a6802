//! Boots some hosts and keeps them until its input ends or it is stopped: for trying things by hand, with the first part of an inventory
//! for them. `cargo run -p rollctl-fleet -- [COUNT] [full|minimal]`

#![expect(clippy::print_stdout, reason = "a program for a person")]

use std::io::Read;
use std::process::ExitCode;

use rollctl_fleet::{Base, Fleet, FleetError, FleetOptions};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(3), |count| count.parse());
    let base = match arguments.next().as_deref() {
        None | Some("full") => Some(Base::Full),
        Some("minimal") => Some(Base::Minimal),
        Some(_) => None,
    };
    let (Ok(count), Some(base)) = (count, base) else {
        println!("usage: rollctl-fleet [COUNT] [full|minimal]");
        return ExitCode::from(2);
    };
    match keep(count, base) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn keep(count: usize, base: Base) -> Result<(), FleetError> {
    let fleet = Fleet::boot(FleetOptions::hosts(count, base).prefix("web"))?;
    println!("[ssh]\nuser = \"deploy\"\nbecome = \"sudo\"");
    println!("identity = \"{}\"", fleet.identity().display());
    println!("known_hosts = \"{}\"\n", fleet.known_hosts().display());
    for host in fleet.hosts() {
        println!(
            "[hosts.{}]\naddress = \"{}\"\nlabels = {{ role = \"web\" }}\n",
            host.name(),
            host.address()
        );
    }
    println!("# {count} hosts are up until this program's input ends or it is stopped (Ctrl-C)");
    // Whether the input ends or cannot be read: there is nobody left to wait for.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    fleet.shut_down()
}
