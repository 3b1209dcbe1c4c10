//! `doctor`: the preflight from a command line. Reading the options is pure; `@file` values are read from disk.

use std::ffi::OsString;
use std::fs;

use lexopt::prelude::*;
use serde_json::json;

use super::PreflightConfig;
use crate::config::ConfigError;

/// What `doctor --help` prints.
pub const HELP: &str = "\
doctor: will this machine hold so many softphones, and do their servers answer?

Usage: java -jar jmeter-webrtc-X.jar doctor [options]

  --softphones N         how many (default 200)
  --ramp S               seconds over which they start (default one per 25 softphones)
  --ice-servers SERVERS  stun:host[:port],turn:host[:port][?transport=tcp],turns:host...
                         or the JSON array of a WebRTC Defaults element; @FILE reads it from a file
  --username U, --credential C   for the turn: and turns: URLs of the first form; @FILE reads from a file
  --signaling URL        ws:// or wss:// URL of the signaling server
  --source-address A     local address to use
  --timeout MS           deadline of each step (default 5000)
  --insecure             accept every TLS certificate
  --json                 print the report as JSON
  --help

Exit status: 0 = it will hold, 1 = a check failed, 2 = it could not be checked (wrong options, no native library).
";

/// A command line that was understood.
#[derive(Clone)]
pub enum Doctor {
    /// `--help`.
    Help,
    /// Look, and print a table or JSON.
    Examine {
        /// What to look at; boxed because it is much larger than the rest.
        config: Box<PreflightConfig>,
        /// Print JSON.
        json: bool,
    },
}

impl Doctor {
    /// Reads the arguments behind `doctor`.
    ///
    /// # Errors
    /// A sentence that names the option and its value.
    pub fn parse(arguments: Vec<String>) -> Result<Self, String> {
        let mut parser = lexopt::Parser::from_args(arguments.into_iter().map(OsString::from));
        let mut members = serde_json::Map::new();
        let (mut servers, mut username, mut credential) = (String::new(), String::new(), String::new());
        let mut as_json = false;
        while let Some(argument) = parser.next().map_err(|error| error.to_string())? {
            match argument {
                Long("help") | Short('h') => return Ok(Self::Help),
                Long("json") => as_json = true,
                Long("insecure") => drop(members.insert("verifyCertificate".to_owned(), false.into())),
                Long("softphones") => number(&mut parser, "softphones", &mut members)?,
                Long("ramp") => number(&mut parser, "rampSeconds", &mut members)?,
                Long("timeout") => number(&mut parser, "timeoutMs", &mut members)?,
                Long("signaling") => drop(members.insert("signaling".to_owned(), text(&mut parser)?.into())),
                Long("source-address") => drop(members.insert("sourceAddress".to_owned(), text(&mut parser)?.into())),
                Long("ice-servers") => servers = value_or_file(&text(&mut parser)?)?,
                Long("username") => username = value_or_file(&text(&mut parser)?)?,
                Long("credential") => credential = value_or_file(&text(&mut parser)?)?,
                Value(value) => return Err(format!("'{}' is no option; see --help", value.to_string_lossy())),
                other => return Err(format!("{}; see --help", other.unexpected())),
            }
        }
        if !servers.trim().is_empty() {
            members.insert("iceServers".to_owned(), ice_servers(&servers, &username, &credential)?);
        }
        let config = PreflightConfig::from_json(serde_json::Value::Object(members).to_string().as_bytes())
            .map_err(|error| as_option(&error))?;
        Ok(Self::Examine { config: Box::new(config), json: as_json })
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, String> {
    parser.value().and_then(|value| value.string()).map_err(|error| error.to_string())
}

fn number(
    parser: &mut lexopt::Parser,
    field: &str,
    members: &mut serde_json::Map<String, serde_json::Value>,
) -> Result<(), String> {
    let text = text(parser)?;
    let number: serde_json::Number =
        serde_json::from_str(&text).map_err(|_| format!("{}: '{text}' is not a number", option_of(field)))?;
    members.insert(field.to_owned(), number.into());
    Ok(())
}

fn value_or_file(value: &str) -> Result<String, String> {
    match value.strip_prefix('@') {
        Some(file) => fs::read_to_string(file)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| format!("{file} cannot be read: {error}")),
        None => Ok(value.to_owned()),
    }
}

/// The servers as the configuration has them: given as JSON, or as URLs that share the credentials.
fn ice_servers(servers: &str, username: &str, credential: &str) -> Result<serde_json::Value, String> {
    if !servers.trim_start().starts_with('[') {
        let urls: Vec<&str> = servers.split(',').map(str::trim).filter(|url| !url.is_empty()).collect();
        return Ok(json!([{"urls": urls, "username": username, "credential": credential}]));
    }
    // The text may hold credentials: only the place of the mistake is told.
    let mut parsed: serde_json::Value = serde_json::from_str(servers)
        .map_err(|error| format!("--ice-servers: not JSON at line {}, column {}", error.line(), error.column()))?;
    for server in parsed.as_array_mut().into_iter().flatten() {
        // W3C allows one URL as well as a list.
        if let Some(url) = server.get("urls").filter(|urls| urls.is_string()).cloned() {
            server["urls"] = json!([url]);
        }
    }
    Ok(parsed)
}

fn as_option(error: &ConfigError) -> String {
    format!("{}: {} is not usable: {}", option_of(&error.field), error.value, error.reason)
}

fn option_of(field: &str) -> String {
    match field {
        "softphones" => "--softphones".to_owned(),
        "rampSeconds" => "--ramp".to_owned(),
        "timeoutMs" => "--timeout".to_owned(),
        "signaling" => "--signaling".to_owned(),
        "sourceAddress" => "--source-address".to_owned(),
        field if field.ends_with(".username") => "--username".to_owned(),
        field if field.ends_with(".credential") => "--credential".to_owned(),
        other => format!("--ice-servers ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<PreflightConfig, String> {
        match Doctor::parse(arguments.iter().map(|&argument| argument.to_owned()).collect())? {
            Doctor::Examine { config, .. } => Ok(*config),
            Doctor::Help => panic!("help"),
        }
    }

    #[test]
    fn options_become_the_configuration() {
        let config = parse(&[
            "--softphones",
            "500",
            "--ramp=2.5",
            "--ice-servers",
            "stun:a.example, turn:b.example?transport=tcp",
            "--username",
            "u",
            "--credential",
            "c",
            "--signaling",
            "wss://a.example/x",
            "--insecure",
        ])
        .expect("understood");
        assert_eq!((config.softphones, config.ramp_seconds, config.verify_certificate), (500, Some(2.5), false));
        assert_eq!(config.ice_servers[0].urls, ["stun:a.example", "turn:b.example?transport=tcp"]);
        assert_eq!((&*config.ice_servers[0].username, &*config.ice_servers[0].credential), ("u", "c"));
    }

    #[test]
    fn servers_may_be_the_json_of_a_plan() {
        let json = r#"[{"urls":"stun:a.example"},{"urls":["turn:b.example"],"username":"u","credential":"c"}]"#;
        let config = parse(&["--ice-servers", json]).expect("understood");
        assert_eq!((&*config.ice_servers[0].urls[0], &*config.ice_servers[1].username), ("stun:a.example", "u"));
    }

    #[test]
    fn wrong_options_are_named_with_their_value_and_secrets_are_not_shown() {
        for (arguments, said) in [
            (vec!["--softphones", "many"], "--softphones: 'many'"),
            (vec!["--softphones", "0"], "--softphones: '0'"),
            (vec!["--ramp", "-1"], "--ramp: '-1'"),
            (vec!["--timeout", "1"], "--timeout: '1'"),
            (vec!["--signaling", "http://a"], "--signaling: 'http://a'"),
            (vec!["--ice-servers", "http://a"], "--ice-servers (iceServers[0].urls[0]): 'http://a'"),
            (vec!["--ice-servers", "turn:a.example"], "--username: ''"),
            (vec!["--ice-servers", "@/no/such/file"], "/no/such/file cannot be read"),
            (vec!["--frobnicate"], "frobnicate"),
            (vec!["now"], "'now' is no option"),
        ] {
            let error = parse(&arguments).err().expect("refused");
            assert!(error.contains(said), "{arguments:?}: {error}");
        }
        let broken = r#"[{"urls":"turn:a","credential":"s3cret""#;
        assert!(!parse(&["--ice-servers", broken]).err().expect("refused").contains("s3cret"));
    }
}
