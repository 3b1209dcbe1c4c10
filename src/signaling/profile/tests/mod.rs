//! Profiles that can be used, and what is said of those that cannot.
mod accounts;
mod genesys;
mod others;
mod persistent;

use super::*;

const SMALL: &str = r#"{
  "profile": 1,
  "name": "small",
  "params": { "server": {}, "token": { "secret": true } },
  "socket": { "url": "${server}/x", "codec": "json" },
  "templates": {
    "hello": { "json": { "type": "hello", "token": "${token}" } },
    "ping": { "json": { "id": "${id}" } }
  },
  "replies": { "when": "$.result", "id": "$.id" },
  "requests": { "ping": { "send": "ping" } },
  "login": [ { "send": "hello" }, { "expect": { "when": "$.welcome" } } ],
  "on": [
    { "when": "$.offer", "call": "$.call", "starts": true,
      "do": [ { "ring": {} }, { "remoteOffer": { "sdp": "$.offer" } } ] }
  ]
}"#;

fn refused(from: &str, to: &str) -> ProfileError {
    assert!(SMALL.contains(from), "the test's own text: {from}");
    Profile::parse("small.json", &SMALL.replacen(from, to, 1)).expect_err(to)
}

#[test]
fn a_small_profile_is_read() {
    let profile = Profile::parse("small.json", SMALL).expect("usable");
    assert_eq!((profile.name.as_str(), profile.login.len(), profile.on.len()), ("small", 2, 1));
    assert_eq!(profile.socket.login_timeout_ms, 15_000);
}

#[test]
fn what_cannot_be_used_is_refused_with_line_and_column() {
    for (from, to, at, says) in [
        ("\"profile\": 1", "\"profile\": 2", "2,\n  \"name\"", "this version reads 1"),
        ("\"codec\": \"json\"", "\"codek\": 1", "1 },", "unknown field `codek`"),
        ("\"$.welcome\"", "\"$.[welcome\"", "\"$.[welcome\"", "no JSONPath"),
        ("${token}", "${tokn}", "{ \"json\": { \"type\"", "there is no variable 'tokn'"),
        ("${token}", "${token", "\"${token\"", "closing brace"),
        (
            "{ \"send\": \"hello\" }",
            "{ \"send\": \"helo\" }",
            "\"helo\"",
            "there is no template 'helo'; there is hello, ping",
        ),
        ("{ \"send\": \"ping\" }", "{ \"send\": \"hello\" }", "\"hello\" } },\n  \"login\"", "does not use ${id}"),
        (
            "\"replies\": { \"when\": \"$.result\", \"id\": \"$.id\" },",
            "",
            "{ \"send\": \"ping\" }",
            "requests need `replies`",
        ),
        ("\"call\": \"$.call\", ", "", "true,\n", "has to say their name"),
        ("{ \"ring\": {} }", "{ \"rng\": {} }", "{ \"rng\"", "unknown variant `rng`"),
        (
            "{ \"remoteOffer\": { \"sdp\": \"$.offer\" } }",
            "{ \"remoteOffer\": { \"sdp\": \"$.offer\",\n\"newPeerIfIceChangd\": true } }",
            "true } } ] }",
            "unknown field `newPeerIfIceChangd`",
        ),
        ("{ \"ring\": {} }", "{ \"ring\": { \"automatic\": \"true\" } }", "\"true\" } }", "unknown field `automatic`"),
        ("{ \"ring\": {} }", "{ \"closed\": { \"why\": \"$.x\" } }", "\"$.x\"", "unknown field `why`"),
        (
            "{ \"ring\": {} }",
            "{ \"expect\": { \"when\": \"$\" } }",
            "{ \"when\": \"$\" }",
            "`expect` is for `login` only",
        ),
        (
            "{ \"ring\": {} }",
            "{ \"remoteCandidateFragment\": { \"sdp\": \"$.sdp\", \"restartsIce\": true } }",
            "{ \"remoteCandidateFragment\"",
            "`events.localRestart`",
        ),
    ] {
        let text = SMALL.replacen(from, to, 1);
        let before = &text[..text.find(at).expect(at)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let error = refused(from, to);
        assert!(error.message.contains(says), "{to}: {error}");
        assert_eq!((error.line, error.column), (line, column), "{to}: {error}");
        assert!(error.to_string().starts_with(&format!("small.json:{line}:{column}: ")), "{error}");
    }
}

#[test]
fn a_template_that_contains_itself_is_refused() {
    let error = refused("\"${token}\" }", "\"${@ping}${@hello}\" }");
    assert!(error.message.contains("contains itself: hello → hello"), "{error}");
}

#[test]
fn a_failure_that_follows_itself_ends_and_is_reported() {
    let text = SMALL
        .replacen(
            "{ \"send\": \"ping\" }",
            "{ \"send\": \"ping\", \"withinMs\": 10, \"onError\": [ { \"request\": \"ping\" } ] }",
            1,
        )
        .replacen("\"on\": [", "\"commands\": { \"place\": [ { \"request\": \"ping\" } ] }, \"on\": [", 1);
    let profile = std::sync::Arc::new(Profile::parse("small.json", &text).unwrap_or_else(|error| panic!("{error}")));
    let params = [("server", "ws://h"), ("token", "t")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let now = std::time::Instant::now();
    let mut machine = Machine::new(profile, &params, now, std::time::Duration::ZERO, 1).expect("usable");
    for input in [Input::Start, Input::SocketOpened, Input::Text("{\"welcome\":1}".to_owned())] {
        machine.step(input, now);
    }
    assert!(machine.is_registered());
    let call = machine.new_call();
    machine.step(Input::Command { call, command: Command::Place { to: "x".to_owned() } }, now);
    let done = machine.step(Input::SocketClosed { detail: "test".to_owned() }, now);
    let told = done.iter().any(|action| matches!(action, Action::Problem { what } if what.contains("again and again")));
    assert!(told, "{done:?}");
}

#[test]
fn text_that_is_no_profile_is_refused_at_its_place() {
    for (text, line) in [("", 1), ("[]", 1), ("{", 1), ("{\n\"profile\":1", 2), ("{}", 1)] {
        let error = Profile::parse("x", text).expect_err(text);
        assert_eq!(error.line, line, "{text}: {error}");
    }
    let error = Profile::parse("x", &format!("{SMALL}\n{{}}")).expect_err("two objects");
    assert_eq!((error.line, error.column), (SMALL.lines().count() + 1, 1), "{error}");
}

/// The schema that stands beside the profiles, for editors and for other programs.
#[test]
fn the_shipped_schema_is_the_one_of_the_types() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles/profile.schema.json");
    let schema = schemars::schema_for!(Profile);
    let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
    if std::env::var_os("WRITE_PROFILE_SCHEMA").is_some() {
        std::fs::write(path, &text).expect("writable");
    }
    let shipped = std::fs::read_to_string(path).expect("shipped");
    assert!(shipped == text, "profiles/profile.schema.json is old: run this test with WRITE_PROFILE_SCHEMA=1");
}

#[test]
fn every_shipped_profile_is_usable() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).expect("shipped") {
        let path = entry.expect("readable").path();
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        if file.ends_with(".json") && file != "profile.schema.json" {
            let text = std::fs::read_to_string(&path).expect("readable");
            let profile = Profile::parse(&file, &text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(format!("{}.json", profile.name), file);
            names.push(file);
        }
    }
    assert!(names.contains(&"genesys.json".to_owned()), "{names:?}");
}

#[test]
fn a_profile_with_a_driver_has_parameters_and_a_websocket_and_nothing_that_the_driver_would_not_do() {
    const DRIVEN: &str = "{\"profile\": 1, \"name\": \"driven\", \"driver\": \"sip\",\n\"params\": {\"aor\": {}},\n\
        \"socket\": {\"url\": \"wss://sip.example.com/\", \"reconnect\": {\"firstMs\": 1, \"maxMs\": 2}}}";
    assert_eq!(Profile::parse("driven", DRIVEN).expect("usable").driver, Some(Driver::Sip));
    for (from, to, line, says) in [
        ("\"sip\"", "\"sap\"", 1, "unknown variant `sap`"),
        ("\"aor\"", "\"user\"", 2, "the driver needs a parameter 'aor'"),
        ("\"socket\"", "\"templates\": {\"a\": {\"text\": \"\"}}, \"socket\"", 3, "the driver speaks the protocol"),
        ("\"reconnect\"", "\"codec\": \"xml\", \"reconnect\"", 3, "socket.codec: a profile with a driver"),
        ("\"reconnect\"", "\"translate\": \"jingle\", \"reconnect\"", 3, "socket.translate: a profile with a driver"),
        (
            "\"reconnect\"",
            "\"farewellAwaits\": {\"variable\": \"aor\"}, \"reconnect\"",
            3,
            "socket.farewellAwaits: a profile with a driver",
        ),
        ("\"socket\"", "\"candidates\": {\"full\": true}, \"socket\"", 3, "candidates: a profile with a driver"),
        ("\"socket\"", "\"login\": [{\"send\": \"a\"}], \"socket\"", 3, "the driver speaks the protocol"),
        ("\"reconnect\"", "\"silence\": {\"ms\": 1}, \"reconnect\"", 3, "the driver speaks the protocol"),
    ] {
        let error = Profile::parse("driven", &DRIVEN.replacen(from, to, 1)).expect_err(to);
        assert!(error.message.contains(says), "{to}: {error}");
        assert_eq!(error.line, line, "{to}: {error}");
    }
}
