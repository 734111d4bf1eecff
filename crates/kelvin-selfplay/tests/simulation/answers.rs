//! A policy that depends on how often it learnt.

use kelvin_core::rollout::SampleRequest;

/// Poses sums, now and then none or an alarming one; the larger they are, the less often it adds right. Depends on its
/// updates, so that one that is lost or done twice shows.
pub(crate) fn respond(request: &SampleRequest, updates: u64) -> String {
    let mut draws = request.seed.nth(updates).draws();
    match request.prompt.split_once(" + ") {
        None if draws.chance(0.1) => "nothing".into(),
        None if draws.chance(0.05) => "3 4 secretly".into(),
        None => format!("{} {}", draws.below(30), draws.below(30)),
        Some((a, b)) => {
            let sum: u64 = a.parse::<u64>().unwrap() + b.parse::<u64>().unwrap();
            let is_right = draws.chance(1.0 - sum as f64 / 130.0);
            if is_right { sum.to_string() } else { (sum + 1 + draws.below(2) as u64).to_string() }
        }
    }
}
