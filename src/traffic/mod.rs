//! The balancers in front of a service: HAProxy, nginx, the operator's own commands or requests, and health that says no.
//!
//! [`traffic_of`] makes the [`crate::ports::Traffic`] of a service. Nothing here decides when an instance goes in or out.

mod command;
mod guard;
mod haproxy;
mod haproxy_answers;
mod haproxy_api;
mod health;
mod http;
mod levers;
mod nginx;
mod nginx_file;
mod retry;
mod site;

use std::sync::Arc;

use crate::core::fleet::{Fleet, Service};
use crate::core::traffic::TrafficDriver;
use crate::ports::{Machines, Traffic, TrafficError};
use crate::programs::Runner;

use command::Commands;
use guard::Guard;
use haproxy::Haproxy;
use health::{Marks, Polling};
use http::Requests;
use levers::Levers;
use nginx::Nginx;
use site::Site;

/// How to move a service's instances in and out of traffic; nothing where its inventory has no `traffic`. Nothing is
/// connected yet.
///
/// # Errors
/// When the HTTP client cannot be set up (no root certificates on this machine).
pub fn traffic_of(
    service: &Service,
    fleet: &Fleet,
    machines: Arc<dyn Machines>,
) -> Result<Option<Arc<dyn Traffic>>, TrafficError> {
    let Some(traffic) = &service.traffic else {
        return Ok(None);
    };
    let site = Site::new(service, fleet);
    let drain_timeout = traffic.drain_timeout;
    let guard = Guard::new(service, drain_timeout, Arc::clone(&machines));
    let built: Arc<dyn Traffic> = match &traffic.driver {
        TrafficDriver::Haproxy {
            endpoints,
            backend,
            server,
        } => Arc::new(Haproxy::new(
            site,
            endpoints,
            backend,
            server,
            guard,
            drain_timeout,
            machines,
        )),
        TrafficDriver::Nginx {
            endpoints,
            upstream,
            server,
            nginx,
        } => Arc::new(Nginx {
            site,
            endpoints: endpoints.clone(),
            upstream: upstream.clone(),
            server: server.clone(),
            nginx: nginx.clone(),
            drain_timeout,
            machines,
            guard,
        }),
        TrafficDriver::Command(moves) => Arc::new(Levers {
            name: "command",
            drain_timeout,
            lever: Commands {
                site,
                runner: Runner {
                    folder: fleet.folder.clone(),
                    machines,
                },
                moves: moves.as_ref().clone(),
                drain_timeout,
            },
        }),
        TrafficDriver::Http(moves) => Arc::new(Levers {
            name: "http",
            drain_timeout,
            lever: Requests::new(site, moves)?,
        }),
        TrafficDriver::Health {
            through,
            poll,
            fall,
            rise,
        } => Arc::new(Marks::new(
            service,
            site,
            through,
            Polling {
                poll: *poll,
                fall: *fall,
                rise: *rise,
            },
            drain_timeout,
            machines,
        )?),
    };
    Ok(Some(built))
}
