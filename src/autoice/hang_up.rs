//! Recognises messages that end a call.
//!
//! Guarantees: pure; a fixed list of names, in the members that name a message, and never in a list of objects or in a sentence.
use super::classify::{Sip, folded};
use super::finding::Direction;
use super::tree::{Kind, Tree};

/// Whether a SIP message ends its dialog, or the attempt at one (RFC 3261 §15, §21).
///
/// A refused re-INVITE keeps the dialog (§14.1), and a challenge is answered: neither counts.
pub(super) fn ends_dialog(sip: &Sip) -> bool {
    match (sip.method.as_str(), sip.status) {
        ("BYE" | "CANCEL", None) => true,
        ("INVITE", Some(status)) => {
            matches!(status, 403 | 404 | 408 | 410 | 480 | 481 | 484 | 486 | 487 | 600 | 603 | 604)
        }
        _ => false,
    }
}

/// Whether a name means that a call ends: `hangup`, `verto.bye`, `HANG_UP`.
pub(super) fn is_hang_up(name: &str) -> bool {
    if name.len() > 40 || name.contains(char::is_whitespace) {
        return false;
    }
    let last = name.rsplit(['.', ':', '/']).next().unwrap_or(name);
    let names = [
        "bye",
        "sendbye",
        "hangup",
        "callhangup",
        "hungup",
        "terminate",
        "sessionterminate",
        "callterminate",
        "terminatecall",
        "endcall",
        "callend",
        "callended",
        "reject",
        "rejectcall",
        "callreject",
        "callrejected",
        "decline",
        "declinecall",
        "calldeclined",
    ];
    names.contains(&folded(last).as_str())
}

/// Whether a JSON object says that a call ends. Objects in lists do not count: they tell of others.
pub(super) fn ends_call(tree: &Tree<'_>, id: u32, direction: Direction) -> bool {
    let mut around = std::iter::successors(tree.node(id).parent, |id| tree.node(*id).parent);
    if around.by_ref().take(3).any(|id| tree.node(id).kind == Kind::Array) || around.next().is_some() {
        return false;
    }
    let outgoing = direction == Direction::Outgoing;
    tree.children(id).take(64).any(|member| {
        if !matches!(tree.node(member).kind, Kind::Text(_)) || tree.raw(member).len() > 40 {
            return false;
        }
        let Some(value) = tree.string(member) else { return false };
        match folded(&String::from_utf8_lossy(tree.key(member))).as_str() {
            "janus" => match value.as_str() {
                "hangup" | "detached" | "timeout" => true,
                "destroy" | "detach" => outgoing,
                _ => false,
            },
            // The tutorials of Kurento.
            "id" => is_hang_up(&value) || ["stop", "stopCommunication"].contains(&value.as_str()),
            "type" => is_hang_up(&value) || (outgoing && value.eq_ignore_ascii_case("leave")),
            "method" | "event" | "eventname" | "action" | "request" | "cmd" | "command" | "op" | "operation"
            | "messagetype" | "msgtype" | "target" => is_hang_up(&value),
            _ => false,
        }
    })
}
