//! The port: connections in a bounded number, each given a bounded time for its head, and an end that lets calls finish.

use std::{
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{self, TcpStream},
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};

use crate::{
    Served,
    app::{Ending, app},
    clock::Moment,
    settings::Settings,
};

type Connection = http1::UpgradeableConnection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

/// How long a connection may take for the head of a call, and idle between two.
const HEAD: Duration = Duration::from_secs(60);

/// How often the wish to end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The wait after a connection that could not be accepted, as when descriptors run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Most connections that can be asked for.
const CONNECTIONS_MAX: usize = 1 << 20;

/// Threads for work beyond the seats, which the runtime uses itself.
const SPARE_THREADS: usize = 4;

/// A port that is taken and not yet answered on.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

/// Takes a port; 0 for any that is free.
///
/// # Errors
/// If it is taken already or the address is not this machine's.
pub fn bind(address: SocketAddr) -> anyhow::Result<Listening> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}\nhint: choose another with --bind"))?;
    listener.set_nonblocking(true).context("the port cannot be polled")?;
    let address = listener.local_addr().context("the port has no address")?;
    Ok(Listening { listener, address })
}

impl Listening {
    /// Where.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `is_ending` says true; then accepts nothing more and lets calls finish for a while.
    ///
    /// # Errors
    /// If no threads can be had.
    pub fn serve(
        self,
        served: Served,
        settings: Settings,
        is_ending: impl Fn() -> bool + Send + 'static,
    ) -> anyhow::Result<()> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(settings.threads.max(1))
            .max_blocking_threads(settings.running_max.max(1) + SPARE_THREADS)
            .thread_name("serve")
            .enable_all()
            .build()
            .context("no threads to serve on")?;
        let done = runtime.block_on(self.answer(served, settings, is_ending));
        // Work that nobody waits for any more ends with this process.
        runtime.shutdown_background();
        done
    }

    async fn answer(
        self,
        served: Served,
        settings: Settings,
        is_ending: impl Fn() -> bool + Send + 'static,
    ) -> anyhow::Result<()> {
        let listener = net::TcpListener::from_std(self.listener).context("the port cannot be polled")?;
        let (tell, mut ending) = watch::channel(false);
        let tell = Arc::new(tell);
        let teller = Arc::clone(&tell);
        tokio::spawn(async move {
            while !is_ending() {
                sleep(LOOK_EVERY).await;
            }
            teller.send_replace(true);
        });
        let (grace, n_seats) = (settings.grace, settings.connections_max);
        let app = app(served, settings, ending.clone());
        let left = accept(listener, app, n_seats, grace, &mut ending).await;
        drop(ending);
        // Sockets have left their connections behind; each of them listens for the end until it is over.
        let _ = timeout(left, tell.closed()).await;
        Ok(())
    }
}

/// Answers on a port, on so many connections at once, until the end is asked for; then lets calls finish for a while, and gives what
/// is left of it.
pub(crate) async fn accept(
    listener: net::TcpListener,
    app: Router,
    n_seats: usize,
    grace: Duration,
    ending: &mut Ending,
) -> Duration {
    let n_seats = n_seats.clamp(1, CONNECTIONS_MAX);
    let seats = Arc::new(Semaphore::new(n_seats));
    loop {
        let accept = async {
            let seat = seats.clone().acquire_owned().await.expect("nobody closes it");
            (seat, listener.accept().await)
        };
        let (seat, accepted) = tokio::select! {
            it = accept => it,
            () = asked(ending) => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        // An answer is one small write: waiting to fill a packet only delays it.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()))
            .with_upgrades();
        tokio::spawn(end_gently(connection, ending.clone(), seat));
    }
    drop(listener);
    // All seats are free once every connection has ended.
    let n_seats = u32::try_from(n_seats).expect("seats are a number of connections");
    let since = Moment::now();
    let _ = timeout(grace, seats.acquire_many(n_seats)).await;
    grace.saturating_sub(since.passed())
}

/// Serves a connection to its end; once the server is to end, no further than the call that it is in.
async fn end_gently(connection: Connection, mut ending: Ending, seat: OwnedSemaphorePermit) {
    let _seat = seat;
    let mut connection = pin!(connection);
    // A caller that is gone is nobody's trouble.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = asked(&mut ending) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Until somebody asks for the end.
pub(crate) async fn asked(ending: &mut Ending) {
    // Whoever would have said so is gone: that is the end as well.
    let _ = ending.wait_for(|it| *it).await;
}
