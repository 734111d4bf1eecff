//! Who may call. A page in a browser of this machine reaches loopback too: it is told apart by the headers that it cannot
//! leave out, `Origin` and `Host`.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::{refusal::Refusal, settings::Access};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Whether this call may come in.
pub(crate) fn check(access: &Access, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = text(headers, header::HOST);
    if let Some(origin) = text(headers, header::ORIGIN) {
        let of = origin.split_once("://").map_or(origin, |it| it.1);
        if Some(of) != host {
            return Err(forbidden("a page of another origin may not call"));
        }
    }
    match access {
        Access::Anybody => Ok(()),
        Access::Key(key) if presented(headers).is_some_and(|it| same(it, key)) => Ok(()),
        Access::Key(_) => Err(Refusal::Status(
            StatusCode::UNAUTHORIZED,
            "the key is missing or wrong\nhint: send `Authorization: Bearer KEY` or `X-API-Key: KEY`"
                .to_owned(),
        )),
        Access::Loopback if host.is_none_or(is_loopback) => Ok(()),
        Access::Loopback => Err(forbidden("without a key, calls name this machine by its loopback address")),
    }
}

fn forbidden(why: &str) -> Refusal {
    Refusal::Status(StatusCode::FORBIDDEN, why.to_owned())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|it| it.to_str().unwrap_or_default())
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = text(headers, header::AUTHORIZATION).and_then(|it| it.strip_prefix("Bearer "));
    bearer.or_else(|| text(headers, API_KEY)).map(str::trim)
}

/// Compares digests: how long that takes tells nothing about the key.
fn same(presented: &str, key: &str) -> bool {
    Sha256::digest(presented) == Sha256::digest(key)
}

/// Whether a `Host` header names the loopback.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((inside, _)) => inside,
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair =
            |&(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    fn status(access: &Access, pairs: &[(&str, &str)]) -> Option<u16> {
        check(access, &headers(pairs)).err().map(|it| it.status().as_u16())
    }

    #[test]
    fn a_key_comes_in_either_header() {
        let access = Access::Key("s3cret".into());
        assert_eq!(status(&access, &[("authorization", "Bearer s3cret")]), None);
        assert_eq!(status(&access, &[("x-api-key", "s3cret"), ("host", "far.away")]), None);
        for wrong in
            [&[][..], &[("x-api-key", "")], &[("authorization", "s3cret")], &[("x-api-key", "s3cre")]]
        {
            assert_eq!(status(&access, wrong), Some(401), "{wrong:?}");
        }
        let refusal = check(&access, &headers(&[("x-api-key", "guess")])).unwrap_err();
        assert!(!refusal.message().contains("s3cret") && !refusal.message().contains("guess"));
    }

    /// A name that somebody points at 127.0.0.1, and a page that posts there.
    #[test]
    fn pages_of_others_do_not_reach_loopback() {
        for host in ["localhost", "localhost:8000", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000"] {
            assert_eq!(status(&Access::Loopback, &[("host", host)]), None, "{host}");
        }
        for host in ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "[fe80::1]", ""]
        {
            assert_eq!(status(&Access::Loopback, &[("host", host)]), Some(403), "{host}");
        }
        let foreign = [("host", "localhost:8000"), ("origin", "http://evil.example")];
        assert_eq!(status(&Access::Loopback, &foreign), Some(403));
        assert_eq!(status(&Access::Anybody, &foreign), Some(403));
        assert_eq!(status(&Access::Anybody, &[("host", "a:1"), ("origin", "http://a:1")]), None);
        assert_eq!(status(&Access::Anybody, &[("host", "a:1"), ("origin", "null")]), Some(403));
    }
}
