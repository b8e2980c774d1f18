//! What may go wrong in one configuration, and how often.

/// The bounds of one configuration. Whatever they allow happens at every point and in every order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Adversary {
    /// Entries added to the stream.
    pub entries: u8,
    /// Attaches, of both owners together: each but the first is a takeover or a recovery.
    pub attaches: u8,
    /// How often the server loses its newest writes, any number of them, of all keys together. Connections survive; one that
    /// does not is a session that is lost afterwards.
    pub roll_backs: u8,
    /// IDs of lost entries are given again, to other contents.
    pub ids_return: bool,
    /// Readers may be left on the old primary, and may come and go between the two.
    pub stale_readers: bool,
    /// A lost reply is a step of its own. It is covered by a session that is lost while its commits are on their way.
    pub lost_replies: bool,
    /// Requests that something in between sends again, before or after their reply is heard.
    pub resends: u8,
    /// Attaches that arrive twice, or when nobody waits for them any more.
    pub late_attaches: u8,
    /// Entries trimmed from the head of the stream.
    pub trims: u8,
    /// Renewals among the commits; without faults every session renews anyway.
    pub renewals: u8,
    /// A read may be proved by a step of nothing before its first entry is handled.
    pub lone_proofs: bool,
    /// Commits at hand are folded into one step.
    pub folds: bool,
    /// A lost session may also be the end of its process, and whoever comes next is careful.
    pub crashes: bool,
}

impl Adversary {
    /// An owner, its successor, and a server that loses its newest writes once, so that IDs come back. The rest is added to it.
    pub const LEAST: Self = Self {
        entries: 2,
        attaches: 2,
        roll_backs: 1,
        ids_return: true,
        stale_readers: false,
        lost_replies: false,
        resends: 0,
        late_attaches: 0,
        trims: 0,
        renewals: 0,
        lone_proofs: false,
        folds: false,
        crashes: false,
    };
    /// Steps that a session may have on their way.
    pub const WINDOW: usize = 2;
    /// Entries that it may have read and not handled.
    pub const READ_AHEAD: usize = 2;
}
