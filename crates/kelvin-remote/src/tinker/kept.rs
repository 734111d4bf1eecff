//! What a server keeps on its disk until somebody removes it: states, and weights that were saved for whoever draws.

use serde_json::Value;

use super::{answers, engine::Link};

/// How names of weights begin that are saved to be drawn from or downloaded.
pub(super) const DRAWS: &str = "kelvin-draws-";
const STATES: &str = "weights";
const SAMPLER_WEIGHTS: &str = "sampler_weights";

/// Something that a server keeps, by the name that it gave: `tinker://MODEL/weights/NAME` for a state,
/// `tinker://MODEL/sampler_weights/NAME` or `tinker://MODEL/NAME` for weights to draw from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept<'saved> {
    model: &'saved str,
    kind: &'static str,
    /// Whether the server's name says which kind it is of.
    is_told: bool,
    name: &'saved str,
}

impl Kept<'_> {
    /// Reads a server's words, of which only what leads nowhere else is asked for.
    pub(super) fn read(saved: &str) -> Option<Kept<'_>> {
        let names: Vec<&str> = saved.strip_prefix("tinker://")?.split('/').collect();
        if !names.iter().all(|it| is_name(it)) {
            return None;
        }
        Some(match names[..] {
            [model, name] => Kept { model, kind: SAMPLER_WEIGHTS, is_told: false, name },
            [model, SAMPLER_WEIGHTS, name] => Kept { model, kind: SAMPLER_WEIGHTS, is_told: true, name },
            [model, STATES, name] => Kept { model, kind: STATES, is_told: true, name },
            _ => return None,
        })
    }

    /// Where weights to draw from are downloaded, as the protocol's official client asks for them.
    pub(super) fn archive(self) -> Option<String> {
        let Kept { model, kind, is_told, name } = self;
        let place = if is_told { format!("{kind}/{name}") } else { name.to_owned() };
        (kind == SAMPLER_WEIGHTS).then(|| format!("{}/{place}/archive", of(model)))
    }

    /// Where it is removed: its kind is said there, also where the server's name does not.
    fn end(self) -> String {
        format!("{}/{}/{}", of(self.model), self.kind, self.name)
    }
}

/// Weights to draw from that a server keeps of a model because this program had them saved. None where it does not say.
pub(super) async fn published(link: &Link, model: &str) -> Vec<String> {
    if !is_name(model) {
        return Vec::new();
    }
    let listed = link.http.get_once(&of(model)).await.ok().and_then(|it| answers::object(&it).ok());
    let paths = listed.iter().flat_map(|it| it["checkpoints"].as_array().into_iter().flatten());
    let paths = paths.filter_map(|it| it.get("tinker_path").and_then(Value::as_str));
    let is_such = |it: &&str| {
        Kept::read(it).is_some_and(|it| it.model == model && it.kind == SAMPLER_WEIGHTS && is_ours(it.name))
    };
    paths.filter(is_such).map(str::to_owned).collect()
}

/// Whether weights have a name from here, or the one that SkyRL gives to those of a sampling session. Somebody may have saved others.
fn is_ours(name: &str) -> bool {
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let session = name.strip_prefix("ss").and_then(|it| it.split_once("_seq"));
    name.starts_with(DRAWS) || session.is_some_and(|(session, seq)| is_number(session) && is_number(seq))
}

/// Removes something. A server that cannot, or does not hear it, loses room and nothing else.
pub(super) async fn remove(link: &Link, saved: &str) {
    if let Some(kept) = Kept::read(saved) {
        drop(link.http.delete_once(&kept.end()).await);
    }
}

fn of(model: &str) -> String {
    format!("api/v1/training_runs/{model}/checkpoints")
}

fn is_name(name: &str) -> bool {
    let is_letter = |it: u8| it.is_ascii_alphanumeric() || b"-_.:".contains(&it);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_saved_is_not_ours() {
        assert!(["kelvin-draws-3", "ss0_seq12"].into_iter().all(is_ours));
        let others = ["best", "kelvin", "ss_seq1", "ss1_seq", "ss1_seq1b", "session_seq"];
        assert!(others.into_iter().all(|it| !is_ours(it)));
    }

    #[test]
    fn a_servers_words_lead_nowhere_else() {
        let run = "api/v1/training_runs/a:train:0/checkpoints";
        let places = |saved| Kept::read(saved).map(|it| (it.archive(), it.end()));
        let end = format!("{run}/sampler_weights/k-1");
        assert_eq!(places("tinker://a:train:0/k-1"), Some((Some(format!("{run}/k-1/archive")), end.clone())));
        assert_eq!(
            places("tinker://a:train:0/sampler_weights/k-1"),
            Some((Some(format!("{run}/sampler_weights/k-1/archive")), end))
        );
        assert_eq!(places("tinker://a:train:0/weights/k-1"), Some((None, format!("{run}/weights/k-1"))));
        for other in [
            "tinker://a",
            "tinker://a/../b",
            "tinker://../b",
            "tinker://a/b?c",
            "tinker://a/other/b",
            "tinker://a/sampler_weights/..",
            "tinker://a/weights/b/c",
            "tinker://a//b",
            "http://a/b",
            "/etc/passwd",
            "",
        ] {
            assert_eq!(places(other), None, "{other}");
        }
    }
}
