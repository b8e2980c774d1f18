//! What is checked, each of it to be taken out.

/// The checks of the protocol. The default is all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// In the commit script: whose commit it is.
    pub fence: Fence,
    /// In the attach script: who makes the token.
    pub minted_by: MintedBy,
    /// In the commit script: the sequence that the commit follows is not compared.
    pub without_chain: bool,
    /// In the commit script, and of what the reader makes it.
    pub proof: ProofOf,
    /// In the commit script: entries between the position and the read are not looked for.
    pub without_gap: bool,
    /// The renewal shows what the session expects.
    pub without_comparison: bool,
}

/// What tells one owner's commits from another's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fence {
    /// The token of its attach.
    #[default]
    Token,
    /// The number of attaches that the record has had.
    Epoch,
    /// Nothing.
    Nothing,
}

/// Who makes the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MintedBy {
    /// The script: a second application is another token.
    #[default]
    Server,
    /// The caller: a second application is the same token.
    Client,
}

/// What a first commit proves of its read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProofOf {
    /// The last entry of the read is there, with its contents.
    #[default]
    LastOfRead,
    /// It is there, whatever it holds.
    LastOfReadById,
    /// It is there, or seems to have been trimmed.
    LastOfReadOrTrimmed,
    /// The last entry at hand when the read is taken up is there.
    LastAtHand,
    /// The stream has given its ID to some entry.
    LastGeneratedId,
    /// Nothing.
    Nothing,
}
