//! When a commit counts as done.

use std::fmt;
use std::time::Duration;

/// What a commit must have reached before it counts as done; see [`ConsumerBuilder::durability`](crate::ConsumerBuilder::durability).
///
/// Every commit is applied by the server at once, as a whole, and readers see it from then on. What is chosen here is how
/// much of Redis may fail without losing a commit that the consumer has reported as done.
///
/// | | asks | survives | like Kafka's |
/// |---|---|---|---|
/// | [`Applied`](Self::Applied) | the reply of the script | crashes of the consumer | `acks=1` |
/// | [`Replicas(n)`](Self::Replicas) | `WAIT n` | the loss of the primary, if one of these replicas takes over | `acks=all`, `min.insync.replicas=n+1` |
/// | [`LocalDisk`](Self::LocalDisk) | `WAITAOF 1 0` | power loss of the primary, if it comes back with its disk | `flush.messages=1` |
/// | [`LocalAndReplicaDisks(n)`](Self::LocalAndReplicaDisks) | `WAITAOF 1 n` | both, and power loss everywhere | both |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// The primary has applied it, in its memory. The default.
    ///
    /// What a crash of the server then loses depends on its settings: [`Doctor`](crate::Doctor) says it in a sentence.
    #[default]
    Applied,
    /// So many replicas have received it as well, in their memory. Needs the right `+wait`.
    ///
    /// Protects against the loss of the primary where one of these replicas is promoted. Sentinel and Cluster prefer the
    /// replica that has received most, and promise nothing: only with all replicas named is every promotion covered.
    Replicas(u32),
    /// It is in the append-only file of the primary and fsynced. Needs Redis 7.2 or Valkey, `appendonly yes`, `appendfsync always`
    /// or `everysec`, and the right `+waitaof`.
    ///
    /// Protects against a crash of the server's machine, where the same machine comes back with its disk; not against the
    /// promotion of a replica that lags. With `everysec` each wait takes up to a second, for all commits that were gathered
    /// meanwhile; with `always` it takes as long as the disk.
    LocalDisk,
    /// It is fsynced by the primary and by so many replicas, which must have an append-only file too. Needs what
    /// [`LocalDisk`](Self::LocalDisk) needs, and a lease of 8 s or more: replicas tell once a second what they have fsynced, so
    /// each wait takes up to a second.
    LocalAndReplicaDisks(u32),
}

impl Durability {
    /// Whether anything is waited for beyond the reply.
    pub(crate) fn waits(self) -> bool {
        self != Self::Applied
    }

    /// How many replicas must have it.
    pub(crate) fn replicas(self) -> u32 {
        match self {
            Self::Applied | Self::LocalDisk => 0,
            Self::Replicas(replicas) | Self::LocalAndReplicaDisks(replicas) => replicas,
        }
    }

    /// Whether the primary must have it on its disk.
    pub(crate) fn on_disk(self) -> bool {
        matches!(self, Self::LocalDisk | Self::LocalAndReplicaDisks(_))
    }

    /// The command that waits for it.
    pub(crate) fn command(self) -> &'static str {
        if self.on_disk() { "WAITAOF" } else { "WAIT" }
    }

    /// Whether this is enough: whether the primary has it on its disk, and how many replicas have it.
    pub(crate) fn is_met(self, on_disk: bool, replicas: u64) -> bool {
        (on_disk || !self.on_disk()) && replicas >= u64::from(self.replicas())
    }

    /// Why it cannot work with waits that last so long at most, a quarter of the lease.
    pub(crate) fn problem(self, longest_wait: Duration) -> Option<String> {
        match self {
            Self::Replicas(0) => Some(
                "durability(Replicas(0)) waits for nobody: choose 1 or more, or `Durability::Applied`, which is the default"
                    .to_owned(),
            ),
            Self::LocalAndReplicaDisks(0) => Some(
                "durability(LocalAndReplicaDisks(0)) waits for no replica: choose 1 or more, or `Durability::LocalDisk`"
                    .to_owned(),
            ),
            Self::LocalAndReplicaDisks(_) if longest_wait < Self::REPLICA_DISK => Some(format!(
                "durability({self}) cannot be waited for in {longest_wait:?}, a quarter of the lease: replicas tell once a second what                  they have fsynced; choose a lease of {:?} or more",
                4 * Self::REPLICA_DISK
            )),
            _ => None,
        }
    }

    /// Within what time a replica has told what it has fsynced: it does so once a second.
    const REPLICA_DISK: Duration = Duration::from_secs(2);
}

/// In the words of the builder: `Replicas(1)`.
impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_met_by_no_less_than_was_asked() {
        for (durability, on_disk, replicas, is_met) in [
            (Durability::Applied, false, 0, true),
            (Durability::Replicas(2), true, 1, false),
            (Durability::Replicas(2), false, 2, true),
            (Durability::LocalDisk, false, 9, false),
            (Durability::LocalDisk, true, 0, true),
            (Durability::LocalAndReplicaDisks(1), true, 0, false),
            (Durability::LocalAndReplicaDisks(1), false, 1, false),
            (Durability::LocalAndReplicaDisks(1), true, 1, true),
        ] {
            assert_eq!(durability.is_met(on_disk, replicas), is_met, "{durability} {on_disk} {replicas}");
        }
    }
}
