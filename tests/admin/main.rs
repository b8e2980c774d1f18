//! Looking after subscriptions from outside, on a real server, also while their consumers run.
//!
//! | file | what |
//! |---|---|
//! | `shop` | a consumer with a plain field and a map, and what its outputs must be |
//! | `looking` | finding and inspecting subscriptions, reading their state |
//! | `typed` | state read into the struct that it is of |
//! | `moving` | seek and reset, at rest and under a running consumer |
//! | `removing` | delete |
//! | `creating` | subscriptions made from outside |
//! | `chaos` | all of that at random instants, under faults |
//! | `copying` | copies: kept, listed, put back, dropped |
//! | `streams` | what streams say of themselves, and their entries |

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chaos;
mod copying;
mod creating;
mod looking;
mod moving;
mod removing;
mod shop;
mod streams;
mod typed;
