//! Why a description that goes out is left as it is.
//!
//! A changed description must not break a signature, a hash or a length that the plan has worked out over the canned one.
//! Guarantees: pure; each reason says what the user can do.
use super::classify::{Level, Member, folded, says_role, words};

/// What helps wherever the plan itself can put the live text in.
const USE_FUNCTIONS: &str =
    "put ${__webrtcOffer} or ${__webrtcAnswer} in the place of the canned text instead, before that is worked out";

/// What helps where nothing does but leaving it.
const OTHERWISE: &str =
    "put ${__webrtcOffer} or ${__webrtcAnswer} in the place of the canned text, if this message starts a call";

/// Why a description with these surroundings starts no call, in whichever direction it goes: it is quoted.
///
/// The nearest level that says anything counts, so that signaling over a chat stays signaling.
pub(super) fn about_purpose(levels: &[Level]) -> Option<String> {
    for level in levels {
        let log_level = level.members.iter().any(|member| {
            ["level", "severity", "loglevel"].contains(&folded(&member.key).as_str())
                && ["trace", "debug", "info", "notice", "warn", "warning", "error", "fatal"]
                    .contains(&member.value.to_ascii_lowercase().as_str())
        });
        if log_level {
            return Some(format!("The description stands in a record of a log, which starts no call: {OTHERWISE}."));
        }
        if let Some(event) = level.members.iter().find_map(reported_call) {
            return Some(format!("The message reports a `{event}` and starts no call: {OTHERWISE}."));
        }
    }
    for level in levels {
        if says_role(level) {
            return None;
        }
        let chat = level.members.iter().filter(|member| says_purpose(member, level.key.is_empty())).any(|member| {
            let is_chat = |word: &String| ["chat", "comment", "email", "mail", "log", "note"].contains(&word.as_str());
            words(&member.value).iter().any(is_chat)
        });
        if chat
            || ["text", "comment", "note", "log", "stack", "subject", "title"].contains(&folded(&level.key).as_str())
        {
            return Some(format!("The description stands in a text for people, which starts no call: {OTHERWISE}."));
        }
    }
    None
}

/// Why a description with these surroundings must not be changed: `lengths` are its own, in characters and bytes.
pub(super) fn about_levels(levels: &[Level], lengths: &[usize]) -> Option<String> {
    for level in levels {
        if let Some(name) = level.members.iter().find(|member| signs(member)) {
            return Some(format!("The message is signed or hashed (`{}`): {USE_FUNCTIONS}.", name.key));
        }
        let counts = level.members.iter().find(|member| {
            let key = words(&member.key);
            key.iter().any(|word| ["length", "size", "len", "bytes"].contains(&word.as_str()))
                && member.value.parse::<usize>().is_ok_and(|number| lengths.contains(&number))
        });
        if let Some(member) = counts {
            return Some(format!("`{}` counts the description: {USE_FUNCTIONS}.", member.key));
        }
    }
    None
}

/// Whether the value of a member says what a message is for: a name or an id of a room does not.
fn says_purpose(member: &Member, in_array: bool) -> bool {
    let names = ["type", "event", "eventname", "messagetype", "msgtype", "kind", "action", "method"];
    (in_array && member.key.is_empty()) || names.contains(&folded(&member.key).as_str())
}

/// The call of the W3C API that a telemetry message reports, if it does.
fn reported_call(member: &Member) -> Option<&str> {
    let calls = ["setLocalDescription", "setRemoteDescription", "createOfferOnSuccess", "createAnswerOnSuccess"];
    let named = member.key.is_empty()
        || ["event", "eventname", "name", "type", "fn", "func"].contains(&folded(&member.key).as_str());
    calls.into_iter().find(|call| named && member.value.eq_ignore_ascii_case(call))
}

/// Whether a member is a signature or a hash.
fn signs(member: &Member) -> bool {
    let names = [
        "signature",
        "sig",
        "hmac",
        "mac",
        "digest",
        "bodyhash",
        "contenthash",
        "checksum",
        "crc",
        "crc32",
        "md5",
        "sha1",
        "sha256",
        "hash",
        "contentmd5",
        "sdphash",
        "sdpdigest",
        "sdpchecksum",
        "sdpsignature",
        "bodysignature",
        "messagesignature",
        "jws",
    ];
    let key = folded(&member.key);
    if !names.contains(&key.as_str()) || member.word {
        return false;
    }
    let value = &member.value;
    let hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let base64 = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=.".contains(&byte));
    match key.as_str() {
        "checksum" | "crc" | "crc32" | "sdpchecksum" => !value.is_empty() && (hex || base64),
        _ => (hex && value.len() >= 32) || (base64 && value.len() >= 27),
    }
}

/// Why a body under these headers is left alone.
pub(super) fn about_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        let reason = match lower.as_str() {
            "authorization" | "proxy-authorization" if is_auth_int(value) => "Digest `qop=auth-int` hashes the body",
            "authorization" if value.starts_with("AWS4-") => "the request is signed (AWS Signature 4)",
            "content-md5" | "digest" | "content-digest" | "repr-digest" => "a header hashes the body",
            "identity" => "SIP Identity signs the fingerprints (RFC 8224)",
            "x-amz-content-sha256" if !value.starts_with("UNSIGNED") => "a header hashes the body",
            _ if lower == "signature" || lower.ends_with("-signature") || lower.contains("-signature-") => {
                "the message is signed"
            }
            _ => continue,
        };
        return Some(format!("`{name}`: {reason}; {USE_FUNCTIONS}."));
    }
    None
}

fn is_auth_int(value: &str) -> bool {
    let value: String = value.to_ascii_lowercase().chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
    value.starts_with("digest") && value.contains("qop=auth-int")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(key: &str, value: &str) -> Vec<Level> {
        let member = Member { key: key.to_owned(), value: value.to_owned(), word: false };
        vec![Level { members: vec![member], ..Level::default() }]
    }

    #[test]
    fn signatures_hashes_and_lengths_are_doubts() {
        let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        for (key, value) in [("signature", sha256), ("sdpHash", sha256), ("checksum", "1a2b3c4d"), ("sdpLength", "812")]
        {
            assert!(about_levels(&level(key, value), &[812]).is_some(), "{key}");
        }
        for (key, value) in
            [("hash", "room-7"), ("mac", "00:1b:44:11:3a:b7"), ("length", "813"), ("level", "7"), ("signature", "")]
        {
            assert_eq!(about_levels(&level(key, value), &[812]), None, "{key}");
        }
    }

    #[test]
    fn what_is_only_quoted_is_a_doubt() {
        for (key, value) in [("level", "DEBUG"), ("event", "setLocalDescription"), ("type", "chat_message")] {
            assert!(about_purpose(&level(key, value)).is_some(), "{key}");
        }
        let mut signaling = level("type", "offer");
        signaling.extend(level("type", "chat"));
        assert_eq!(about_purpose(&signaling), None, "signaling over a chat stays signaling");
        assert_eq!(about_purpose(&level("id", "chat-7")), None, "the name of a room says nothing");
    }

    #[test]
    fn headers_that_sign_the_body_are_doubts() {
        for (name, value) in [
            ("Authorization", "Digest username=\"a\", qop=auth-int, nc=1"),
            ("Content-MD5", "x"),
            ("X-Hub-Signature-256", "x"),
            ("Authorization", "AWS4-HMAC-SHA256 x"),
        ] {
            assert!(about_headers([(name, value)].into_iter()).is_some(), "{name}");
        }
        for (name, value) in [
            ("Authorization", "Digest username=\"a\", qop=auth"),
            ("Authorization", "Bearer x"),
            ("Content-Type", "application/sdp"),
        ] {
            assert_eq!(about_headers([(name, value)].into_iter()), None, "{name}");
        }
    }
}
