//! The command-line tool as it is started, on a real server, also while consumers run.
//!
//! | file | what |
//! |---|---|
//! | `shop` | a consumer with a standby, one that lags, dead letters, parked keys |
//! | `ran` | the tool, started and ended |
//! | `looking` | ls, show, state, lag, doctor, tail |
//! | `moving` | seek, reset, delete, copies, at rest and under a running consumer |
//! | `letters` | dead letters: looking, searching, putting back, dropping, unparking |
//! | `adding` | publish and trim |
//! | `importing` | moving over from the Python library |
//! | `consenting` | asking before something is done, and dry runs |
//! | `reaching` | TLS with certificates of one's own, sentinels |
//! | `ending` | exit codes, broken pipes, secrets |
//! | `help` | help texts, completions and manuals |
//! | `guides` | docs/troubleshooting.md and docs/moving-over.md |
//! | `page` | docs/command-line.md |

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adding;
mod consenting;
mod ending;
mod guides;
mod help;
mod importing;
mod letters;
mod looking;
mod moving;
mod page;
mod ran;
mod reaching;
mod shop;
