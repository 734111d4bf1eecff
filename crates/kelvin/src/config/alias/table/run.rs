//! The update, the run and its engine: azr.md sections 5 to 7.

use super::{minus_one_is_zero, named};
use crate::config::alias::{
    ANYWAY, Alias,
    Means::{Nothing, Number, Only, Same, Unread},
    Own,
};

pub(super) const TABLE: &[Alias] = &[
    // The update: section 5.
    named(&["actor_rollout_ref.model.path"], Same(&["policy.model"])),
    named(&["actor_rollout_ref.actor.optim.lr"], Same(&["optimizer.learning_rate"])),
    named(&["actor_rollout_ref.actor.optim.weight_decay"], Same(&["optimizer.weight_decay"])),
    named(
        &["actor_rollout_ref.actor.optim.lr_warmup_steps"],
        Number(&["optimizer.warmup_steps"], minus_one_is_zero),
    ),
    named(&["actor_rollout_ref.actor.grad_clip"], Same(&["optimizer.grad_clip"])),
    named(
        &["actor_rollout_ref.actor.clip_ratio", "clip_ratio"],
        Same(&["objective.clip_low", "objective.clip_high"]),
    ),
    named(&["actor_rollout_ref.actor.clip_ratio_low", "clip_ratio_low"], Same(&["objective.clip_low"])),
    named(&["actor_rollout_ref.actor.clip_ratio_high", "clip_ratio_high"], Same(&["objective.clip_high"])),
    named(&["actor_rollout_ref.actor.clip_ratio_c", "clip_ratio_c"], Same(&["objective.dual_clip"])),
    named(
        &["actor_rollout_ref.actor.entropy_coeff", "entropy_coeff"],
        Same(&["objective.entropy_coefficient"]),
    ),
    named(
        &["actor_rollout_ref.rollout.temperature"],
        Same(&[
            "sampling.propose.temperature",
            "sampling.solve.temperature",
            "sampling.estimate.temperature",
            "sampling.seed.temperature",
        ]),
    ),
    named(
        &["actor_rollout_ref.rollout.top_p"],
        Same(&[
            "sampling.propose.top_p",
            "sampling.solve.top_p",
            "sampling.estimate.top_p",
            "sampling.seed.top_p",
        ]),
    ),
    named(
        &["actor_rollout_ref.rollout.top_k"],
        Number(
            &[
                "sampling.propose.top_k",
                "sampling.solve.top_k",
                "sampling.estimate.top_k",
                "sampling.seed.top_k",
            ],
            minus_one_is_zero,
        ),
    ),
    named(
        &["actor_rollout_ref.rollout.n", "rollout.n"],
        Only(
            &[("1", &[("azr.n_solutions", Own::Whole(1))])],
            "it has to be 1 there; azr.n_solutions draws several solutions of a problem",
        ),
    ),
    named(
        &["actor_rollout_ref.actor.ppo_epochs", "ppo_epochs"],
        Only(&[("1", ANYWAY)], "a step is one update on the whole batch"),
    ),
    named(
        &["actor_rollout_ref.actor.ppo_mini_batch_size", "ppo_mini_batch_size"],
        Unread("a step is one update on the whole batch, as it is there whatever is written"),
    ),
    named(
        &["actor_rollout_ref.actor.use_kl_loss", "use_kl_loss"],
        Only(
            &[("false", &[("objective.kl_coefficient", Own::Real(0.0))])],
            "an objective.kl_coefficient over 0 adds the term, objective.kl_estimator chooses it",
        ),
    ),
    // With `use_kl_loss`, which is refused, they would be read.
    named(
        &[
            "actor_rollout_ref.actor.kl_loss_coef",
            "kl_loss_coef",
            "actor_rollout_ref.actor.kl_loss_type",
            "kl_loss_type",
        ],
        Unread("it is read with use_kl_loss alone; here an objective.kl_coefficient over 0 adds the term"),
    ),
    named(&["algorithm.use_kl_in_reward", "use_kl_in_reward"], Only(&[("false", ANYWAY)], KL_IN_REWARD)),
    named(&["algorithm.kl_ctrl.kl_coef"], Only(&[("0", ANYWAY)], KL_IN_REWARD)),
    named(
        &[
            "algorithm.kl_ctrl.type",
            "algorithm.kl_ctrl.horizon",
            "algorithm.kl_ctrl.target_kl",
            "algorithm.kl_penalty",
        ],
        Unread(KL_IN_REWARD),
    ),
    named(&["algorithm.kl_ctrl"], Nothing(KL_IN_REWARD)),
    named(
        &["algorithm.gamma", "gamma", "algorithm.lam", "lam"],
        Only(&[("1", ANYWAY)], "a response has one reward, at its end, undiscounted"),
    ),
    // The run: sections 6 and 7.
    named(&["trainer.total_training_steps"], Same(&["steps"])),
    named(&["trainer.test_freq", "test_freq"], Number(&["eval.every"], minus_one_is_zero)),
    named(&["trainer.save_freq", "save_freq"], Same(&["checkpoint.every"])),
    named(
        &["trainer.remove_previous_ckpt_in_save", "remove_previous_ckpt_in_save"],
        Only(
            &[
                ("true", &[("checkpoint.keep", Own::Whole(1))]),
                ("false", &[("checkpoint.keep", Own::Whole(EVERY_CHECKPOINT))]),
            ],
            "checkpoint.keep says how many stay",
        ),
    ),
    named(
        &["trainer.del_local_ckpt_after_load", "del_local_ckpt_after_load"],
        Only(&[("false", ANYWAY)], "reading a checkpoint never removes it"),
    ),
    named(
        &["trainer.resume_mode", "resume_mode"],
        Only(
            &[("auto", ANYWAY), ("disable", ANYWAY)],
            "a run begins in a folder that has none, and `kelvin resume RUN_DIR` goes on with it",
        ),
    ),
    named(
        &["trainer.logger"],
        Only(
            &[("console", ANYWAY), ("tensorboard", &[("tracking.tensorboard", Own::Flag(true))])],
            "a run is told on the console and in its folder, and [tracking] writes for TensorBoard, Trackio, MLflow \
             and Prometheus",
        ),
    ),
    named(
        &["trainer.wandb_run_id", "wandb_run_id"],
        Only(
            &[("null", ANYWAY), ("None", ANYWAY)],
            "Weights & Biases is not written to; [tracking] writes for TensorBoard, Trackio, MLflow and Prometheus",
        ),
    ),
    named(&["trainer.project_name"], Same(&["tracking.project"])),
    named(&["trainer.experiment_name"], Same(&["tracking.run"])),
    named(&["trainer.default_local_dir"], Nothing("`--run-dir` names the folder of a run")),
    named(
        &["trainer.total_epochs"],
        Nothing(
            "an epoch there is a pass over a file that nothing is learnt from; set steps, 960 for its 30 epochs",
        ),
    ),
    named(
        &["data.train_files", "data.val_files"],
        Nothing("tasks are made in the run, those held out included"),
    ),
    named(
        &["trainer.nnodes"],
        Only(&[("1", ANYWAY)], "a run is one process, for which servers can draw, see [policy.rollouts]"),
    ),
    named(&["trainer.n_gpus_per_node"], Nothing(GPU_ENGINE)),
    named(&["actor_rollout_ref", "critic", "ray_init"], Nothing(GPU_ENGINE)),
];

const KL_IN_REWARD: &str =
    "no divergence is taken off rewards; an objective.kl_coefficient over 0 adds one to the loss";

/// More than a run has.
const EVERY_CHECKPOINT: i64 = 4_294_967_295;

const GPU_ENGINE: &str =
    "it is about the original's engine on GPUs, and this one computes on the CPU, see [policy]";
