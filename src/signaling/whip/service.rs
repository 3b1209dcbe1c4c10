//! HTTP as WHIP and WHEP use it: a token, redirects, one deadline.
use std::time::{Duration, Instant};

use url::Url;

use crate::config::ConfigError;
use crate::net::http::{self, HttpError, Reach, Response};

/// Redirects of one request.
const MAX_REDIRECTS: usize = 5;

/// How an endpoint is asked.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) endpoint: Url,
    /// Empty: none.
    pub(super) token: String,
    pub(super) token_across_origins: bool,
    pub(super) within: Duration,
    pub(super) reach: Reach,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) url: Url,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Service {
    /// Asks, follows redirects that keep method and body (307 and 308, RFC 9110 §15.4), and gives the URL that answered.
    ///
    /// # Errors
    /// [`HttpError`]; a status of any kind is no error.
    pub(super) async fn ask(&self, ask: Ask) -> Result<(Url, Response), HttpError> {
        let end = Instant::now() + self.within;
        let mut url = ask.url;
        let mut redirects = 0;
        loop {
            let mut headers: Vec<(String, String)> =
                ask.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let is_trusted = self.token_across_origins || url.origin() == self.endpoint.origin();
            if !self.token.is_empty() && is_trusted {
                headers.push(("authorization".to_owned(), format!("Bearer {}", self.token)));
            }
            let left = end.saturating_duration_since(Instant::now());
            let body = (!ask.body.is_empty()).then(|| ask.body.clone());
            let response = http::exchange(ask.method, url.as_str(), &headers, body, left, &self.reach).await?;
            if !matches!(response.status, 307 | 308) {
                return Ok((url, response));
            }
            let failed =
                |detail: String| HttpError::Failed { authority: authority(&url), phase: "http", detail, cause: None };
            let Some(location) = response.header("location") else {
                return Err(failed(format!("a redirect ({}) without Location", response.status)));
            };
            let next = resolve(&url, location).map_err(|why| failed(format!("a redirect to what {why}")))?;
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                return Err(failed(format!("more than {MAX_REDIRECTS} redirects")));
            }
            url = next;
        }
    }
}

/// `reference` resolved against `base` (RFC 3986 §5), as an HTTP URL without credentials.
///
/// # Errors
/// Why it cannot be asked.
pub(super) fn resolve(base: &Url, reference: &str) -> Result<Url, String> {
    let url = base.join(reference).map_err(|error| format!("is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("is no HTTP URL but {}:", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has credentials in it".to_owned());
    }
    if base.scheme() == "https" && url.scheme() == "http" {
        return Err("leaves TLS".to_owned());
    }
    Ok(url)
}

/// The endpoint a user gave.
///
/// # Errors
/// [`ConfigError`] for `params.endpoint`; its query is not shown.
pub(super) fn endpoint(text: &str) -> Result<Url, ConfigError> {
    let shown = text.split('?').next().unwrap_or_default();
    let shown = if shown.contains('@') { "***" } else { shown };
    let refused = |reason: String| ConfigError::new("params.endpoint", shown, reason);
    let url = Url::parse(text).map_err(|error| refused(format!("it is no URL: {error}")))?;
    resolve(&url, "").map_err(|why| refused(format!("it {why}")))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refused("it has no host".to_owned()));
    }
    Ok(url)
}

/// `host:port`, for errors: a URL may carry a token.
fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_resolved_against_the_url_that_gave_it() {
        let base = Url::parse("https://h:8443/whip/live?x=1").expect("a URL");
        for (reference, url) in [
            ("/session/1", "https://h:8443/session/1"),
            ("1", "https://h:8443/whip/1"),
            ("https://other/1", "https://other/1"),
            ("//other/1", "https://other/1"),
        ] {
            assert_eq!(resolve(&base, reference).map(String::from), Ok(url.to_owned()));
        }
        for (reference, why) in [
            ("http://h/", "leaves TLS"),
            ("ftp://h/", "no HTTP URL"),
            ("https://u:p@h/", "credentials"),
            ("https://[", "no URL"),
        ] {
            assert!(resolve(&base, reference).expect_err(reference).contains(why), "{reference}");
        }
    }

    #[test]
    fn an_endpoint_that_cannot_be_asked_is_refused_by_name() {
        for text in ["", "live", "ws://h/", "http://u:s3cret@h/", "http://"] {
            let error = endpoint(text).expect_err(text).to_string();
            assert!(error.starts_with("params.endpoint") && !error.contains("s3cret"), "{error}");
        }
        assert!(endpoint("http://127.0.0.1:8080/whip").is_ok());
    }
}
