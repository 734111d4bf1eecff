//! Several servers: who draws, who is gone, who joins, who lags.

use std::{
    fs,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use kelvin_core::{
    policy::{Exported, Sampler, Trainer},
    seed::Seed,
    stop::Stop,
};
use kelvin_remote::rollouts::{Engine, RolloutSettings};

use crate::{
    protocol::{ADAM, KINDS, OBJECTIVE, draws, policy, requests, rollouts, samples, settings},
    scripted::{Faults, Rates, Server},
    toy::World,
};

fn two(engine: Engine) -> [Server<World>; 2] {
    [World::new(engine), World::new(engine)].map(Server::start)
}

fn n_drawn(server: &Server<World>) -> u64 {
    server.with(|it| it.world.n_drawn)
}

/// The address of a server that takes connections and says nothing, with how often it was asked.
fn stuck() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let n_asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&n_asked);
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::Relaxed);
            open.push(stream);
        }
    });
    (url, n_asked)
}

#[test]
fn all_servers_draw() {
    let ([a, b], dir) = (two(Engine::Vllm), tempfile::tempdir().unwrap());
    let rollouts = rollouts(settings(Engine::Vllm, &[&a, &b], dir.path()), Exported::Adapter);
    rollouts.sample(requests(0)).unwrap();
    assert!(0 < n_drawn(&a) && 0 < n_drawn(&b) && n_drawn(&a) + n_drawn(&b) == 12);
}

/// A server that dies is asked for nothing more; one that joins is given the weights and draws.
#[test]
fn a_server_dies_and_another_joins() {
    for (engine, exported) in KINDS {
        let ([a, b], dir) = (two(engine), tempfile::tempdir().unwrap());
        let mut policy = policy(settings(engine, &[&a, &b], dir.path()), exported);
        b.with(|it| it.is_down = true);
        let first = draws(policy.trainer.sampler(), 0);
        assert_eq!((n_drawn(&a), n_drawn(&b)), (12, 0));
        policy.update(&samples(&first), &OBJECTIVE, &ADAM).unwrap();
        // From here on nothing can be drawn but where the other has joined.
        a.with(|it| it.is_down = true);
        b.with(|it| it.is_down = false);
        let second = draws(policy.trainer.sampler(), 1);
        assert_eq!((n_drawn(&a), n_drawn(&b)), (12, 12));
        // The first comes back as one that was started again, in the middle of a publication.
        policy.update(&samples(&second), &OBJECTIVE, &ADAM).unwrap();
        a.restart();
        a.with(|it| it.is_down = false);
        b.with(|it| it.is_down = true);
        draws(policy.trainer.sampler(), 2);
        assert_eq!((n_drawn(&a), n_drawn(&b)), (24, 12), "{engine:?} {exported:?}");
    }
}

/// While nobody may draw, that is what time goes to.
#[test]
fn waiting_for_servers_is_counted() {
    let (server, dir) = (Server::start(World::new(Engine::Vllm)), tempfile::tempdir().unwrap());
    let rollouts = rollouts(settings(Engine::Vllm, &[&server], dir.path()), Exported::Adapter);
    rollouts.sample(requests(0)).unwrap();
    let before_us = rollouts.stats().waited_us;
    server.with(|it| it.is_down = true);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(30));
            server.with(|it| it.is_down = false);
        });
        rollouts.sample(requests(0)).unwrap();
    });
    let waited_us = rollouts.stats().waited_us;
    assert!(before_us < waited_us, "each row waited for its next try");
    rollouts.sample(requests(0)).unwrap();
    assert_eq!(rollouts.stats().waited_us, waited_us, "nobody waited");
}

/// Servers come and go with a file's lines: who is new is given the weights and draws, who is gone lets go of what it held, and a
/// file that is missing or garbled changes nothing.
#[test]
fn servers_come_and_go_with_a_file() {
    let ([a, b], dir) = (two(Engine::Vllm), tempfile::tempdir().unwrap());
    let file = dir.path().join("servers");
    let list = |servers: &[&Server<World>]| {
        fs::write(&file, servers.iter().map(|it| it.url() + "\n").collect::<String>()).unwrap();
    };
    let weights = dir.path().join("weights");
    let settings = RolloutSettings {
        servers: Vec::new(),
        servers_file: file.clone(),
        ..settings(Engine::Vllm, &[], &weights)
    };
    list(&[&a]);
    let mut policy = policy(settings, Exported::Adapter);
    let first = draws(policy.trainer.sampler(), 0);
    assert_eq!((n_drawn(&a), n_drawn(&b)), (12, 0));
    // It joins in the middle of a draw: nobody else is there.
    a.with(|it| it.is_down = true);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(30));
            list(&[&a, &b]);
        });
        assert_eq!(draws(policy.trainer.sampler(), 0), first);
    });
    assert_eq!((n_drawn(&a), n_drawn(&b)), (12, 12));
    a.with(|it| it.is_down = false);
    policy.trainer.notices().take();
    let cut = b.url();
    let unread = [
        None,
        Some("http://192.168.0.1:8000\n"),
        Some("nonsense\n"),
        // As somebody sees it who looks while it is written.
        Some(""),
        Some(&cut[..cut.len() - 1]),
        Some("# nobody\n"),
    ];
    for lines in unread {
        match lines {
            None => fs::remove_file(&file).unwrap(),
            Some(lines) => fs::write(&file, lines).unwrap(),
        }
        policy.update(&samples(&first), &OBJECTIVE, &ADAM).unwrap();
        draws(policy.trainer.sampler(), 0);
        let told = policy.trainer.notices().take();
        assert!(told.iter().any(|it| it.ends_with("stay those that they were")), "{told:?}");
    }
    let before = n_drawn(&a);
    assert!(12 < before, "it is among the servers still");
    list(&[&b]);
    policy.update(&samples(&first), &OBJECTIVE, &ADAM).unwrap();
    while a.with(|it| !it.world.adapters.is_empty()) {
        draws(policy.trainer.sampler(), 0);
    }
    assert_eq!(n_drawn(&a), before, "who is taken out draws nothing");
    assert!(b.with(|it| !it.world.adapters.is_empty()));
}

/// One that hangs while it is brought the weights holds up no other that joins.
#[test]
fn a_stuck_server_does_not_keep_others_from_joining() {
    let ([a, b], dir) = (two(Engine::Vllm), tempfile::tempdir().unwrap());
    let file = dir.path().join("servers");
    let list = |servers: &[&str]| {
        let lines: String = servers.iter().map(|it| format!("{it}\n")).collect();
        fs::write(dir.path().join("new"), lines).unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
    };
    let (stuck, n_asked) = stuck();
    list(&[&a.url()]);
    let settings = RolloutSettings {
        servers_file: file.clone(),
        probe_s: 600.0,
        ..settings(Engine::Vllm, &[], &dir.path().join("weights"))
    };
    let rollouts = rollouts(settings, Exported::Adapter);
    let first = draws(&rollouts, 0);
    a.with(|it| it.is_down = true);
    list(&[&a.url(), &stuck]);
    thread::scope(|scope| {
        scope.spawn(|| {
            while n_asked.load(Ordering::Relaxed) == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            list(&[&a.url(), &stuck, &b.url()]);
        });
        assert_eq!(draws(&rollouts, 0), first);
    });
    assert_eq!(n_drawn(&b), 12);
}

/// A server that was started again has lost its adapters: it is given them anew, and no draw is of other weights.
#[test]
fn a_server_that_was_started_again_is_given_the_weights() {
    for (engine, exported) in KINDS {
        let (server, dir) = (Server::start(World::new(engine)), tempfile::tempdir().unwrap());
        let policy = policy(settings(engine, &[&server], dir.path()), exported);
        let first = draws(policy.trainer.sampler(), 0);
        server.restart();
        assert_eq!(draws(policy.trainer.sampler(), 0), first);
        assert_eq!(server.with(|it| it.world.n_loaded), 2, "{engine:?} {exported:?}");
    }
}

/// That a server's older weights may draw does not end a delivery at its first failure.
#[test]
fn a_delivery_is_tried_again_where_older_weights_may_draw() {
    for (engine, exported) in KINDS {
        let (server, dir) = (Server::start(World::new(engine)), tempfile::tempdir().unwrap());
        let settings = settings(engine, &[&server], dir.path());
        let mut rollouts = rollouts(RolloutSettings { staleness_max: 1, ..settings }, exported);
        draws(&rollouts, 0);
        let rates = Rates { refused: 0.15, ..Rates::default() };
        server.with(|it| it.faults = Some(Faults { seed: Seed::new(0), rates }));
        for update in 1..8 {
            rollouts.publish(update).unwrap();
        }
    }
}

/// A server that was away while weights moved on lets go of those that it held when it is back.
#[test]
fn a_server_that_was_away_lets_go_of_what_it_held() {
    let ([a, b], dir) = (two(Engine::Vllm), tempfile::tempdir().unwrap());
    let mut policy = policy(settings(Engine::Vllm, &[&a, &b], dir.path()), Exported::Adapter);
    let mut step = |is_down: bool| {
        b.with(|it| it.is_down = is_down);
        let drawn = draws(policy.trainer.sampler(), 0);
        policy.update(&samples(&drawn), &OBJECTIVE, &ADAM).unwrap();
    };
    for is_down in [false, true, true, true, false, true, true, true, false, false] {
        step(is_down);
    }
    let held: Vec<String> = b.with(|it| it.world.adapters.keys().cloned().collect());
    assert!(held.len() <= 2, "{held:?}");
}

/// A server that takes connections and says nothing is given up as soon as another may draw.
#[test]
fn a_stuck_server_keeps_nobody_waiting() {
    let (a, dir) = (Server::start(World::new(Engine::Vllm)), tempfile::tempdir().unwrap());
    let (stuck, n_asked) = stuck();
    let mut settings = settings(Engine::Vllm, &[&a], dir.path());
    settings.servers.push(stuck);
    let settings = RolloutSettings { probe_s: 0.2, retries: 200, ..settings };
    let mut rollouts = rollouts(settings, Exported::Adapter);
    rollouts.publish(1).unwrap();
    let n_asked = n_asked.load(Ordering::Relaxed);
    assert!((1..200).contains(&n_asked), "{n_asked}");
    assert_eq!(draws(&rollouts, 0).len(), 12);
}

/// A publication that no server hears of does not hold up the end of a run, neither while it is tried again nor while it waits
/// for servers, and is delivered to whoever draws next.
#[test]
fn a_run_that_is_asked_to_stop_delivers_later() {
    for retries in [8, 0] {
        let (server, dir) = (Server::start(World::new(Engine::Vllm)), tempfile::tempdir().unwrap());
        server.with(|it| it.is_down = true);
        let settings = settings(Engine::Vllm, &[&server], dir.path());
        let settings = RolloutSettings { retries, pause_ms: 20_000, wait_s: 600.0, ..settings };
        let mut rollouts = rollouts(settings, Exported::Adapter);
        let stop = Stop::default();
        Trainer::listen(&mut rollouts, stop.clone());
        stop.ask();
        rollouts.publish(1).unwrap();
        assert_eq!(server.with(|it| it.world.n_loaded), 0);
        server.with(|it| it.is_down = false);
        Trainer::listen(&mut rollouts, Stop::default());
        assert_eq!(draws(&rollouts, 0).len(), 12);
    }
}

/// A publication that finds all servers starting again waits for the first, as a draw does.
#[test]
fn a_publication_waits_for_a_server() {
    for (engine, exported) in KINDS {
        let ([a, b], dir) = (two(engine), tempfile::tempdir().unwrap());
        let settings = RolloutSettings { retries: 0, ..settings(engine, &[&a, &b], dir.path()) };
        let mut policy = policy(settings, exported);
        let first = draws(policy.trainer.sampler(), 0);
        let rates = Rates { refused: 1.0, ..Rates::default() };
        for server in [&a, &b] {
            server.with(|it| it.faults = Some(Faults { seed: Seed::new(0), rates }));
        }
        let n_before = b.with(|it| it.n_requests);
        thread::scope(|scope| {
            scope.spawn(|| {
                while b.with(|it| it.n_requests) == n_before {
                    thread::sleep(Duration::from_millis(1));
                }
                b.restart();
                b.with(|it| it.faults = None);
            });
            policy.update(&samples(&first), &OBJECTIVE, &ADAM).unwrap();
        });
        draws(policy.trainer.sampler(), 1);
    }
}

#[test]
fn no_server_at_all_is_an_error() {
    let ([a, b], dir) = (two(Engine::Vllm), tempfile::tempdir().unwrap());
    let settings = settings(Engine::Vllm, &[&a, &b], dir.path());
    let rollouts = rollouts(RolloutSettings { retries: 2, wait_s: 0.2, ..settings }, Exported::Adapter);
    rollouts.sample(requests(0)).unwrap();
    for server in [&a, &b] {
        server.with(|it| it.is_down = true);
    }
    let told = format!("{:#}", rollouts.sample(requests(1)).unwrap_err());
    assert!(told.contains("hint: ") && told.contains("http://127.0.0.1:"), "{told}");
}

/// With no staleness allowed, weights that no server takes stop the run. With some, older ones draw, and each completion says how
/// old.
#[test]
fn staleness_is_bounded_and_told() {
    for (staleness_max, n_stale) in [(0, 0), (2, 2)] {
        let (server, dir) = (Server::start(World::new(Engine::Vllm)), tempfile::tempdir().unwrap());
        let settings = settings(Engine::Vllm, &[&server], dir.path());
        let settings =
            RolloutSettings { staleness_max, retries: 0, failures_max: 1000, wait_s: 0.2, ..settings };
        let mut rollouts = rollouts(settings, Exported::Adapter);
        let first = draws(&rollouts, 0);
        // It goes on drawing, and takes nothing.
        server.with(|it| it.world.forgets = true);
        for update in 1..=n_stale {
            rollouts.forward_backward(update, &samples(&first), &OBJECTIVE).unwrap();
            rollouts.optim_step(update, &ADAM).unwrap();
            rollouts.publish(update).unwrap();
            let stale = draws(&rollouts, 0);
            assert!(stale.iter().all(|it| it.behind == update));
            assert_eq!(stale[3].tokens, first[3].tokens, "the old weights drew");
            // The trainer's own log-probabilities are of the new ones, and the mismatch shows.
            let loss = rollouts.forward_backward(update + 1, &samples(&stale), &OBJECTIVE).unwrap();
            assert!(0.0 < loss.mismatch.kl_mean().unwrap() && loss.mismatch.effective_share().unwrap() < 1.0);
        }
        rollouts.optim_step(n_stale + 1, &ADAM).unwrap();
        let told = rollouts.publish(n_stale + 1).unwrap_err().to_string();
        assert!(told.contains("no server took the weights") && told.contains("hint: "), "{told}");
        // Asking again is safe, and helps once the server does.
        server.with(|it| it.world.forgets = false);
        rollouts.publish(n_stale + 1).unwrap();
        assert!(draws(&rollouts, 0).iter().all(|it| it.behind == 0));
    }
}
