//! Session timers (RFC 4028), negotiated and kept. Pure: time is an argument.
use std::time::{Duration, Instant};

use super::message::{Message, parameter};

/// Smallest interval that is worked with, s; a peer's own word for less is not taken.
const FLOOR: u32 = 2;

/// Who refreshes, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    /// Session interval, s.
    pub(crate) interval: u32,
    /// We refresh.
    pub(crate) ours: bool,
    /// When a refresh is due, if we refresh; else when the session has expired.
    pub(crate) at: Instant,
}

impl SessionTimer {
    /// An interval that begins at `now`.
    pub(crate) fn new(interval: u32, ours: bool, now: Instant) -> Self {
        let interval = interval.max(FLOOR);
        // RFC 4028 §10: refresh at half of it; end it a third of it, or 32 s, before it expires.
        let after = if ours { f64::from(interval) / 2.0 } else { f64::from(interval) * (2.0 / 3.0) };
        let after = if ours { after } else { after.max(f64::from(interval) - 32.0) };
        Self { interval, ours, at: now + Duration::from_secs_f64(after) }
    }

    /// What the 2xx `response` to a request of ours agreed on; none where it names no interval (§7.2).
    pub(crate) fn answered(response: &Message, now: Instant) -> Option<Self> {
        let interval = response.seconds("Session-Expires")?;
        let refresher = parameter(response.header("Session-Expires")?, "refresher");
        Some(Self::new(interval, refresher != Some("uas"), now))
    }

    /// What we answer to a request with `Session-Expires`, and the field that says so (§9); none where it asks for none.
    pub(crate) fn asked(request: &Message, now: Instant) -> Option<(Self, String)> {
        let interval = request.seconds("Session-Expires")?;
        let refresher = parameter(request.header("Session-Expires")?, "refresher");
        // A client that does not know timers has a proxy that put the field in: then we refresh.
        let theirs = request.lists("Supported", "timer") && refresher != Some("uas");
        let timer = Self::new(interval, !theirs, now);
        Some((timer, format!("{};refresher={}", timer.interval, if theirs { "uac" } else { "uas" })))
    }

    /// The field of a refresh that we send as the client of that request.
    pub(crate) fn field(&self) -> String {
        format!("{};refresher={}", self.interval, if self.ours { "uac" } else { "uas" })
    }

    /// As it goes on from `now`, after a refresh.
    pub(crate) fn again(&self, now: Instant) -> Self {
        Self::new(self.interval, self.ours, now)
    }
}

#[cfg(test)]
mod tests {
    use rsipstack::sip::Method;

    use super::*;

    fn message(expires: &str, supported: &str) -> Message {
        let message = Message::request(Method::Invite, "sip:b").with("Session-Expires", expires);
        if supported.is_empty() { message } else { message.with("Supported", supported) }
    }

    #[test]
    fn the_one_who_refreshes_does_so_at_half_time_and_the_other_ends_it_before_it_expires() {
        let now = Instant::now();
        let after = |timer: &SessionTimer| timer.at.duration_since(now).as_secs();
        let ours = SessionTimer::answered(&message("90;refresher=uac", ""), now).expect("a timer");
        assert_eq!((ours.ours, after(&ours), ours.field()), (true, 45, "90;refresher=uac".to_owned()));
        let theirs = SessionTimer::answered(&message("90;refresher=uas", ""), now).expect("a timer");
        assert_eq!((theirs.ours, after(&theirs)), (false, 60));
        let long = SessionTimer::answered(&message("1800;refresher=uas", ""), now).expect("a timer");
        assert_eq!(after(&long), 1768);
        assert_eq!(SessionTimer::answered(&Message::request(Method::Invite, "sip:b"), now), None);
    }

    #[test]
    fn a_client_that_knows_timers_refreshes_unless_it_says_otherwise() {
        let now = Instant::now();
        for (expires, supported, ours, field) in [
            ("90", "timer", false, "90;refresher=uac"),
            ("90;refresher=uas", "ice,timer", true, "90;refresher=uas"),
            ("90", "", true, "90;refresher=uas"),
            ("0", "timer", false, "2;refresher=uac"),
        ] {
            let (timer, said) = SessionTimer::asked(&message(expires, supported), now).expect("a timer");
            assert_eq!((timer.ours, said.as_str()), (ours, field), "{expires} {supported}");
        }
        assert_eq!(SessionTimer::asked(&Message::request(Method::Invite, "sip:b"), now), None);
    }
}
