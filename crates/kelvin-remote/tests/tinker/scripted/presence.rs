//! Whether anybody listens at the server's address.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::{Answers, Shared, connection};

/// Serves connections; while the server is away there is nobody at its address.
pub fn listen<W: Answers>(first: TcpListener, shared: &Arc<Mutex<Shared<W>>>) {
    const PAUSE: Duration = Duration::from_millis(5);
    // None while it is away.
    let life = || {
        let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        (!shared.is_away).then_some(shared.n_lives)
    };
    let address = first.local_addr().unwrap();
    let mut listener = Some(first);
    loop {
        // Whoever took the place meanwhile has it for a while: then the server is away for longer.
        let Some(there) = listener.take().or_else(|| TcpListener::bind(address).ok()) else {
            thread::sleep(PAUSE);
            continue;
        };
        for stream in there.incoming() {
            let Some(life) = life() else { break };
            let shared = Arc::clone(shared);
            // That a client goes away is no concern of the server's.
            thread::spawn(move || drop(stream.and_then(|it| connection(it, &shared, life))));
        }
        drop(there);
        while life().is_none() {
            thread::sleep(PAUSE);
        }
    }
}

/// Has whoever listens look whether it still should.
pub fn wake(address: SocketAddr) {
    drop(TcpStream::connect(address));
}
