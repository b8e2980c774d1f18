//! What is done to both servers.

pub const INSTANCES: usize = 3;

/// Fields of the record that somebody writes by hand, and what they write: leases that are over or without end, and what
/// does not belong there.
pub const BY_HAND: [(&str, &str); 16] = [
    ("@lease", "0"),
    ("@lease", "1"),
    ("@lease", "99999999999999"),
    ("@lease", ""),
    ("@base", ""),
    ("@base", "7"),
    ("@schema", "other"),
    ("@format", "2"),
    ("@stream", "other"),
    ("@trying", "3-0 2"),
    ("@trying", "what"),
    ("@position", "2-0"),
    ("@head", "strange:4"),
    ("@adopted", "9-0"),
    ("@pending", "4-0 7-0"),
    ("@pending", "4-0 x"),
];

#[derive(Clone, Debug)]
pub enum Operation {
    Add {
        stream: usize,
        id: NewId,
        fields: u8,
    },
    DeleteEntry {
        stream: usize,
        nth: usize,
    },
    TrimLength {
        stream: usize,
        keep: u64,
    },
    TrimIds {
        stream: usize,
        nth: usize,
    },
    DeleteKey {
        key: usize,
    },
    /// A string is put in place of whatever there is.
    WrongType {
        key: usize,
    },
    FlushAll,
    /// A group as another program makes it, on a stream that has no such group.
    ForeignGroup {
        cursor: Where,
        pending: u64,
    },
    DestroyGroup,
    MoveCursor {
        cursor: Where,
    },
    /// One of [`BY_HAND`].
    SetField {
        nth: usize,
    },
    Letter {
        fields: u8,
        foreign: bool,
    },
    Requeue {
        nth: usize,
    },
    RemoveLetter {
        nth: usize,
    },
    Attach(Attach),
    Read {
        worker: usize,
        after: Where,
        count: usize,
    },
    Load,
    Scan,
    Send {
        worker: usize,
        stale: bool,
        full: bool,
        steps: Vec<Draft>,
    },
    /// As [`Send`](Self::Send), but the connection breaks before the reply.
    SendUnheard {
        worker: usize,
        step: Draft,
    },
    Mark,
    RollBack {
        marks: usize,
    },
    /// The servers are killed and started again, or whatever there is of that.
    Restart,
}

impl Operation {
    /// Whether a stream may forget which IDs it has had.
    pub fn forgets_ids(&self) -> bool {
        matches!(self, Self::DeleteKey { .. } | Self::WrongType { .. } | Self::FlushAll | Self::RollBack { .. })
    }
}

#[derive(Clone, Copy, Debug)]
pub enum NewId {
    /// The server's choice.
    Auto,
    /// So many above the stream's last one.
    Above(u64),
    /// Very low: mostly refused.
    Low(u64),
    /// The last one that there can be.
    Top,
}

/// An entry ID, found in the input when it is needed.
#[derive(Clone, Copy, Debug)]
pub enum Where {
    Start,
    Entry(usize),
    /// The record's position.
    Position,
    /// The last entry that the worker has read.
    Read,
    Id(u64),
}

#[derive(Clone, Debug)]
pub struct Attach {
    pub worker: usize,
    /// The same attempt once more.
    pub repeated: bool,
    pub start: Option<Where>,
    /// Adopt, adopt what is pending, start over, read replaced, skip replaced.
    pub permissions: [bool; 5],
    /// The lease that is there was seen for long enough.
    pub expired: bool,
    pub other_schema: bool,
    pub full: bool,
}

/// A step, completed from what the session knows.
#[derive(Clone, Debug)]
pub enum Draft {
    Commit(CommitDraft),
    Renew,
    Release,
}

#[derive(Clone, Debug)]
pub struct CommitDraft {
    /// How far the sequence that it follows is off.
    pub off: i8,
    /// It handles the next entry that was read, or nothing.
    pub handles: bool,
    /// It goes elsewhere.
    pub position: Option<Where>,
    pub proof: ProofDraft,
    pub entries_read: Option<u64>,
    /// Which of three fields are set, and which are deleted.
    pub set: [bool; 3],
    pub deleted: [bool; 3],
    pub collection: Option<CollectionDraft>,
    /// Outputs as numbers of [`STREAMS`](crate::place::STREAMS); 4: the record's key.
    pub publishes: Vec<(usize, bool)>,
    pub trims: Vec<(usize, u64)>,
}

#[derive(Clone, Copy, Debug)]
pub enum ProofDraft {
    None,
    /// Of the last read.
    Right,
    OtherDigest,
    /// Of everything that the stream has now.
    Whole,
}

#[derive(Clone, Debug)]
pub struct CollectionDraft {
    pub is_set: bool,
    /// How many entries there are before: as it is, something else, or no matter.
    pub before: Option<bool>,
    pub says_after: bool,
    pub cleared: bool,
    pub set: Vec<u8>,
    pub removed: Vec<u8>,
}

impl Operation {
    /// The same with less in it.
    pub fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Send { worker, stale, full, steps } => {
                let with = |steps| Self::Send { worker: *worker, stale: *stale, full: *full, steps };
                let shorter = (0..steps.len()).filter(|_| steps.len() > 1).map(|n| {
                    let mut fewer = steps.clone();
                    fewer.remove(n);
                    with(fewer)
                });
                let plainer = (0..steps.len()).flat_map(|n| {
                    steps[n].simpler().into_iter().map(move |step| {
                        let mut plainer = steps.clone();
                        plainer[n] = step;
                        with(plainer)
                    })
                });
                shorter.chain(plainer).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Draft {
    fn simpler(&self) -> Vec<Self> {
        let Self::Commit(commit) = self else { return Vec::new() };
        let mut simpler = Vec::new();
        let mut without = |is_there: bool, leave_out: fn(&mut CommitDraft)| {
            if is_there {
                let mut left = commit.clone();
                leave_out(&mut left);
                simpler.push(Self::Commit(left));
            }
        };
        without(commit.off != 0, |commit| commit.off = 0);
        without(commit.position.is_some(), |commit| commit.position = None);
        without(!matches!(commit.proof, ProofDraft::None), |commit| commit.proof = ProofDraft::None);
        without(commit.entries_read.is_some(), |commit| commit.entries_read = None);
        without(commit.set.contains(&true), |commit| commit.set = [false; 3]);
        without(commit.deleted.contains(&true), |commit| commit.deleted = [false; 3]);
        without(commit.collection.is_some(), |commit| commit.collection = None);
        without(!commit.publishes.is_empty(), |commit| commit.publishes.truncate(commit.publishes.len() - 1));
        without(!commit.trims.is_empty(), |commit| commit.trims.truncate(commit.trims.len() - 1));
        simpler
    }
}
