//! Runs in this process, for machines without namespaces to give: the server is a thread, the clients
//! are another, and datagrams are lost before they reach the clients' sockets.

use super::{Error, Job};
use crate::hub;
use crate::lab::load;
use crate::lab::record::Format;
use crate::net::BadNetwork;
use crate::registry::Capacity;
use crate::server::{self, Server};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

/// The whole run.
pub(super) fn run(job: &Job<'_>, stop: &AtomicBool) -> Result<(), Error> {
    let failed = |cause| Error::Server { run: job.name.clone(), cause };
    let server = Server::start(room(job)).map_err(failed)?;
    let stopper = server.stopper();
    let Some(address) = server.addresses().next() else { return Err(Error::Stopped) };
    let (driven, served) = thread::scope(|scope| {
        let serving = scope.spawn(move || server.run());
        let driven = job.make_room().and_then(|()| drive(job, address, stop));
        stopper.stop();
        (driven, serving.join())
    });
    driven?;
    served.unwrap_or(Ok(())).map_err(failed)
}

fn drive(job: &Job<'_>, server: SocketAddr, stop: &AtomicBool) -> Result<(), Error> {
    match load::run(&clients(job, server), stop) {
        Ok(_) => Ok(()),
        Err(load::Error::Stopped) => Err(Error::Stopped),
        Err(cause) => Err(Error::Load { run: job.name.clone(), cause }),
    }
}

/// As `chatagram server` with the options it has in a namespace.
fn room(job: &Job<'_>) -> server::Config {
    let peers = (job.config.plan.senders + job.config.plan.receivers) as usize;
    server::Config {
        bind: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        tcp: false,
        no_delay: true,
        pace: Duration::ZERO,
        discovery: false,
        impair: None,
        history: None,
        metrics: None,
        metrics_hosts: Vec::new(),
        hub: hub::Config {
            room: "the lab".to_owned(),
            heartbeat: Duration::from_secs(2),
            capacity: Capacity { peers, peers_per_ip: peers, expiry: Duration::from_secs(10) },
            replay: 0,
            limit: None,
            discovery: None,
        },
    }
}

fn clients(job: &Job<'_>, server: SocketAddr) -> load::Config {
    let (plan, meeting) = (&job.config.plan, job.meeting);
    load::Config {
        server: server.into(),
        mode: job.mode,
        no_delay: true,
        senders: plan.senders,
        receivers: plan.receivers,
        rate: plan.rate,
        size: plan.size,
        duration: Duration::from_secs_f64(plan.duration_s),
        seed: meeting.seed,
        out: job.part.clone(),
        format: Format::Csv,
        name: job.name.clone(),
        condition: Some(meeting.condition),
        impair: Some(BadNetwork { spec: meeting.spec.clone(), seed: meeting.seed }),
        repetition: meeting.repetition,
    }
}
