//! The real binary, driven as users and accidents drive it.

mod deploy;
mod docs_page;
mod howto;
mod kill_nine;
mod nodes;
mod race;
mod reconcile;
mod roles;
mod support;
mod tls;
