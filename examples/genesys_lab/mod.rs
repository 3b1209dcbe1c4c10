//! A lab with a Genesys Cloud counterpart in a process of its own, so that only the softphones count in the measuring one.
//!
//! Dropping the [`Server`] ends its process.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use jmeter_webrtc::lab::{Lab, LabConfig};

pub(crate) type Failure = Box<dyn std::error::Error>;

/// The lab's process; ended on drop.
pub(crate) struct Server {
    process: Child,
    /// Of its REST interface.
    pub(crate) url: String,
}

impl Server {
    /// Starts this program once more, as `serve`, and waits for the URL that it prints.
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("the lab has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self { url: line.trim().to_owned(), process })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// A lab with a Genesys Cloud counterpart; prints its URL first.
pub(crate) async fn serve() -> Result<(), Failure> {
    let lab = Lab::start(LabConfig::from_json(br#"{"genesys":{}}"#)?).await?;
    println!("{}", lab.genesys_url().ok_or("the lab has no such counterpart")?);
    std::io::stdout().flush()?;
    std::future::pending::<()>().await;
    drop(lab);
    Ok(())
}
