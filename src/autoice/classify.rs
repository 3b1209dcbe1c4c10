//! What a message says about a description in it: offer or answer, and of which dialog.
//!
//! A description is surrounded by [`Level`]s, from the object it stands in outwards. The nearest that says something counts, and
//! where it contradicts the description itself (`a=setup`, RFC 8842 §5) nothing is said: the state of the dialog has to tell.
//! Guarantees: pure; at most [`MAX_MEMBERS`] members of an object are looked at.
use super::finding::{Dialog, SdpType};
use super::sdp::Facts;
use super::tree::{Kind, TextKind, Tree};

/// The most members of one object that are looked at.
const MAX_MEMBERS: usize = 256;

/// The longest value that is kept, in bytes; ids and signatures are shorter.
const MAX_VALUE_BYTES: usize = 512;

/// A member with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// As written.
    pub(super) key: String,
    /// Unescaped.
    pub(super) value: String,
    /// JSON `true` or `false`.
    pub(super) word: bool,
}

/// One object, array or element around a description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    /// The name under which the way to the description begins here; empty in an array.
    pub(super) key: String,
    /// Its members with a value; of an array the texts in front.
    pub(super) members: Vec<Member>,
    /// Those of its other objects, and of the objects in them.
    pub(super) nested: Vec<Member>,
}

/// What surrounds a whole SIP body (RFC 3261).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sip {
    /// Method of the request, or of `CSeq`.
    pub(super) method: String,
    /// Status code of a response.
    pub(super) status: Option<u16>,
    /// `To` has a tag.
    pub(super) to_tag: bool,
}

/// The levels around a node, nearest first, with those around the tree behind them.
pub(super) fn levels(tree: &Tree<'_>, id: u32, outer: &[Level]) -> Vec<Level> {
    let mut levels = Vec::new();
    let mut child = id;
    while let Some(parent) = tree.node(child).parent {
        levels.push(level(tree, parent, Some(child)));
        child = parent;
    }
    let key = String::from_utf8_lossy(tree.key(child)).into_owned();
    if !key.is_empty() {
        levels.push(Level { key, ..Level::default() });
    }
    levels.extend_from_slice(outer);
    levels
}

/// The object `id` as a level on the way to `child`, or as the end of the way.
pub(super) fn level(tree: &Tree<'_>, id: u32, child: Option<u32>) -> Level {
    let key = child.map(|child| String::from_utf8_lossy(tree.key(child)).into_owned()).unwrap_or_default();
    let mut level = Level { key, ..Level::default() };
    for member in tree.children(id).take(MAX_MEMBERS) {
        if let Some(value) = member_of(tree, member) {
            if Some(member) != child {
                level.members.push(value);
            }
        } else if Some(member) != child && tree.node(id).kind == Kind::Object {
            nested(tree, member, 2, &mut level.nested);
        }
    }
    level
}

/// Adds the members of an object, and those of the objects in it, `depth` deep.
fn nested(tree: &Tree<'_>, id: u32, depth: usize, members: &mut Vec<Member>) {
    if depth == 0 || tree.node(id).kind != Kind::Object {
        return;
    }
    for member in tree.children(id).take(MAX_MEMBERS) {
        if members.len() >= MAX_MEMBERS {
            return;
        }
        match member_of(tree, member) {
            Some(value) => members.push(value),
            None => nested(tree, member, depth - 1, members),
        }
    }
}

fn member_of(tree: &Tree<'_>, id: u32) -> Option<Member> {
    let value = tree.value_of(id);
    if tree.raw(value).len() > MAX_VALUE_BYTES {
        return None;
    }
    let key = match tree.node(value).kind {
        Kind::Text(TextKind::Xml | TextKind::Cdata) if value == id => return None,
        _ => String::from_utf8_lossy(tree.key(id)).into_owned(),
    };
    Some(Member { key, value: tree.string(value)?, word: tree.node(value).kind == Kind::Bool })
}

/// A name without what tells `call_id`, `callID` and `call-id` apart.
pub(super) fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Whether the value of this member says what the message is about.
pub(super) fn names_the_message(member: &Member, in_array: bool) -> bool {
    let names = [
        "type",
        "method",
        "event",
        "eventname",
        "action",
        "request",
        "op",
        "operation",
        "cmd",
        "command",
        "janus",
        "messagetype",
        "msgtype",
        "name",
        "kind",
        "id",
        "target",
        "destination",
        "subject",
        "topic",
    ];
    (in_array && member.key.is_empty()) || names.contains(&folded(&member.key).as_str())
}

/// The words of a name: `SDP_OFFER`, `sdpOffer` and `sdp.offer` are `sdp` and `offer`. Empty for what is no name.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    if name.len() > 64 || !name.chars().all(|letter| letter.is_alphanumeric() || "_-.:/".contains(letter)) {
        return words;
    }
    let mut word = String::new();
    let mut lower_before = false;
    for letter in name.chars() {
        if (!letter.is_alphanumeric() || (letter.is_uppercase() && lower_before)) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
        lower_before = letter.is_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What one name says.
fn said_by(name: &str) -> Option<SdpType> {
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if has(&["pranswer"]) {
        return Some(SdpType::Pranswer);
    }
    match (has(&["offer", "invite", "reinvite", "reoffer"]), has(&["answer", "answered", "accept", "accepted"])) {
        (true, false) => Some(SdpType::Offer),
        (false, true) => Some(SdpType::Answer),
        _ => None,
    }
}

/// Offer or answer, from the surroundings and the description; `None` where they do not say it.
pub(super) fn kind(levels: &[Level], sip: Option<&Sip>, facts: &Facts<'_>) -> Option<SdpType> {
    let by_setup = match (facts.actpass, facts.decided) {
        (true, false) => Some(SdpType::Offer),
        (false, true) => Some(SdpType::Answer),
        _ => None,
    };
    if let Some(sip) = sip {
        return by_sip(sip, by_setup);
    }
    for level in levels {
        if let Some(named) = named_by(level) {
            return Some(named);
        }
        let (key, name) = hints(level);
        let hint = match (key, name) {
            (Some(key), Some(name)) if key != name => return by_setup,
            (Some(hint), _) | (None, Some(hint)) => hint,
            (None, None) => continue,
        };
        return match (hint, by_setup) {
            (SdpType::Answer | SdpType::Pranswer, Some(SdpType::Offer)) | (SdpType::Offer, Some(SdpType::Answer)) => {
                None
            }
            _ => Some(hint),
        };
    }
    by_setup
}

/// The value of a `type` beside the description.
fn named_by(level: &Level) -> Option<SdpType> {
    level.members.iter().find_map(|member| {
        let is_type = ["type", "sdptype", "kind", "descriptiontype"].contains(&folded(&member.key).as_str());
        match member.value.to_ascii_lowercase().as_str() {
            "offer" if is_type => Some(SdpType::Offer),
            "answer" if is_type => Some(SdpType::Answer),
            "pranswer" if is_type => Some(SdpType::Pranswer),
            _ => None,
        }
    })
}

/// What the name of the member says, and what the name of the message says.
fn hints(level: &Level) -> (Option<SdpType>, Option<SdpType>) {
    let in_array = level.key.is_empty();
    let named = level.members.iter().filter(|member| names_the_message(member, in_array));
    (said_by(&level.key), named.map(|member| said_by(&member.value)).find(Option::is_some).flatten())
}

/// Whether a level says offer or answer.
pub(super) fn says_role(level: &Level) -> bool {
    named_by(level).is_some() || hints(level) != (None, None)
}

/// RFC 3264 and RFC 6337 §2: which SIP message carries what.
fn by_sip(sip: &Sip, by_setup: Option<SdpType>) -> Option<SdpType> {
    match (sip.method.as_str(), sip.status) {
        ("INVITE" | "UPDATE", None) => Some(SdpType::Offer),
        ("ACK", None) => Some(SdpType::Answer),
        ("INVITE", Some(101..200)) => match by_setup {
            Some(SdpType::Offer) => Some(SdpType::Offer),
            _ => Some(SdpType::Pranswer),
        },
        // Without `a=setup` it is the answer, unless the INVITE had no offer: only its dialog can tell.
        ("INVITE", Some(200..300)) => by_setup,
        ("UPDATE" | "PRACK", Some(200..300)) => Some(SdpType::Answer),
        _ => by_setup,
    }
}

/// The dialog that the surroundings name.
///
/// `field` is the user's own name of the id. A SIP Call-ID comes next, then the handle of Janus, then call and session ids.
pub(super) fn dialog(levels: &[Level], field: Option<&str>, call_id: Option<&str>, sip: Option<&Sip>) -> Dialog {
    let established = match sip {
        Some(sip) => sip.to_tag && sip.status.is_none(),
        None => levels.iter().any(renegotiates),
    };
    Dialog { id: id(levels, field, call_id), established }
}

fn id(levels: &[Level], field: Option<&str>, call_id: Option<&str>) -> Option<String> {
    let usable = |member: &&Member| !member.word && !member.value.is_empty() && member.value.len() <= 256;
    if let Some(field) = field.filter(|field| !field.is_empty()) {
        let field = field.rsplit('.').next().unwrap_or(field);
        for level in levels {
            let found = level.members.iter().chain(&level.nested).filter(usable).find(|member| member.key == field);
            if let Some(found) = found {
                return Some(found.value.clone());
            }
        }
    }
    if let Some(call_id) = call_id {
        return Some(call_id.to_owned());
    }
    let janus = levels.iter().find(|level| level.members.iter().any(|member| member.key == "janus"));
    if let Some(level) = janus {
        let named = |name: &str| level.members.iter().filter(usable).find(|member| member.key == name);
        if let Some(found) = named("handle_id").or_else(|| named("sender")) {
            return Some(found.value.clone());
        }
    }
    // A plain `id` is mostly the number of a request or of a message, and tells nothing of the dialog.
    let groups: [&[&str]; 6] = [
        &["callid", "callsid", "calluuid", "call", "inincid"],
        &["sessionid", "sid", "jinglesid"],
        &["dialogid"],
        &["conversationid"],
        &["negotiationid"],
        &["handleid"],
    ];
    for group in groups {
        for level in levels {
            let found = level
                .members
                .iter()
                .chain(&level.nested)
                .filter(usable)
                .find(|member| group.contains(&folded(&member.key).as_str()));
            if let Some(found) = found {
                return Some(found.value.clone());
            }
        }
    }
    None
}

/// Whether a level says that an established dialog is negotiated again.
fn renegotiates(level: &Level) -> bool {
    let again = |name: &str| {
        words(name)
            .iter()
            .any(|word| ["reinvite", "reoffer", "renegotiate", "renegotiation", "modify"].contains(&word.as_str()))
    };
    let in_array = level.key.is_empty();
    level.members.iter().any(|member| {
        (member.word && member.value == "true" && again(&member.key))
            || (names_the_message(member, in_array) && again(&member.value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(key: &str, value: &str) -> Member {
        Member { key: key.to_owned(), value: value.to_owned(), word: false }
    }

    fn level(key: &str, members: &[(&str, &str)]) -> Level {
        Level {
            key: key.to_owned(),
            members: members.iter().map(|(key, value)| member(key, value)).collect(),
            nested: Vec::new(),
        }
    }

    const ACTPASS: Facts<'static> =
        Facts { actpass: true, decided: false, fingerprints: Vec::new(), passwords: Vec::new(), web_rtc: true };
    const ACTIVE: Facts<'static> =
        Facts { actpass: false, decided: true, fingerprints: Vec::new(), passwords: Vec::new(), web_rtc: true };
    const SILENT: Facts<'static> =
        Facts { actpass: false, decided: false, fingerprints: Vec::new(), passwords: Vec::new(), web_rtc: true };

    #[test]
    fn names_are_cut_into_words() {
        for name in ["SDP_OFFER", "sdpOffer", "sdp.offer", "sdp/offer", "sdp-offer"] {
            assert_eq!(words(name), ["sdp", "offer"], "{name}");
        }
        assert_eq!(words("I accept your offer"), Vec::<String>::new());
    }

    #[test]
    fn the_type_beside_the_description_counts_most() {
        assert_eq!(kind(&[level("sdp", &[("type", "answer")])], None, &ACTPASS), Some(SdpType::Answer));
        assert_eq!(kind(&[level("sdp", &[("type", "OFFER")])], None, &ACTIVE), Some(SdpType::Offer));
    }

    #[test]
    fn a_name_that_contradicts_the_setup_says_nothing() {
        assert_eq!(kind(&[level("sdp", &[("method", "accept")])], None, &ACTPASS), None);
        assert_eq!(kind(&[level("sdpOffer", &[])], None, &SILENT), Some(SdpType::Offer));
        assert_eq!(kind(&[level("value", &[])], None, &SILENT), None);
    }

    #[test]
    fn the_nearest_name_counts() {
        let levels = [level("answer", &[]), level("params", &[("method", "processOffer")])];
        assert_eq!(kind(&levels, None, &SILENT), Some(SdpType::Answer));
    }

    #[test]
    fn a_call_id_goes_before_the_session_of_the_login() {
        let mut verto = level("sdp", &[("sessid", "login"), ("sessionId", "login")]);
        verto.nested.push(member("callID", "c-1"));
        assert_eq!(id(&[verto], None, None).as_deref(), Some("c-1"));
    }

    #[test]
    fn the_handle_of_janus_is_the_dialog_in_both_directions() {
        let sent = level("jsep", &[("janus", "message"), ("session_id", "1"), ("handle_id", "2")]);
        let received = level("jsep", &[("janus", "event"), ("session_id", "1"), ("sender", "2")]);
        assert_eq!(id(&[sent], None, None), id(&[received], None, None));
    }

    #[test]
    fn the_users_own_field_goes_before_everything() {
        let levels = [level("sdp", &[("callId", "c"), ("leg", "l")])];
        assert_eq!(id(&levels, Some("leg"), Some("sip")).as_deref(), Some("l"));
        assert_eq!(id(&levels, Some("other"), None).as_deref(), Some("c"));
    }

    #[test]
    fn a_plain_id_is_no_dialog() {
        assert_eq!(id(&[level("sdp", &[("id", "17"), ("type", "offer")])], None, None), None);
    }
}
