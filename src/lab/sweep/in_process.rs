//! Runs in this process, for machines without network namespaces: the server and the clients are
//! threads, and datagrams are lost before they reach the clients' sockets.

use super::{Error, Job};
use crate::hub;
use crate::lab::load;
use crate::lab::record::{Format, WAITS};
use crate::net::BadNetwork;
use crate::registry::Capacity;
use crate::server::{self, Server};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

/// Runs the server and the load.
pub(super) fn run(job: &Job<'_>, stop: &AtomicBool) -> Result<(), Error> {
    let failed = |cause| Error::Server { run: job.name.clone(), cause };
    job.begin()?;
    let server = Server::start(server_config(job)).map_err(failed)?;
    let stopper = server.stopper();
    let Some(address) = server.addresses().next() else { return Err(Error::Stopped) };
    let (load, ended_early, serve) = thread::scope(|scope| {
        let serving = scope.spawn(move || server.run());
        let load = run_load(job, address, stop);
        let ended_early = serving.is_finished();
        stopper.stop();
        (load, ended_early, serving.join())
    });
    // Before the load's failure, whose reason is then the server's end.
    let ended = || Error::Ended { run: job.name.clone() };
    match serve {
        Ok(result) => result.map_err(failed)?,
        Err(_) => return Err(ended()),
    }
    if ended_early {
        return Err(ended());
    }
    load
}

fn run_load(job: &Job<'_>, server: SocketAddr, stop: &AtomicBool) -> Result<(), Error> {
    match load::run(&load_config(job, server), stop) {
        Ok(_) => Ok(()),
        Err(load::Error::Stopped) => Err(Error::Stopped),
        Err(cause) => Err(Error::Load { run: job.name.clone(), cause }),
    }
}

/// The configuration of `chatagram server` in [`super::namespaces`].
fn server_config(job: &Job<'_>) -> server::Config {
    let peers = (job.config.plan.senders + job.config.plan.receivers) as usize;
    let congestion = job.variant.control.of_quic();
    let quic = server::QuicConfig { congestion, ..Default::default() };
    server::Config {
        bind: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        tcp: false,
        quic: job.variant.mode.is_quic().then_some(quic),
        no_delay: true,
        pace: Duration::ZERO,
        copies: job.variant.redundancy,
        discovery: false,
        impair: None,
        history: None,
        engine: None,
        metrics: None,
        metrics_hosts: Vec::new(),
        web: None,
        script: None,
        waits: Some(job.part.join(WAITS)),
        hub: hub::Config {
            room: "the lab".to_owned(),
            heartbeat: job.trial.heartbeat(),
            capacity: Capacity { peers, peers_per_ip: peers, expiry: job.trial.expiry() },
            replay: 0,
            limit: None,
            discovery: None,
        },
    }
}

fn load_config(job: &Job<'_>, server: SocketAddr) -> load::Config {
    let (plan, trial) = (&job.config.plan, job.trial);
    load::Config {
        servers: vec![server.into()],
        ticket: None,
        mode: job.variant.mode,
        no_delay: true,
        copies: job.variant.redundancy,
        congestion: job.variant.control.of_quic(),
        senders: plan.senders,
        receivers: plan.receivers,
        rate: trial.rate,
        size: trial.size,
        duration: Duration::from_secs_f64(plan.duration_s),
        seed: trial.seed,
        out: job.part.clone(),
        format: Format::Csv,
        name: job.name.clone(),
        condition: Some(trial.condition),
        impair: Some(BadNetwork { spec: trial.spec.clone(), seed: trial.seed }),
        repetition: trial.repetition,
        through_rate_limit: false,
        program: None,
    }
}
