//! What is lost, late, cut, said twice or of other weights changes nothing.

use kelvin_core::{policy::Exported, seed::Seed};
use kelvin_remote::rollouts::{Engine, RolloutSettings};

use crate::{
    protocol::{KINDS, play, policy, settings},
    scripted::{Faults, Rates, Server},
    toy::World,
};

const N_STEPS: u64 = 4;

fn start(engine: Engine) -> [Server<World>; 2] {
    [World::new(engine), World::new(engine)].map(Server::start)
}

/// A run over two servers that `spoil` was done to.
fn run((engine, exported): (Engine, Exported), spoil: impl Fn(usize, &Server<World>)) -> Vec<String> {
    let (servers, dir) = (start(engine), tempfile::tempdir().unwrap());
    servers.iter().enumerate().for_each(|(idx, it)| spoil(idx, it));
    let settings = settings(engine, &[&servers[0], &servers[1]], dir.path());
    // A late answer is waited for shortly, a struck server comes back at once.
    let settings = RolloutSettings { answer_s: 1.0, probe_s: 1.0, load_s: 1.0, ..settings };
    play(&mut policy(settings, exported), N_STEPS)
}

#[test]
fn faults_change_nothing() {
    for kind in KINDS {
        let expected = run(kind, |_, _| {});
        for number in 0..2 {
            let rates = Rates { late: 0.0, ..Rates::all(0.02) };
            let seen = run(kind, |idx, server| {
                let seed = Seed::new(number).nth(idx as u64);
                server.with(|it| it.faults = Some(Faults { seed, rates }));
            });
            assert_eq!(seen, expected, "{kind:?} {number}");
        }
    }
}

/// Each kind of fault alone, often, at one of two servers.
#[test]
fn every_kind_of_fault_is_survived() {
    let kind = KINDS[0];
    let expected = run(kind, |_, _| {});
    let kinds: [fn(&mut Rates) -> &mut f64; 6] = [
        |it| &mut it.refused,
        |it| &mut it.unheard,
        |it| &mut it.unsaid,
        |it| &mut it.cut,
        |it| &mut it.doubled,
        |it| &mut it.garbled,
    ];
    for (number, field) in kinds.into_iter().enumerate() {
        let mut rates = Rates::default();
        *field(&mut rates) = 0.2;
        let seen = run(kind, |idx, server| {
            if idx == 0 {
                let seed = Seed::new(number as u64);
                server.with(|it| it.faults = Some(Faults { seed, rates }));
            }
        });
        assert_eq!(seen, expected, "fault {number}");
    }
}

/// An answer that comes too late is asked for again.
#[test]
fn late_answers_are_not_waited_for() {
    let expected = run(KINDS[0], |_, _| {});
    let rates = Rates { late: 0.03, ..Rates::default() };
    let seen = run(KINDS[0], |idx, server| {
        let seed = Seed::new(7).nth(idx as u64);
        server.with(|it| it.faults = Some(Faults { seed, rates }));
    });
    assert_eq!(seen, expected);
}

/// Completions of other weights than were asked for, and ones that were given up, are never taken.
#[test]
fn other_weights_are_never_taken() {
    for (engine, exported) in [KINDS[0], KINDS[2]] {
        let expected = run((engine, exported), |_, _| {});
        let seen = run((engine, exported), |idx, server| {
            server.with(|it| match idx {
                0 => it.world.slip_every = Some(5),
                _ => it.world.abort_every = Some(3),
            });
        });
        assert_eq!(seen, expected, "{engine:?}");
    }
}
