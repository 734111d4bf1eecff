//! Servers that refuse draws: where others draw the run goes on, and what all refuse is the run's error.

use std::{thread, time::Duration};

use kelvin_core::policy::{Exported, Sampler, Trainer};
use kelvin_remote::rollouts::{Engine, RolloutSettings};

use crate::{
    protocol::{draws, requests, rollouts, settings},
    scripted::Server,
    toy::World,
};

fn two() -> [Server<World>; 2] {
    [World::new(Engine::Vllm), World::new(Engine::Vllm)].map(Server::start)
}

/// One that joined with a smaller `--max-model-len`: rows that are too long for it are drawn at the other, which is said once.
#[test]
fn what_one_server_refuses_another_draws() {
    let ([a, b], dir) = (two(), tempfile::tempdir().unwrap());
    let rollouts = rollouts(settings(Engine::Vllm, &[&a, &b], dir.path()), Exported::Adapter);
    let first = draws(&rollouts, 0);
    assert!(rollouts.notices().take().is_empty());
    b.with(|it| it.world.tokens_max = Some(7));
    for _ in 0..5 {
        assert_eq!(draws(&rollouts, 0), first);
    }
    let told = rollouts.notices().take();
    assert!(told.len() == 1 && told[0].contains(&b.url()) && told[0].contains("maximum context"), "{told:?}");
}

/// What stands before a server that is gone may say 404 in its place; it draws again when it is back.
#[test]
fn a_server_whose_address_leads_nowhere_is_left_out() {
    let ([a, b], dir) = (two(), tempfile::tempdir().unwrap());
    let rollouts = rollouts(settings(Engine::Vllm, &[&a, &b], dir.path()), Exported::Adapter);
    let first = draws(&rollouts, 0);
    b.with(|it| it.world.is_lost = true);
    let n_drawn = || b.with(|it| it.world.n_drawn);
    let n_before = n_drawn();
    assert_eq!(draws(&rollouts, 0), first);
    assert_eq!(n_drawn(), n_before);
    b.restart();
    b.with(|it| it.world.is_lost = false);
    while n_drawn() == n_before {
        assert_eq!(draws(&rollouts, 0), first);
    }
}

/// A row that one refuses waits for the other, which is away.
#[test]
fn a_refused_row_waits_for_who_is_away() {
    let ([a, b], dir) = (two(), tempfile::tempdir().unwrap());
    let rollouts = rollouts(settings(Engine::Vllm, &[&a, &b], dir.path()), Exported::Adapter);
    let first = draws(&rollouts, 0);
    a.with(|it| it.world.tokens_max = Some(7));
    b.with(|it| it.is_down = true);
    let n_before = a.with(|it| it.n_requests);
    thread::scope(|scope| {
        scope.spawn(|| {
            while a.with(|it| it.n_requests) == n_before {
                thread::sleep(Duration::from_millis(1));
            }
            b.with(|it| it.is_down = false);
        });
        assert_eq!(draws(&rollouts, 0), first);
    });
}

#[test]
fn what_all_refuse_ends_the_run_with_their_words() {
    let ([a, b], dir) = (two(), tempfile::tempdir().unwrap());
    let settings = RolloutSettings { wait_s: 600.0, ..settings(Engine::Vllm, &[&a, &b], dir.path()) };
    let rollouts = rollouts(settings, Exported::Adapter);
    draws(&rollouts, 0);
    a.with(|it| it.world.tokens_max = Some(7));
    b.with(|it| it.world.tokens_max = Some(6));
    let told = format!("{:#}", rollouts.sample(requests(0)).unwrap_err());
    let said = |server: &Server<World>, most| {
        let words = format!(
            "{}: refused with status 400: This model's maximum context length is {most} ",
            server.url()
        );
        told.contains(&words)
    };
    assert!(said(&a, 7) && said(&b, 6) && told.contains("\nhint: "), "{told}");
}
