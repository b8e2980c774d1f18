//! The protocol, exhaustively: the library's own protocol code against every order of faults, within bounds.
//!
//! Real servers show that the protocol works, and random faults that it is hard to break. Here every state that a small
//! world can get into is visited: two owners, a few entries, and an adversary that may do what the configuration allows it
//! at every point. A promise that breaks in any of these states is reported with the steps that lead there.
//!
//! # What is real and what is modelled
//!
//! - **Real**: `Attaching`, `Sequencer`, `Fold`, `Reconciler` and `Careful`, as the consumer's tasks drive them, with the
//!   commits, proofs and replies that they make and take (see [`worker`]).
//! - **Modelled**: the scripts, on small numbers ([`server`]): attach, commit with its comparison and its proof, renew. That
//!   the Lua scripts do what is said here is what the conformance tests are for. Reading, and the handler: it appends what
//!   each entry holds to its state and publishes it.
//! - **The adversary** ([`adversary`]): sessions and processes that end at any time, leases that end at any time, steps that
//!   arrive late or twice, replies that get lost, attaches that arrive twice or when nobody waits for them any more, entries
//!   that are trimmed, and a server that loses its newest writes, any number of them, of all keys together, while the
//!   connections to it survive. Lost entries' IDs come back with other contents. A reader may be left on the old primary.
//! - **Left out**: replies that arrive twice (a connection has one for each request), collections, schemas, the group's
//!   cursor and lag, outputs that are trimmed, several streams, and keys of one server that lose writes by themselves. Redis
//!   loses a suffix of them all.
//!
//! # What is checked
//!
//! In every state ([`properties`]): the committed state is the fold of the entries up to the position, each once and in
//! order; the outputs are those of these entries; no commit is applied under a token that is not the record's; the position
//! is one that the stream has given out; what a session was told is committed stays so, but for what the server has lost; no
//! ID is blamed for more crashes than tries of it were noted. And progress: from **every** state a run in which nothing more goes
//! wrong ([`ending`]) commits everything, and ends no owner's session without need. The checker's own `eventually` is not
//! used for this, since it looks at paths that end, and not at all that go on from each state.
//!
//! A model that does nothing would pass all this, so that it must also be possible that everything is committed, that another
//! owner takes over, that a late commit is applied, that each refusal is given, that a renewal notices a roll-back, and so on.
//! The number of states is asserted exactly.
//!
//! The tests called `needed` take each check out, one at a time: each time a promise breaks, after 6 to 14 steps.
//!
//! # Why it is small enough
//!
//! Three things make it so, and lose nothing. History is forgotten when no roll-back is left. A step on its way is forgotten
//! when its session is over and its token is in no state that the server can fall back to: it would be refused for ever. And
//! the owner that attaches first is the first owner, since until then they differ in nothing. A step and its reply are one
//! event: a reply that comes later only keeps the session from doing what it may do, and one that never comes is a session
//! that ends while its step is on its way. (With `lost_replies` it is an event of its own all the same.)
//!
//! States are told apart by 64 bits of a hash, as the checker does it: among the 4 million states of the largest run two
//! are taken for one with odds of about one in two million.
//!
//! # How much that is
//!
//! | owners' attaches, entries, roll-backs | and | states |
//! |---|---|---:|
//! | 2, 3, 1 | | 133,499 |
//! | 3, 2, 1 | | 173,573 |
//! | 2, 2, 2 | | 27,703 |
//! | 2, 2, 1 | proofs that go alone | 130,424 |
//! | 2, 2, 1 | a renewal among the commits | 81,959 |
//! | 2, 2, 1 | an attach that comes twice or late | 69,395 |
//! | 2, 2, 1 | a step that comes twice | 39,956 |
//! | 2, 2, 1 | a trim that may be lost too | 35,972 |
//! | 3, 1, 1 | processes that end | 30,148 |
//! | 2, 2, 1 | stale readers | 25,450 |
//! | 2, 2, 1 | folded commits | 22,496 |
//! | 2, 2, 1 | replies lost one by one | 18,934 |
//! | 2, 3, 0 | two trims | 14,336 |
//! | 2, 2, 1 | IDs that never come back | 11,675 |
//! | with the feature `long`: | | |
//! | 3, 3, 1 | | 4,268,048 |
//! | 2, 4, 1 | | 995,065 |
//! | 3, 2, 2 | | 667,686 |
//! | 4, 3, 0 | processes that end | 622,944 |
//! | 2, 3, 1 | a trim | 620,861 |
//! | 2, 3, 1 | folded commits | 448,011 |
//! | 2, 3, 1 | stale readers | 299,646 |
//! | 3, 2, 1 | replies lost one by one | 296,842 |
//! | 2, 2, 1 | an attach that comes twice or late, a trim | 231,421 |
//! | 2, 2, 1 | stale readers, a step that comes twice, replies lost one by one | 156,668 |
//!
//! The package is one of its own so that it is compiled with optimization in every profile: without, it takes minutes.

pub mod adversary;
pub mod checks;
pub mod ending;
mod hashed;
pub mod properties;
mod run;
pub mod server;
pub mod worker;
pub mod world;

pub use adversary::Adversary;
pub use checks::{Checks, Fence, MintedBy, ProofOf};
pub use world::Exclusive;
