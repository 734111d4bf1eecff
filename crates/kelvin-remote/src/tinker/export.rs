//! Weights that a server has learnt, brought here as PEFT has them: for engines elsewhere to draw from.

use std::{path::Path, time::Duration};

use kelvin_core::policy::{Exported, Exports};

use super::{
    archive::{self, Adapter},
    engine::Link,
    kept::{self, Kept},
    model::Model,
    trainer::TinkerPolicy,
};
use crate::http::Failure;

impl Exports for TinkerPolicy {
    fn export_weights(&self, dir: &Path) -> anyhow::Result<Exported> {
        let (model, rank) = (self.model()?, self.rank());
        self.engine.wait_heeding(fetch(&self.engine.link, &model, rank))?.write(dir)?;
        Ok(Exported::Adapter)
    }
}

/// Adapters as they are now. They are saved under a name of their own, which is removed when they are here.
async fn fetch(link: &Link, model: &Model, rank: usize) -> anyhow::Result<Adapter> {
    let saved = model.save_named().await?;
    let failed = |failure| link.told("downloading adapters", failure);
    let place = Kept::read(&saved).and_then(Kept::archive).ok_or_else(|| {
        failed(Failure::Refused {
            status: 200,
            words: link.http.told(&format!("they are saved as {saved:?}")),
        })
    })?;
    let deadline = Duration::from_secs_f64(link.settings.timeout_s);
    let fetched = link.anew(async || {
        let packed = link.http.download(&place, deadline).await?;
        let files = archive::files(&packed, link.settings.reply_bytes_max);
        files.map_err(|it| Failure::Passing(link.http.told(&format!("{it:#}"))))
    });
    let fetched = fetched.await;
    kept::remove(link, &saved).await;
    // What came as it was packed stays the same however often it is asked for.
    let read = Adapter::new(fetched.map_err(failed)?, rank);
    read.map_err(|it| failed(Failure::Refused { status: 200, words: link.http.told(&format!("{it:#}")) }))
}
