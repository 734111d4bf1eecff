//! Addresses of servers, and which of them are told secrets.

use anyhow::{Context, ensure};
use reqwest::Url;

/// The address of a server.
///
/// # Errors
/// If it is none, or what is said there would go over an open network in plain text without `plain_http`.
pub(crate) fn address(url: &str, plain_http: bool) -> anyhow::Result<Url> {
    let mut url: Url = url.trim_end_matches('/').parse().with_context(|| {
        format!("{url:?} is no address of a server\nhint: write it as http://127.0.0.1:8000 or https://HOST")
    })?;
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "the address of the server has a user or a password in it\nhint: keys come from the environment, nothing else is \
         kept out of logs"
    );
    ensure!(
        url.scheme() == "https" || url.scheme() == "http" && (plain_http || is_loopback(&url)),
        "{url} is not https\nhint: plain http is for this machine alone; where the network between is trusted, set \
         plain_http = true"
    );
    // So that paths are joined to it, not put in place of its last segment.
    url.set_path(&format!("{}/", url.path().trim_end_matches('/')));
    Ok(url)
}

/// Whether it is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_this_machine() {
        for good in
            ["http://127.0.0.1:8000", "http://localhost/", "http://[::1]:80", "https://example.org/a/b"]
        {
            address(good, false).unwrap();
        }
        for bad in
            ["http://192.168.0.4:8000", "http://127.0.0.1.example.org", "ftp://localhost", "nonsense", ""]
        {
            assert!(address(bad, false).unwrap_err().to_string().contains("\nhint: "), "{bad}");
        }
        address("http://192.168.0.4:8000", true).unwrap();
        for secret in ["https://user:word@example.org", "http://user:word@example.org"] {
            assert!(!address(secret, false).unwrap_err().to_string().contains("word@"));
        }
        assert_eq!(
            address("https://h/a/b", false).unwrap().join("api/v1/x").unwrap().path(),
            "/a/b/api/v1/x"
        );
    }
}
