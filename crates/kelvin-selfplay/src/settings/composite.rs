//! When proposals have to call earlier programs (azr.md section 10, AZR appendix D.2).

use kelvin_core::task::Step;
use serde::{Deserialize, Serialize};

use super::{Misfit, require};

/// The seed stage comes before it.
const FIRST_STEP: Step = 1;

/// Composite programs: whether a proposal is one, and of how many helpers. Off by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompositeSettings {
    /// The first step with composites (`composite_start_step`); the seed stage has none.
    pub start_step: Step,
    /// Probability that a proposal is a composite (`composite_chance`; 0.5 in the paper's experiment); 0 for never.
    pub chance: f64,
    /// Fewest helpers of one (`composite_function_n_min`).
    pub n_min: usize,
    /// Most helpers of one, itself included (`composite_function_n_max`, which in the original is not).
    pub n_max: usize,
    /// How both grow.
    pub scheduler: CompositeScheduler,
}

/// Growth of the number of helpers and of the probability (`composite_scheduler`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompositeScheduler {
    /// Whether anything grows.
    pub enabled: bool,
    /// The step from which the most helpers grow.
    pub count_start: Step,
    /// Steps from there to the first more, and from each to the next.
    pub count_interval: Step,
    /// Where that ends.
    pub count_max: usize,
    /// The step from which the probability grows.
    pub chance_start: Step,
    /// Steps from there to the first time, and from each to the next.
    pub chance_interval: Step,
    /// Where that ends.
    pub chance_max: f64,
    /// What is added each time.
    pub chance_increment: f64,
}

impl Default for CompositeSettings {
    fn default() -> CompositeSettings {
        CompositeSettings {
            start_step: 1,
            chance: 0.0,
            n_min: 1,
            n_max: 3,
            scheduler: CompositeScheduler::default(),
        }
    }
}

impl Default for CompositeScheduler {
    /// The original's numbers, turned off.
    fn default() -> CompositeScheduler {
        CompositeScheduler {
            enabled: false,
            count_start: 101,
            count_interval: 50,
            count_max: 3,
            chance_start: 101,
            chance_interval: 50,
            chance_max: 0.8,
            chance_increment: 0.01,
        }
    }
}

impl CompositeSettings {
    /// Probability that a proposal of this step is a composite.
    pub fn chance_at(&self, step: Step) -> f64 {
        let it = &self.scheduler;
        if step < self.start_step.max(FIRST_STEP) {
            return 0.0;
        }
        let grown = self.chance
            + it.chance_increment * f64::from(it.n_times(step, it.chance_start, it.chance_interval));
        if it.enabled { grown.min(it.chance_max.max(self.chance)) } else { self.chance }
    }

    /// Fewest and most helpers of a composite of this step.
    pub fn n_helpers_at(&self, step: Step) -> (usize, usize) {
        let it = &self.scheduler;
        let grown = self.n_max + it.n_times(step, it.count_start, it.count_interval) as usize;
        (self.n_min, if it.enabled { grown.min(it.count_max.max(self.n_max)) } else { self.n_max })
    }

    /// # Errors
    /// The first value that does not fit.
    pub fn check(&self) -> Result<(), Misfit> {
        let share = |it: f64| (0.0..=1.0).contains(&it);
        let it = &self.scheduler;
        require(share(self.chance), "composite.chance", self.chance, "from 0 to 1")?;
        // Configurations of the original that have none write bounds that no composite could have.
        if 0.0 < self.chance || it.enabled {
            require(1 <= self.n_min, "composite.n_min", self.n_min, "at least 1")?;
            require(self.n_min <= self.n_max, "composite.n_max", self.n_max, "at least composite.n_min")?;
        }
        let interval = "composite.scheduler.count_interval";
        require(1 <= it.count_interval, interval, it.count_interval, "at least 1")?;
        let interval = "composite.scheduler.chance_interval";
        require(1 <= it.chance_interval, interval, it.chance_interval, "at least 1")?;
        require(share(it.chance_max), "composite.scheduler.chance_max", it.chance_max, "from 0 to 1")?;
        let increment = "composite.scheduler.chance_increment";
        require(share(it.chance_increment), increment, it.chance_increment, "from 0 to 1")
    }
}

impl CompositeScheduler {
    /// How often something has grown by `step` that grows every `interval` steps after `start`.
    fn n_times(&self, step: Step, start: Step, interval: Step) -> Step {
        step.saturating_sub(start) / interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_composite_unless_asked_for() {
        let off = CompositeSettings::default();
        assert!((0..2000).all(|step| off.chance_at(step) == 0.0));
        let on = CompositeSettings { chance: 0.5, start_step: 10, ..off };
        assert_eq!([9, 10, 1000].map(|step| on.chance_at(step)), [0.0, 0.5, 0.5]);
        let soon = CompositeSettings { start_step: 0, ..on };
        assert_eq!([0, 1].map(|step| soon.chance_at(step)), [0.0, 0.5], "the seed stage has none");
        assert_eq!([1, 1000].map(|step| on.n_helpers_at(step)), [(1, 3); 2]);
    }

    /// The original's numbers: 101, 50 and 3 for the count; 101, 50, 0.8 and 0.01 for the probability.
    #[test]
    fn the_scheduler_adds_one_helper_and_a_hundredth() {
        let scheduler = CompositeScheduler { enabled: true, ..CompositeScheduler::default() };
        let settings = CompositeSettings { chance: 0.5, n_max: 1, scheduler, ..CompositeSettings::default() };
        let at = [100, 101, 150, 151, 201, 9999];
        assert_eq!(at.map(|step| settings.n_helpers_at(step).1), [1, 1, 1, 2, 3, 3]);
        let chances = [0.5, 0.5, 0.5, 0.51, 0.52, 0.8];
        for (step, chance) in at.into_iter().zip(chances) {
            assert!((settings.chance_at(step) - chance).abs() < 1e-12, "{step}");
        }
        let high = CompositeSettings { chance: 0.9, n_max: 5, scheduler, ..settings };
        assert_eq!((high.chance_at(200), high.n_helpers_at(200)), (0.9, (1, 5)), "growth takes nothing away");
    }

    #[test]
    fn values_out_of_range_are_named() {
        let misfit = |settings: CompositeSettings| settings.check().err().map(|it| it.key);
        let default = CompositeSettings::default();
        assert_eq!(misfit(default), None);
        assert_eq!(misfit(CompositeSettings { chance: 1.5, ..default }), Some("composite.chance"));
        assert_eq!(misfit(CompositeSettings { chance: f64::NAN, ..default }), Some("composite.chance"));
        let on = CompositeSettings { chance: 0.5, ..default };
        assert_eq!(misfit(CompositeSettings { n_min: 0, ..on }), Some("composite.n_min"));
        assert_eq!(misfit(CompositeSettings { n_min: 4, ..on }), Some("composite.n_max"));
        assert_eq!(misfit(CompositeSettings { n_min: 0, n_max: 0, ..default }), None);
        let scheduler = CompositeScheduler { count_interval: 0, ..default.scheduler };
        assert_eq!(
            misfit(CompositeSettings { scheduler, ..default }),
            Some("composite.scheduler.count_interval")
        );
    }
}
