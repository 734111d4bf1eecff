//! Weights that a server has learnt, brought here as PEFT has them: for engines elsewhere to draw from.

use std::{path::Path, time::Duration};

use kelvin_core::policy::{Exported, Exports};

use super::{archive::Adapter, engine::Link, model::Model, trainer::TinkerPolicy};
use crate::http::Failure;

impl Exports for TinkerPolicy {
    fn export_weights(&self, dir: &Path) -> anyhow::Result<Exported> {
        let (model, rank) = (self.live()?.model, self.rank());
        self.engine.wait_heeding(fetch(&self.engine.link, &model, rank))?.write(dir)?;
        Ok(Exported::Adapter)
    }
}

/// Adapters as they are now. They are saved under a name of their own, which is removed when they are here.
async fn fetch(link: &Link, model: &Model, rank: usize) -> anyhow::Result<Adapter> {
    let saved = model.save_named().await?;
    let failed = |failure| link.told("downloading adapters", failure);
    let place = place(&saved).ok_or_else(|| {
        failed(Failure::Refused {
            status: 200,
            words: link.http.told(&format!("they are saved as {saved:?}")),
        })
    })?;
    let deadline = Duration::from_secs_f64(link.settings.timeout_s);
    let fetched = link.anew(async || {
        let packed = link.http.download(&format!("{place}/archive"), deadline).await?;
        let read = Adapter::read(&packed, link.settings.reply_bytes_max, rank);
        read.map_err(|it| Failure::Passing(link.http.told(&format!("{it:#}"))))
    });
    let fetched = fetched.await.map_err(failed)?;
    // A server that keeps them loses room, nothing else.
    drop(link.http.delete_once(&removed(&place)).await);
    Ok(fetched)
}

/// Where weights are that were saved for sampling as `tinker://MODEL/NAME` or `tinker://MODEL/sampler_weights/NAME`, as the
/// protocol's official client asks for them. Of a server's words only what cannot leave that place is asked for.
fn place(saved: &str) -> Option<String> {
    let is_name = |it: &str| {
        !it.is_empty()
            && !it.starts_with('.')
            && it.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_.:".contains(&it))
    };
    let names: Vec<&str> = saved.strip_prefix("tinker://")?.split('/').collect();
    let (model, rest) = names.split_first()?;
    let is_place = matches!(rest, [_] | [SAMPLER_WEIGHTS, _]) && names.iter().all(|it| is_name(it));
    is_place.then(|| format!("api/v1/training_runs/{model}/checkpoints/{}", rest.join("/")))
}

/// What is removed says which kind it is of, also where what is downloaded does not.
fn removed(place: &str) -> String {
    match place.rsplit_once('/') {
        Some((before, name)) if !before.ends_with(SAMPLER_WEIGHTS) => {
            format!("{before}/{SAMPLER_WEIGHTS}/{name}")
        }
        Some(_) | None => place.to_owned(),
    }
}

const SAMPLER_WEIGHTS: &str = "sampler_weights";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_lead_nowhere_else() {
        let run = "api/v1/training_runs/a:train:0/checkpoints";
        assert_eq!(place("tinker://a:train:0/k-1"), Some(format!("{run}/k-1")));
        assert_eq!(
            place("tinker://a:train:0/sampler_weights/k-1"),
            Some(format!("{run}/sampler_weights/k-1"))
        );
        for other in [
            "tinker://a",
            "tinker://a/../b",
            "tinker://../b",
            "tinker://a/b?c",
            "tinker://a/weights/b",
            "tinker://a/sampler_weights/..",
            "tinker://a//b",
            "http://a/b",
            "/etc/passwd",
            "",
        ] {
            assert_eq!(place(other), None, "{other}");
        }
        for saved in ["tinker://a/k", "tinker://a/sampler_weights/k"] {
            let place = place(saved).unwrap();
            assert_eq!(removed(&place), "api/v1/training_runs/a/checkpoints/sampler_weights/k");
        }
    }
}
