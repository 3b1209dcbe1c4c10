//! One dialog (RFC 3261 §12): what requests within it are made of. Pure. The lab's side of a dialog is one, too.
use rsipstack::dialog::DialogId;
use rsipstack::sip::Method;

use super::message::{Message, uri_of};

/// A dialog, or what is to become one.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    /// Its Call-ID and tags; the remote one is empty until it is known.
    pub(crate) id: DialogId,
    /// `From` of our requests, with its tag.
    pub(crate) local: String,
    /// `To` of our requests; with its tag, once it is known.
    pub(crate) remote: String,
    /// Number of our latest request.
    pub(crate) local_seq: u32,
    /// Number of the latest request of theirs.
    pub(crate) remote_seq: Option<u32>,
    /// Values of `Route`, in their order.
    pub(crate) routes: Vec<String>,
    /// Where requests go.
    pub(crate) target: String,
}

impl Dialog {
    /// Of a call that is placed to `target`; `local` has its tag.
    pub(crate) fn placed(call_id: String, local: String, local_tag: String, target: &str, first_seq: u32) -> Self {
        Self {
            id: DialogId { call_id, local_tag, remote_tag: String::new() },
            local,
            remote: format!("<{target}>"),
            local_seq: first_seq,
            remote_seq: None,
            routes: Vec::new(),
            target: target.to_owned(),
        }
    }

    /// Of a call that comes in by `invite`; none where it lacks what a dialog needs.
    pub(crate) fn taken(invite: &Message, local_tag: String, first_seq: u32) -> Option<Self> {
        let to = invite.header("To")?;
        invite.tag("From")?;
        Some(Self {
            local: format!("{to};tag={local_tag}"),
            id: DialogId { local_tag, ..invite.dialog() },
            remote: invite.header("From")?.to_owned(),
            local_seq: first_seq,
            remote_seq: invite.cseq().map(|(number, _)| number),
            routes: invite.list("Record-Route").into_iter().map(ToOwned::to_owned).collect(),
            target: invite.contact()?.to_owned(),
        })
    }

    /// Whether it is the dialog `id`, [of a message of the other side](Message::dialog); any remote tag will do until one is known.
    pub(crate) fn has(&self, id: &DialogId) -> bool {
        *id == self.id || (self.id.remote_tag.is_empty() && self.is_fork(id))
    }

    /// Whether the INVITE that made it made the dialog `id`, too, on this branch or another (§12.1.2).
    pub(crate) fn is_fork(&self, id: &DialogId) -> bool {
        (&id.call_id, &id.local_tag) == (&self.id.call_id, &self.id.local_tag)
    }

    /// A 2xx to our INVITE makes it what the other side says (§12.1.2).
    pub(crate) fn established(&mut self, response: &Message) {
        if let (Some(to), Some(tag)) = (response.header("To"), response.tag("To")) {
            to.clone_into(&mut self.remote);
            tag.clone_into(&mut self.id.remote_tag);
        }
        self.routes = response.list("Record-Route").into_iter().rev().map(ToOwned::to_owned).collect();
        self.refreshed(response);
    }

    /// A target refresh (§12.2): the other side may have moved.
    pub(crate) fn refreshed(&mut self, message: &Message) {
        if let Some(target) = message.contact() {
            target.clone_into(&mut self.target);
        }
    }

    /// Takes the number of a request of theirs; false where it comes too late (§12.2.2).
    pub(crate) fn in_order(&mut self, request: &Message) -> bool {
        let Some((number, _)) = request.cseq() else { return false };
        let in_order = self.remote_seq.is_none_or(|before| number > before);
        if in_order {
            self.remote_seq = Some(number);
        }
        in_order
    }

    /// The next request within it; `via` is the value of its `Via`.
    pub(crate) fn request(&mut self, method: Method, via: &str) -> Message {
        self.local_seq += 1;
        self.numbered(method, via, self.local_seq)
    }

    /// The ACK to a 2xx to the INVITE of this number (§13.2.2.4).
    pub(crate) fn ack(&self, number: u32, via: &str) -> Message {
        self.numbered(Method::Ack, via, number)
    }

    fn numbered(&self, method: Method, via: &str, number: u32) -> Message {
        // A first route without `lr` is a strict router (§12.2.1.1).
        let strict = self.routes.first().filter(|route| !is_loose(uri_of(route)));
        let uri = strict.map_or(self.target.as_str(), |route| uri_of(route));
        let mut request = Message::request(method, uri).with("Via", via).with("Max-Forwards", 69);
        let skipped = usize::from(strict.is_some());
        self.routes.iter().skip(skipped).for_each(|route| request.add("Route", route));
        if strict.is_some() {
            request.add("Route", format!("<{}>", self.target));
        }
        request
            .with("To", &self.remote)
            .with("From", &self.local)
            .with("Call-ID", &self.id.call_id)
            .with("CSeq", format!("{number} {method}"))
    }
}

fn is_loose(uri: &str) -> bool {
    uri.split(';').skip(1).any(|parameter| parameter.split('=').next() == Some("lr"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(routes: &str) -> Message {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/WS a\r\n{routes}To: <sip:b@lab>;tag=t\r\nFrom: <sip:a@lab>;tag=f\r\n\
             Call-ID: c\r\nCSeq: 2 INVITE\r\nContact: <sip:b@x.invalid;transport=ws>\r\n\r\n"
        );
        Message::parse(&text).expect("a message")
    }

    fn dialog() -> Dialog {
        Dialog::placed("c".into(), "<sip:a@lab>;tag=f".into(), "f".into(), "sip:b@lab", 1)
    }

    #[test]
    fn a_response_turns_the_route_round_and_names_the_target() {
        let mut dialog = dialog();
        let answer = response("Record-Route: <sip:p1;lr>, <sip:p2;lr=on>\r\n");
        assert!(dialog.has(&answer.dialog()));
        dialog.established(&answer);
        let request = dialog.request(Method::Bye, "SIP/2.0/WS a;branch=z9hG4bK1");
        assert!(request.to_string().starts_with("BYE sip:b@x.invalid;transport=ws SIP/2.0\r\n"));
        assert_eq!(request.list("Route"), ["<sip:p2;lr=on>", "<sip:p1;lr>"]);
        assert_eq!((request.cseq(), request.tag("To")), (Some((2, "BYE")), Some("t")));
        assert_eq!(dialog.ack(1, "v").cseq(), Some((1, "ACK")));
    }

    #[test]
    fn a_strict_router_gets_the_request_and_the_target_comes_last() {
        let mut dialog = dialog();
        dialog.established(&response("Record-Route: <sip:p1>\r\n"));
        let request = dialog.request(Method::Bye, "v");
        assert!(request.to_string().starts_with("BYE sip:p1 SIP/2.0\r\n"));
        assert_eq!(request.list("Route"), ["<sip:b@x.invalid;transport=ws>"]);
    }

    #[test]
    fn a_request_of_another_tag_or_an_old_number_is_not_of_it() {
        let mut dialog = dialog();
        dialog.established(&response(""));
        let of = |from: &str, number: u32| {
            let text = format!(
                "BYE sip:a SIP/2.0\r\nVia: v\r\nTo: <sip:a@lab>;tag=f\r\nFrom: <sip:b@lab>;tag={from}\r\nCall-ID: c\r\n\
                 CSeq: {number} BYE\r\n\r\n"
            );
            Message::parse(&text).expect("a message")
        };
        assert!(dialog.has(&of("t", 5).dialog()) && !dialog.has(&of("other", 5).dialog()));
        assert!(dialog.in_order(&of("t", 5)) && !dialog.in_order(&of("t", 5)) && dialog.in_order(&of("t", 6)));
    }
}
