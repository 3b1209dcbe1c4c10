//! WebSockets against servers whose every byte the test decides, and against independent peers.

#[cfg(test)]
mod backlog;
#[cfg(test)]
mod closing;
#[cfg(test)]
mod lending;
#[cfg(test)]
mod life;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tls;
